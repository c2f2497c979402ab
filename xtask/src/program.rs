//! From a component's ELF file to the segments of the boot archive.

use archive::{Flags, SegmentSource};
use elf::ElfBytes;
use elf::abi::{ET_EXEC, PF_R, PF_W, PF_X, PT_LOAD};
use elf::endian::LittleEndian;
use std::path::Path;

pub struct Program {
    pub entry: u64,
    pub segments: Vec<SegmentSource>,
}

/// Reads a statically linked program whose segments begin on page boundaries.
pub fn read(path: &Path) -> Result<Program, String> {
    let bytes =
        std::fs::read(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    parse(&bytes).map_err(|why| format!("{}: {why}", path.display()))
}

fn parse(bytes: &[u8]) -> Result<Program, String> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(|e| e.to_string())?;
    if elf.ehdr.e_type != ET_EXEC {
        return Err("it is not linked at fixed addresses".into());
    }
    let headers = elf.segments().ok_or("it has no program headers")?;
    let mut segments = Vec::new();
    for header in headers
        .iter()
        .filter(|h| h.p_type == PT_LOAD && h.p_memsz > 0)
    {
        let address = header.p_vaddr;
        if address % abi::layout::PAGE as u64 != 0 {
            return Err(format!(
                "its segment at {address:#x} does not begin on a page boundary"
            ));
        }
        let mut flags = Flags::empty();
        for (bit, flag) in [
            (PF_R, Flags::READ),
            (PF_W, Flags::WRITE),
            (PF_X, Flags::EXECUTE),
        ] {
            flags.set(flag, header.p_flags & bit != 0);
        }
        if flags.contains(Flags::WRITE | Flags::EXECUTE) {
            return Err(format!(
                "its segment at {address:#x} is writable and executable"
            ));
        }
        let data = elf
            .segment_data(&header)
            .map_err(|e| e.to_string())?
            .to_vec();
        segments.push(SegmentSource {
            address,
            memory: header.p_memsz,
            data,
            flags,
        });
    }
    segments.sort_by_key(|s| s.address);
    Ok(Program {
        entry: elf.ehdr.e_entry,
        segments,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_is_no_program_is_refused() {
        assert!(super::parse(b"").is_err());
        assert!(
            super::parse(b"#!/bin/sh\necho not an ELF file, but long enough to be one....")
                .is_err()
        );
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let why = super::parse(&own).err();
        assert_eq!(why.as_deref(), Some("it is not linked at fixed addresses"));
    }
}
