//! Operations on the console.

use super::{Call, DONE, Result};
use crate::cpu::Cpu;
use abi::op::console;
use abi::{Error, Rights};

#[inline(always)]
pub fn invoke(call: &mut Call) -> Result {
    match call.operation {
        console::WRITE => {
            call.need(Rights::WRITE)?;
            let [count, w0, w1, w2, w3] = call.args;
            if count > size_of::<[u64; 4]>() as u64 {
                return Err(Error::BadSize);
            }
            if count > 0 && !print(call.cpu, count as usize, w0, w1, w2, w3) {
                return Err(Error::Again);
            }
            DONE
        }
        _ => Err(Error::BadOperation),
    }
}

/// Whether there was room. Kept out of the way of what calls it, down to the words' registers.
#[inline(never)]
fn print(cpu: &mut Cpu, count: usize, w0: u64, w1: u64, w2: u64, w3: u64) -> bool {
    let bytes = [w0, w1, w2, w3].map(u64::to_le_bytes);
    let bytes = bytes.as_flattened();
    let component = cpu.component;
    // SAFETY: the current thread's object is live, and nothing else refers to its line.
    let line = unsafe { &mut (*cpu.thread).line };
    line.take(component, bytes.get(..count).unwrap_or(bytes))
}
