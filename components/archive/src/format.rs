//! Where each field lies. One definition, used by reader and writer.

use abi::start::NAME_BYTES as COMPONENT_NAME_BYTES;

pub(crate) const MAGIC: [u8; 8] = *b"cistern\x1a";
pub const VERSION: u32 = 1;

/// Most entries a file can have: 64 components and as many files besides.
pub const MAX_ENTRIES: usize = 128;
/// Most segments one component can have.
pub const MAX_SEGMENTS: usize = 16;
/// Component entries are named `component/NAME`.
pub const COMPONENT_PREFIX: &str = "component/";
/// Bytes of an entry's name field, padded with zeros.
pub const NAME_BYTES: usize = 40;
const _: () = assert!(COMPONENT_PREFIX.len() + COMPONENT_NAME_BYTES <= NAME_BYTES);

pub(crate) const KIND_BLOB: u32 = 1;
pub(crate) const KIND_COMPONENT: u32 = 2;

/// Header: magic, version, checksum, length, entries, segments.
pub(crate) mod header {
    pub const MAGIC: usize = 0;
    pub const VERSION: usize = 8;
    pub const CHECKSUM: usize = 12;
    pub const LENGTH: usize = 16;
    pub const ENTRIES: usize = 24;
    pub const SEGMENTS: usize = 28;
    pub const BYTES: usize = 32;
}

/// Entry: name, kind; a blob's offset and length, or a component's entry address and run of
/// segments (first, count).
pub(crate) mod entry {
    pub const KIND: usize = super::NAME_BYTES;
    pub const SEGMENTS: usize = KIND + 4;
    pub const WHERE: usize = KIND + 8;
    pub const EXTENT: usize = KIND + 16;
    pub const BYTES: usize = KIND + 24;
}

/// Segment: address, bytes in memory, offset and bytes in the file, flags.
pub(crate) mod segment {
    pub const ADDRESS: usize = 0;
    pub const MEMORY: usize = 8;
    pub const OFFSET: usize = 16;
    pub const FILE: usize = 24;
    pub const FLAGS: usize = 32;
    pub const BYTES: usize = 40;
}

/// The field at `at`, if it is inside.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The field at `at`, if it is inside.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// CRC-32 over the whole file with the checksum field left out.
pub(crate) fn checksum(file: &[u8]) -> Option<u32> {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(file.get(..header::CHECKSUM)?);
    hasher.update(file.get(header::CHECKSUM + 4..)?);
    Some(hasher.finalize())
}

/// Writes the checksum that belongs to the rest of the file; does nothing to what is shorter
/// than a header.
pub fn reseal(file: &mut [u8]) {
    if file.len() < header::BYTES {
        return;
    }
    if let Some(sum) = checksum(file) {
        file[header::CHECKSUM..header::CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
    }
}
