//! Operations on a mapping capability.

use super::{Call, DONE, Result, run};
use abi::Error;
use abi::op::mapping;

#[inline(always)]
pub fn invoke(call: &mut Call) -> Result {
    let mapping = call.object;
    match call.operation {
        mapping::MODIFY => {
            let (first, count, flags) = run(call.args[0])?;
            let capabilities = &mut call.cpu.capabilities;
            capabilities.mapping_modify(mapping, first, count, flags)?;
        }
        mapping::DESTROY => call.cpu.capabilities.mapping_destroy(mapping)?,
        _ => return Err(Error::BadOperation),
    }
    DONE
}
