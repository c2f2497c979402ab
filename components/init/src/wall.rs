//! The wall clock at boot.

use abi::Error;
use abi::start::init_slot;
use init::clock::{REGISTERS, Reading, UPDATING, seconds};
use rt::cap::ports;

/// Index and data of the clock's registers.
pub const PORTS: core::ops::Range<u16> = INDEX..DATA + 1;
const INDEX: u16 = 0x70;
const DATA: u16 = 0x71;
/// Reads until two agree; a clock that never settles is no clock.
const TRIES: u32 = 1000;

fn register(number: u8) -> Result<u8, Error> {
    ports::write(init_slot::IO_PORTS, INDEX, 1, u64::from(number))?;
    ports::read(init_slot::IO_PORTS, DATA, 1).map(|value| value as u8)
}

fn reading() -> Result<Option<Reading>, Error> {
    if register(UPDATING)? & 1 << 7 != 0 {
        return Ok(None);
    }
    let mut reading = [0; REGISTERS.len()];
    for (value, number) in reading.iter_mut().zip(REGISTERS) {
        *value = register(number)?;
    }
    Ok(Some(reading))
}

/// Time-stamp and seconds since 1970; 0 seconds where the machine has no clock that makes sense.
pub fn read() -> (u64, u64) {
    let mut last = None;
    for _ in 0..TRIES {
        match reading() {
            Ok(Some(now)) if last == Some(now) => {
                return (rt::time::now(), seconds(now).unwrap_or(0));
            }
            Ok(now) => last = now,
            Err(_) => break,
        }
    }
    (rt::time::now(), 0)
}
