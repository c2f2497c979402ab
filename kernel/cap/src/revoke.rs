//! Revoke: takes a capability back from everybody else.

use crate::captype::info;
use crate::delete::Budget;
use crate::slot::SlotRef;
use crate::{Caps, Platform};
use abi::captype::CapType;
use abi::{Error, Rights};

impl<P: Platform> Caps<P> {
    /// Deletes every copy and descendant of the capability but itself. If it lies in a CNode that is
    /// its own descendant, it goes too.
    ///
    /// Errors: `NoCapability`, `NoRight` (GRANT: who may not spread a capability may not take it
    /// from others), `Again`.
    pub fn revoke(&mut self, slot: SlotRef) -> Result<(), Error> {
        if slot.ty() == CapType::Null {
            return Err(Error::NoCapability);
        }
        slot.need(Rights::GRANT)?;
        if self.deletion_pending() {
            return self.carry_on();
        }
        let result = self.revoke_some(slot, &mut Budget::of(self.budget));
        self.flush();
        result
    }

    fn revoke_some(&mut self, slot: SlotRef, budget: &mut Budget) -> Result<(), Error> {
        let cap = slot.cap();
        loop {
            self.finish_deletions(budget)?;
            // Deleting a descendant may have taken the slot's own CNode apart.
            if slot.is_deleting() || slot.cap() != cap {
                return Ok(());
            }
            let victim = self
                .mdb
                .other_copy(slot)
                .or_else(|| self.mdb.first_descendant(slot));
            match victim {
                Some(victim) => self.begin_delete(victim, budget)?,
                None => break,
            }
        }
        if let Some(mapping) = info(cap.ty).mapping {
            self.unmap_everywhere(&cap, mapping, budget)?;
        }
        Ok(())
    }
}
