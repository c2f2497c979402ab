//! Operations on a page table.

use super::{Call, DONE, Result, run};
use abi::Error;
use abi::op::table;

#[inline(always)]
pub fn invoke(call: &mut Call) -> Result {
    let [a0, a1, a2, a3, _] = call.args;
    let table = call.object;
    match call.operation {
        table::MAP => {
            let source = call.lookup(a0)?;
            let (first, count, flags) = run(a1)?;
            let dest = call.empty_slot(a3)?;
            let capabilities = &mut call.cpu.capabilities;
            capabilities.map(table, source, first, count, flags, a2, dest)?;
        }
        table::UNMAP => {
            let mapping = call.lookup(a0)?;
            call.cpu.capabilities.unmap(table, mapping)?;
        }
        table::MODIFY => {
            let (first, count, flags) = run(a0)?;
            call.cpu.capabilities.modify(table, first, count, flags)?;
        }
        table::CLEAR_DIRTY => {
            let (first, count, flags) = run(a0)?;
            if !flags.is_empty() {
                return Err(Error::BadFlags);
            }
            call.cpu.capabilities.clear_dirty(table, first, count)?;
        }
        table::READ => {
            let index = u16::try_from(a0).map_err(|_| Error::OutOfRange)?;
            let entry = call.cpu.capabilities.read(table, index)?;
            return Ok([entry.0, 0, 0, 0]);
        }
        _ => return Err(Error::BadOperation),
    }
    DONE
}
