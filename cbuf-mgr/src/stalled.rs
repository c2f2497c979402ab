//! Sends that nobody will ever receive, to or from a component that died, of buffers that living
//! components were sent too: the counters cannot tell these from sends still on their way. Time
//! can. A buffer that nobody references, whose counters have stood still for [`Manager::set_grace`]
//! after a death that concerns it, is lost. Whoever receives it later still gets
//! [`abi::Error::BadBuffer`], never memory that is somebody else's.

use crate::liveness::{Verdict, at_rest};
use crate::machine::Machine;
use crate::manager::Manager;
use libcbuf::meta::CbufId;

impl<M: Machine> Manager<M> {
    /// How long, in ticks, a send to or from a component that died may take to arrive.
    pub fn set_grace(&mut self, ticks: u64) {
        self.grace = ticks;
    }

    /// Like [`Manager::judge`], for a buffer that is looked at again and again.
    pub(crate) fn judge_again(&mut self, id: CbufId) -> Verdict {
        let verdict = self.judge(id);
        if verdict != Verdict::Live || self.fallen == 0 {
            return verdict;
        }
        let Ok(buffer) = self.buffer(id) else {
            return verdict;
        };
        let concerned = buffer.dead != 0;
        let counts = (!Self::may_be_allocated(buffer))
            .then(|| at_rest(buffer.records(), buffer.settled))
            .flatten()
            .filter(|counts| concerned || counts.receivers & self.fallen != 0);
        let now = self.machine.ticks();
        let grace = self.grace;
        let Ok(buffer) = self.buffer_mut(id) else {
            return verdict;
        };
        match (counts, buffer.stalled) {
            (Some(counts), Some((since, before))) if counts == before => {
                if now.saturating_sub(since) >= grace {
                    return Verdict::Lost;
                }
            }
            (counts, _) => buffer.stalled = counts.map(|counts| (now, counts)),
        }
        verdict
    }
}
