//! Priority inheritance: who is blocked on a thread lends it its priority, along chains.

use abi::ThreadId;

use crate::table::Scheduler;
use crate::thread::members;

impl Scheduler {
    /// Works out anew what is lent to `owner` and, while that changes something, to the thread
    /// that it is blocked on itself, and so on. A chain is no longer than there are threads; a
    /// ring of threads that wait for each other ends there too.
    pub(crate) fn lend(&mut self, owner: ThreadId) {
        let mut next = Some(owner);
        for _ in 0..ThreadId::MAX {
            let Some(owner) = next else { return };
            let lent = members(self.blocked)
                .map(|t| &self.threads[t])
                .filter(|t| t.on == Some(owner))
                .map(|t| t.effective())
                .max()
                .unwrap_or(0);
            let owner = &mut self.threads[usize::from(owner.0)];
            if owner.lent == lent {
                return;
            }
            owner.lent = lent;
            next = owner.on;
        }
    }
}
