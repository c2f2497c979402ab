//! For a component that takes the scheduler's place so that nothing runs beside it: one that measures
//! or tests. It needs the right `threads`, provides `sched` and `sched_control`, and has a thread.

use abi::{CPtr, Error};

use crate::component::{Call, Reply};
use crate::sched::method;

/// The component's own first thread, which `init` starts.
pub fn own_thread() -> Result<CPtr, Error> {
    let own = crate::info().name;
    let first = |name: &str| {
        let name = name.strip_prefix("thread:")?.strip_suffix(".0")?;
        (name == own.as_str()).then_some(())
    };
    let mut grants = crate::info::grants().iter();
    let found = grants.find(|grant| first(grant.name.as_str()).is_some());
    found.map(|grant| grant.cap).ok_or(Error::NotFound)
}

/// Serves `sched`: when `init` blocks, the component's own thread runs until the machine ends.
pub fn sched(call: Call) -> Reply {
    if call.method == method::BLOCK {
        let own = own_thread()?;
        loop {
            crate::cap::thread::switch(own)?;
        }
    }
    Ok([0; 4])
}

/// Serves `sched_control`: there is nothing to control.
pub fn control(_call: Call) -> Reply {
    Ok([0; 4])
}
