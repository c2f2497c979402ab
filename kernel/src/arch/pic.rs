//! The legacy interrupt controllers: moved away from the exceptions' vectors and masked for good.

use super::port::OwnPort;

const FIRST: (OwnPort, OwnPort) = registers(0x20);
const SECOND: (OwnPort, OwnPort) = registers(0xa0);
/// Vectors 32 to 47, where a spurious interrupt of theirs does no harm.
pub const FIRST_VECTOR: u8 = 32;

/// A controller's command and data registers.
const fn registers(base: u16) -> (OwnPort, OwnPort) {
    // SAFETY: the controllers raise interrupts, for which every vector has a gate; nothing else.
    unsafe { (OwnPort::new(base), OwnPort::new(base + 1)) }
}

pub fn silence() {
    FIRST.0.byte_out(0x11);
    SECOND.0.byte_out(0x11);
    FIRST.1.byte_out(FIRST_VECTOR);
    SECOND.1.byte_out(FIRST_VECTOR + 8);
    FIRST.1.byte_out(4);
    SECOND.1.byte_out(2);
    FIRST.1.byte_out(1);
    SECOND.1.byte_out(1);
    FIRST.1.byte_out(0xff);
    SECOND.1.byte_out(0xff);
}
