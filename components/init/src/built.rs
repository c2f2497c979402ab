//! A component that is built, with all that is needed to build it once more in the same place.

use alloc::vec::Vec;

use abi::layout::PAGE;
use abi::{CPtr, ComponentId, ThreadId};
use init::pci::Address;
use manifest::Component;
use rt::cap;

use crate::memory::Stock;
use crate::space::Window;
use crate::trouble::{Doing, Result};

/// Memory of a component, and what it holds at first: `data`, then zeros.
#[derive(Clone, Copy)]
pub struct Part<'a> {
    pub frame: CPtr,
    kind: Kind,
    bytes: u64,
    data: &'a [u8],
}

/// For whose lifetime memory is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The component's: text, data, stacks.
    Static,
    /// The component's allocator's: heaps.
    Owned,
}

impl<'a> Part<'a> {
    /// A fresh frame with the data in it.
    pub fn new(
        stock: &mut Stock,
        window: &Window,
        kind: Kind,
        data: &'a [u8],
        bytes: u64,
    ) -> Result<Self> {
        let frame = crate::space::filled(stock, window, data, bytes)?;
        Ok(Self {
            frame,
            kind,
            bytes,
            data,
        })
    }
}

pub struct Built<'a> {
    pub id: ComponentId,
    pub component: &'a Component,
    pub object: CPtr,
    /// Its Entry of interface 0.
    pub lifecycle: CPtr,
    pub device: Option<Address>,
    /// Capability, number and argument of each of its own threads.
    pub threads: Vec<(CPtr, ThreadId, u32)>,
    pub memory: Vec<Part<'a>>,
    pub info_page: CPtr,
    /// Its start information, as it was written first.
    pub info: Vec<u8>,
}

impl Built<'_> {
    /// Pages of its own that are static, its start information among them, and pages that are
    /// owned, memory that it manages itself among them. Without what it shares with the archive.
    pub fn pages(&self) -> (u64, u64) {
        let of = |kind| {
            let parts = self.memory.iter().filter(|p| p.kind == kind);
            parts.map(|p| p.bytes / PAGE as u64).sum::<u64>()
        };
        let managed = self.component.memory.map_or(0, |m| m.bytes / PAGE as u64);
        (of(Kind::Static) + 1, of(Kind::Owned) + managed)
    }

    /// Writes all its memory anew, in the frames and page tables that it has. Nothing is
    /// allocated, so nothing can be missing.
    pub fn renew(&self, window: &Window) -> Result<()> {
        for part in &self.memory {
            window.fill(part.frame, part.data, part.bytes)?;
        }
        window.fill(self.info_page, &self.info, PAGE as u64)
    }

    /// Its threads, which have exited, stand at their beginning again; they do not run yet.
    pub fn rewind(&self) -> Result<()> {
        for (thread, id, argument) in &self.threads {
            cap::thread::configure(*thread, self.object, *id, *argument)
                .doing("configure a thread")?;
        }
        Ok(())
    }
}
