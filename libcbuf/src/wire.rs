//! What names a stretch of a buffer on its way between components: in registers, or in the memory of
//! another buffer. Anybody may name anything: nothing is checked before it is received. Source: CBUFs,
//! section 2.2.

/// How a buffer travels between components: 12 bytes, or two words. Id 0 is none.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub struct CbufRef {
    /// The buffer's ([`crate::CbufId`]), or 0.
    pub id: u32,
    /// Where the stretch begins in its buffer, in bytes.
    pub offset: u32,
    /// Bytes of the stretch.
    pub len: u32,
}

impl CbufRef {
    /// Names no buffer.
    pub const NONE: Self = Self {
        id: 0,
        offset: 0,
        len: 0,
    };
    /// Bytes in a batch record.
    pub const WIRE: usize = 12;

    /// Whether it names no buffer, wherever the stretch is.
    pub const fn is_none(self) -> bool {
        self.id == 0
    }
    /// As two register words: id | len << 32, and the offset.
    pub const fn to_words(self) -> [u64; 2] {
        [self.id as u64 | (self.len as u64) << 32, self.offset as u64]
    }
    /// Bits 32 and up of the second word are ignored.
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self {
            id: words[0] as u32,
            len: (words[0] >> 32) as u32,
            offset: words[1] as u32,
        }
    }
    /// As in a batch or an aggregate: id, offset, length, each little-endian.
    pub fn to_bytes(self) -> [u8; Self::WIRE] {
        let mut out = [0; Self::WIRE];
        out[0..4].copy_from_slice(&self.id.to_le_bytes());
        out[4..8].copy_from_slice(&self.offset.to_le_bytes());
        out[8..12].copy_from_slice(&self.len.to_le_bytes());
        out
    }
    /// What [`CbufRef::to_bytes`] made; anything else names something all the same.
    pub fn from_bytes(wire: [u8; Self::WIRE]) -> Self {
        let word =
            |at: usize| u32::from_le_bytes([wire[at], wire[at + 1], wire[at + 2], wire[at + 3]]);
        Self {
            id: word(0),
            offset: word(4),
            len: word(8),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::CbufRef;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn both_wire_forms_keep_a_reference(id: u32, offset: u32, len: u32) {
            let sent = CbufRef { id, offset, len };
            prop_assert_eq!(CbufRef::from_bytes(sent.to_bytes()), sent);
            prop_assert_eq!(CbufRef::from_words(sent.to_words()), sent);
        }
    }
}
