//! Operations on an Irq.

use super::{Call, Result};
use abi::op::irq;
use abi::{Error, Rights};

#[inline(always)]
pub fn invoke(call: &mut Call) -> Result {
    match call.operation {
        irq::IDENTIFY => {
            call.need(Rights::READ)?;
            let [bit, data] = call.object.data();
            Ok([bit, call.cpu.apic.msi_address(), data, 0])
        }
        _ => Err(Error::BadOperation),
    }
}
