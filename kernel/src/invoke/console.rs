//! Operations on the console.

use super::{Call, DONE, Result};
use crate::arch::serial;
use abi::op::console;
use abi::{Error, Rights};

pub fn invoke(call: &mut Call) -> Result {
    match call.operation {
        console::WRITE => {
            call.need(Rights::WRITE)?;
            let [count, words @ ..] = call.args;
            let count = usize::try_from(count)
                .ok()
                .filter(|count| *count <= size_of_val(&words))
                .ok_or(Error::BadSize)?;
            let bytes = words.iter().flat_map(|word| word.to_le_bytes());
            bytes.take(count).for_each(serial::write);
            DONE
        }
        _ => Err(Error::BadOperation),
    }
}
