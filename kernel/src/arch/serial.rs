//! The console: the first 16550, 115200 baud, polled. Absent: what is written is lost.

use super::port::{byte_in, byte_out};
use core::fmt;

const BASE: u16 = 0x3f8;
const DATA: u16 = BASE;
const INTERRUPTS: u16 = BASE + 1;
const FIFO: u16 = BASE + 2;
const LINE: u16 = BASE + 3;
const MODEM: u16 = BASE + 4;
const STATUS: u16 = BASE + 5;
const TRANSMITTER_EMPTY: u8 = 0x20;
/// A port that is not there, or whose peer never drains it, must not stop the kernel.
const PATIENCE: u32 = 100_000;

pub fn setup() {
    byte_out(INTERRUPTS, 0);
    byte_out(LINE, 0x80);
    byte_out(DATA, 1);
    byte_out(INTERRUPTS, 0);
    byte_out(LINE, 3);
    byte_out(FIFO, 0xc7);
    byte_out(MODEM, 3);
}

pub fn write(byte: u8) {
    for _ in 0..PATIENCE {
        if byte_in(STATUS) & TRANSMITTER_EMPTY != 0 {
            break;
        }
    }
    byte_out(DATA, byte);
}

/// What the kernel itself prints goes through this.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                write(b'\r');
            }
            write(byte);
        }
        Ok(())
    }
}

/// A line of the kernel on the console.
#[macro_export]
macro_rules! say {
    ($($argument:tt)*) => {{
        use core::fmt::Write;
        // The console's `write_str` never fails.
        let _ = writeln!($crate::arch::serial::Console, "kernel: {}", format_args!($($argument)*));
    }};
}
