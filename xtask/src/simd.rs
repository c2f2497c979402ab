//! The kernel saves no vector registers, so none may occur in what the compiler made of it.
//!
//! Every function that the symbol table gives a size is disassembled. Assembly without a sized
//! symbol (32-bit boot code, entry stubs) is written by hand and not looked at.

use elf::ElfBytes;
use elf::abi::STT_FUNC;
use elf::endian::LittleEndian;
use iced_x86::{Decoder, DecoderOptions, Instruction, OpKind};
use std::path::Path;

/// An error that names the first function with a vector register.
pub fn forbid(kernel: &Path) -> Result<(), String> {
    let bytes =
        std::fs::read(kernel).map_err(|e| format!("{} cannot be read: {e}", kernel.display()))?;
    match search(&bytes).map_err(|why| format!("{}: {why}", kernel.display()))? {
        None => Ok(()),
        Some((function, address)) => Err(format!(
            "the kernel uses a vector register at {address:#x} in `{function}`: no floating point, no SIMD there"
        )),
    }
}

fn search(bytes: &[u8]) -> Result<Option<(String, u64)>, String> {
    let elf = ElfBytes::<LittleEndian>::minimal_parse(bytes).map_err(|e| e.to_string())?;
    let table = elf.symbol_table().map_err(|e| e.to_string())?;
    let (symbols, names) = table.ok_or("it has no symbols")?;
    let sections = elf.section_headers().ok_or("it has no sections")?;
    let mut functions = 0;
    for symbol in symbols
        .iter()
        .filter(|s| s.st_symtype() == STT_FUNC && s.st_size > 0)
    {
        let Ok(section) = sections.get(usize::from(symbol.st_shndx)) else {
            continue;
        };
        let (data, _) = elf.section_data(&section).map_err(|e| e.to_string())?;
        let start = symbol.st_value.wrapping_sub(section.sh_addr) as usize;
        let end = start.saturating_add(symbol.st_size as usize);
        let Some(code) = data.get(start..end) else {
            continue;
        };
        functions += 1;
        if let Some(address) = first_vector(code, symbol.st_value) {
            let name = names.get(symbol.st_name as usize).unwrap_or("?");
            return Ok(Some((name.to_string(), address)));
        }
    }
    if functions == 0 {
        Err("it has no function symbols".into())
    } else {
        Ok(None)
    }
}

fn first_vector(code: &[u8], address: u64) -> Option<u64> {
    let mut decoder = Decoder::with_ip(64, code, address, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        let vector = |i| {
            instruction.op_kind(i) == OpKind::Register && {
                let register = instruction.op_register(i);
                register.is_vector_register() || register.is_mm()
            }
        };
        if (0..instruction.op_count()).any(vector) {
            return Some(instruction.ip());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vector_registers_are_found_and_others_are_not() {
        let plain = [0x48, 0x89, 0xc3, 0x0f, 0xae, 0x00, 0xc3];
        assert_eq!(first_vector(&plain, 0x1000), None);
        let xmm = [0x90, 0x66, 0x0f, 0xef, 0xc0, 0xc3];
        assert_eq!(first_vector(&xmm, 0x1000), Some(0x1001));
    }

    #[test]
    fn a_hosted_program_uses_them() {
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(search(&own).unwrap().is_some());
    }
}
