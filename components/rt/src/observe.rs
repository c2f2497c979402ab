//! What a component with the right `observe` sees: who is in the image, and how often whom each
//! component was invoked by. Reading disturbs nobody: every component counts on a page of its own,
//! which is mapped here as well.

use core::sync::atomic::{AtomicU64, Ordering};

use abi::layout::{CALLERS, OBSERVED, PAGE};
use abi::start::{Directory, MAGIC};
use abi::{ComponentId, Error};

/// The name of the grant that comes with the right.
const GRANT: &str = "observe";

/// A component's own word for each invoker, by the low byte of its id.
pub type Calls = [AtomicU64; CALLERS];

/// The image, for whoever has the right to see it.
#[derive(Clone, Copy)]
pub struct Observed {
    directory: &'static Directory,
}

impl Observed {
    /// Errors: `NotFound` without the right `observe`, `BadState` where what lies there is of
    /// another version.
    pub fn new() -> Result<Self, Error> {
        let grant = crate::grant(GRANT).ok_or(Error::NotFound)?;
        // SAFETY: `init` grants the name with the address of a page that holds a `Directory`,
        // mapped read-only for as long as this component exists.
        let directory = unsafe { &*(grant.base as *const Directory) };
        let whole = directory.magic == MAGIC && directory.len <= ComponentId::MAX as u64;
        whole.then_some(Self { directory }).ok_or(Error::BadState)
    }

    /// Ids of all components, from `init` on.
    pub fn ids(&self) -> impl Iterator<Item = ComponentId> + use<> {
        (0..self.directory.len as u16).map(ComponentId)
    }

    pub fn name(&self, id: ComponentId) -> &'static str {
        let name = self.directory.names.get(usize::from(id.0));
        name.map_or("?", |name| name.as_str())
    }

    /// Whom a component may invoke, as a bit set.
    pub fn invokes(&self, id: ComponentId) -> u64 {
        let sets = &self.directory.invokes;
        sets.get(usize::from(id.0)).copied().unwrap_or(0)
    }

    /// How often `caller` invoked `callee` since boot, as `callee` counts it: a component can be
    /// wrong about itself only.
    pub fn calls(&self, caller: ComponentId, callee: ComponentId) -> u64 {
        if u64::from(callee.0) >= self.directory.len {
            return 0;
        }
        // SAFETY: for every id below `len`, `init` mapped the page of that component's counts
        // there, read-only, for as long as this component exists.
        let calls = unsafe { &*((OBSERVED + usize::from(callee.0) * PAGE) as *const Calls) };
        // Relaxed: a count stands for itself.
        let count = calls.get(usize::from(caller.0));
        count.map_or(0, |count| count.load(Ordering::Relaxed))
    }
}
