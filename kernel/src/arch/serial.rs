//! The console: the first 16550, 115200 baud. What is written waits in a buffer; the port gets so
//! much of it as it takes at once whenever the kernel has a reason to look: a write, an interrupt,
//! nothing to run. So nobody waits for the port but the kernel's own last words. Absent: what is
//! written is lost.

use super::port::OwnPort;
use core::cell::UnsafeCell;
use core::fmt;

const BASE: u16 = 0x3f8;
const DATA: OwnPort = register(0);
const INTERRUPTS: OwnPort = register(1);
const FIFO: OwnPort = register(2);
const LINE: OwnPort = register(3);
const MODEM: OwnPort = register(4);
const STATUS: OwnPort = register(5);
const TRANSMITTER_EMPTY: u8 = 0x20;
/// Read back where the port has a queue of its own.
const HAS_FIFO: u8 = 0xc0;
const FIFO_BYTES: usize = 16;
/// Looks at a port that takes nothing before the kernel gives its own messages up.
const PATIENCE: u32 = 100_000;
/// Times that the port's queue is filled in one go: a port that is always empty is emulated.
const ROUNDS: usize = 4;
const BUFFER_BYTES: usize = 8192;

const fn register(number: u16) -> OwnPort {
    // SAFETY: the serial port's registers lead to a wire, not to memory, and its interrupts are off.
    unsafe { OwnPort::new(BASE + number) }
}

/// What waits for the port: `len` bytes from `first` on, round the end.
struct Buffer {
    bytes: [u8; BUFFER_BYTES],
    first: usize,
    len: usize,
    /// Bytes that the port takes at once when it is empty.
    burst: usize,
    /// The port took nothing for as long as the kernel waits for it, and nothing since.
    stuck: bool,
}

struct Shared(UnsafeCell<Buffer>);

// SAFETY: reached through `with` only.
unsafe impl Sync for Shared {}

static BUFFER: Shared = Shared(UnsafeCell::new(Buffer {
    bytes: [0; BUFFER_BYTES],
    first: 0,
    len: 0,
    burst: 1,
    stuck: false,
}));

fn with<R>(f: impl FnOnce(&mut Buffer) -> R) -> R {
    // SAFETY: one core has the console, its kernel runs with interrupts off but where it waits for
    // events and is not in here, an NMI leaves the console alone, and no `f` calls this function. (An
    // exception inside is the kernel's end: what it says last may be garbled.)
    f(unsafe { &mut *BUFFER.0.get() })
}

impl Buffer {
    fn push(&mut self, byte: u8) {
        let at = (self.first + self.len) % BUFFER_BYTES;
        if self.len < BUFFER_BYTES
            && let Some(place) = self.bytes.get_mut(at)
        {
            *place = byte;
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.first).copied();
        let byte = byte.filter(|_| self.len > 0)?;
        self.first = (self.first + 1) % BUFFER_BYTES;
        self.len -= 1;
        Some(byte)
    }

    /// Gives the port what it takes now; whether it took anything.
    fn send(&mut self) -> bool {
        let before = self.len;
        for _ in 0..ROUNDS {
            if self.len == 0 || STATUS.byte_in() & TRANSMITTER_EMPTY == 0 {
                break;
            }
            for _ in 0..self.burst {
                if let Some(byte) = self.pop() {
                    DATA.byte_out(byte);
                }
            }
        }
        let took = self.len < before;
        self.stuck &= !took;
        took
    }

    /// Waits, but not for ever, until no more than so many bytes are left: once, not for each byte of
    /// a message, when the port takes nothing.
    fn drain(&mut self, left: usize) {
        let mut looks = 0;
        while self.len > left && looks < PATIENCE {
            looks = match self.send() {
                true => 0,
                false if self.stuck => PATIENCE,
                false => looks + 1,
            };
        }
        self.stuck = self.len > left;
    }
}

pub fn setup() {
    INTERRUPTS.byte_out(0);
    LINE.byte_out(0x80);
    DATA.byte_out(1);
    INTERRUPTS.byte_out(0);
    LINE.byte_out(3);
    FIFO.byte_out(0xc7);
    MODEM.byte_out(3);
    if FIFO.byte_in() & HAS_FIFO == HAS_FIFO {
        with(|buffer| buffer.burst = FIFO_BYTES);
    }
}

/// Writes all of both, or nothing when there is no room; whether it did.
pub fn write(parts: [&[u8]; 2]) -> bool {
    with(|buffer| {
        let bytes = parts.into_iter().flatten();
        let fits = parts.map(<[u8]>::len).iter().sum::<usize>() <= BUFFER_BYTES - buffer.len;
        if fits {
            bytes.for_each(|byte| buffer.push(*byte));
        }
        buffer.send();
        fits
    })
}

/// Gives the port what it takes now. Whether anything is left, and whether it took anything.
pub fn send() -> (bool, bool) {
    with(|buffer| {
        let took = buffer.send();
        (buffer.len > 0, took)
    })
}

/// Waits, but not for ever, until all has been written: the machine is about to end.
pub fn finish() {
    with(|buffer| buffer.drain(0));
}

/// What the kernel itself prints goes through this, behind what others have written.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        with(|buffer| {
            for byte in text.bytes() {
                buffer.drain(BUFFER_BYTES - 2);
                if byte == b'\n' {
                    buffer.push(b'\r');
                }
                buffer.push(byte);
            }
            buffer.send();
        });
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
