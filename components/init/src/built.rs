//! A component that is built, with all that is needed to build it once more in the same place.

use alloc::vec::Vec;

use abi::layout::{CALLS, PAGE, START_INFO};
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
    /// Where the component has it.
    address: u64,
    bytes: u64,
    data: &'a [u8],
}

/// What a component has mapped of the boot archive, in its place there.
pub struct Text {
    pub address: u64,
    pub bytes: u64,
}

/// For whose lifetime memory is there, by the numbers of interface `cbuf_policy`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The component's allocator's: heaps.
    Owned = 1,
    /// The component's: text, data, stacks.
    Static = 2,
    /// The same, in the archive's pages.
    Text = 3,
}

/// One buffer in the manager's account.
pub struct Entry {
    pub kind: Kind,
    /// 0: in no one place.
    pub address: u64,
    pub pages: u64,
}

impl<'a> Part<'a> {
    /// A fresh frame with the data in it.
    pub fn new(
        stock: &mut Stock,
        window: &Window,
        kind: Kind,
        address: u64,
        data: &'a [u8],
        bytes: u64,
    ) -> Result<Self> {
        let frame = crate::space::filled(stock, window, data, bytes)?;
        Ok(Self {
            frame,
            kind,
            address,
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
    pub texts: Vec<Text>,
    pub info_page: CPtr,
    /// Its start information, as it was written first.
    pub info: Vec<u8>,
}

impl Built<'_> {
    /// All memory that was made for it, its start information, its counts and what it manages itself
    /// among it, and what it shares with the archive.
    pub fn account(&self) -> impl Iterator<Item = Entry> {
        let entry = |kind, address, bytes| Entry {
            kind,
            address,
            pages: bytes / PAGE as u64,
        };
        let parts = self.memory.iter();
        let parts = parts.map(move |p| entry(p.kind, p.address, p.bytes));
        let texts = self.texts.iter();
        let texts = texts.map(move |t| entry(Kind::Text, t.address, t.bytes));
        let own_page = |address| entry(Kind::Static, address as u64, PAGE as u64);
        let pages = [START_INFO, CALLS].map(own_page);
        let managed = self.component.memory;
        let managed = managed.map(|m| entry(Kind::Owned, 0, m.bytes));
        parts.chain(texts).chain(pages).chain(managed)
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
