//! The console: lines are put together on the stack and written 32 bytes a system call.

use core::fmt;

use abi::Error;
use abi::op::console;
use abi::start::slot;

/// Longest piece that is written in one go.
const LINE_BYTES: usize = 128;
const WRITE_BYTES: usize = 32;
/// Tries for a piece before it is lost: more than a port at 9600 baud needs to make room for it.
const TRIES: u32 = 1 << 20;

/// Collects text and writes it line by line, each line behind the component's name. What is
/// left is written when it is dropped. Where the image grants no console, nothing happens.
pub struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
    fresh: bool,
}

impl Line {
    pub fn new() -> Self {
        Self {
            bytes: [0; LINE_BYTES],
            len: 0,
            fresh: true,
        }
    }

    fn push(&mut self, byte: u8) {
        if self.len == LINE_BYTES {
            self.flush();
        }
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    fn flush(&mut self) {
        for chunk in self.bytes[..self.len].chunks(WRITE_BYTES) {
            let mut words = [0u64; 4];
            for (word, bytes) in words.iter_mut().zip(chunk.chunks(8)) {
                let mut raw = [0; 8];
                raw[..bytes.len()].copy_from_slice(bytes);
                *word = u64::from_le_bytes(raw);
            }
            let [a, b, c, d] = words;
            let args = [chunk.len() as u64, a, b, c, d];
            for _ in 0..TRIES {
                // A component without the right prints into nothing.
                if crate::syscall(slot::CONSOLE, console::WRITE, args) != Err(Error::Again) {
                    break;
                }
            }
        }
        self.len = 0;
    }
}

impl Default for Line {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.fresh {
                self.fresh = false;
                let name = &crate::info().name;
                self.push(b'[');
                name.as_str().bytes().for_each(|b| self.push(b));
                self.push(b']');
                self.push(b' ');
            }
            self.push(byte);
            if byte == b'\n' {
                self.flush();
                self.fresh = true;
            }
        }
        Ok(())
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Behind [`crate::println!`].
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    use fmt::Write;
    let mut line = Line::new();
    // A line never refuses text.
    let _ = line.write_fmt(arguments);
    let _ = line.write_str("\n");
}

/// Prints a line on the console, behind the component's name.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => { $crate::console::print(format_args!($($argument)*)) };
}
