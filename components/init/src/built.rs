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
    bytes: u64,
    data: &'a [u8],
}

impl<'a> Part<'a> {
    /// A fresh frame with the data in it.
    pub fn new(stock: &mut Stock, window: &Window, data: &'a [u8], bytes: u64) -> Result<Self> {
        let frame = crate::space::filled(stock, window, data, bytes)?;
        Ok(Self { frame, bytes, data })
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
