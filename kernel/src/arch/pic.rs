//! The legacy interrupt controllers: moved away from the exceptions' vectors and masked for good.

use super::port::byte_out;

const FIRST: (u16, u16) = (0x20, 0x21);
const SECOND: (u16, u16) = (0xa0, 0xa1);
/// Vectors 32 to 47, where a spurious interrupt of theirs does no harm.
pub const FIRST_VECTOR: u8 = 32;

pub fn silence() {
    byte_out(FIRST.0, 0x11);
    byte_out(SECOND.0, 0x11);
    byte_out(FIRST.1, FIRST_VECTOR);
    byte_out(SECOND.1, FIRST_VECTOR + 8);
    byte_out(FIRST.1, 4);
    byte_out(SECOND.1, 2);
    byte_out(FIRST.1, 1);
    byte_out(SECOND.1, 1);
    byte_out(FIRST.1, 0xff);
    byte_out(SECOND.1, 0xff);
}
