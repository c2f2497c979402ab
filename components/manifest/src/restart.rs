//! Which components may be started anew after they died.

use crate::{Component, Right};

/// Interfaces whose provider cannot be missed for a moment.
const CORE: [&str; 4] = ["sched", "sched_control", "cbuf", "cbuf_policy"];

impl Component {
    /// Nothing works without it: its death stops the machine.
    pub fn is_core(&self) -> bool {
        let core = |name: &str| CORE.contains(&name);
        !self.supervised || self.provides.iter().any(|p| core(&p.interface))
    }

    /// Why it cannot be started anew, if it cannot.
    pub(crate) fn cannot_restart(&self) -> Option<&'static str> {
        if !self.supervised {
            Some("its fault stops the machine")
        } else if self.is_core() {
            Some("nothing works without it")
        } else if self.has(Right::CSpace) {
            Some("what it made with the right `cspace` would be left over")
        } else {
            None
        }
    }

    /// Where a description does not say: components that only answer.
    pub(crate) fn restarts_by_default(&self) -> bool {
        self.cannot_restart().is_none() && self.threads.is_empty() && self.device.is_none()
    }
}
