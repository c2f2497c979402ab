//! Owned buffers: memory that is this component's until it frees it or dies, of any number of pages,
//! outside of its pool, for an allocator to cut up. Nobody else ever gets it: it is neither sent nor
//! collected. Making and ending one calls the manager. Source: CBUFs, section 2.1.
//!
//! There is no call that sends it:
//! ```compile_fail,E0599
//! # use libcbuf::{Client, ComponentId, Error, Owned};
//! # fn example(client: &Client, to: ComponentId) -> Result<(), Error> {
//! let owned = Owned::alloc(client, 2)?;
//! owned.send(to);
//! Ok(())
//! # }
//! ```

use crate::client::Client;
use crate::meta::CbufId;
use abi::Error;
use abi::layout::PAGE;
use core::ops::{Deref, DerefMut};

impl Client {
    /// So many zeroed pages at consecutive addresses, writable. Calls the manager, and costs it about
    /// 590 instructions a page, most of them to clear it. [`Error::BadSize`]: no pages; [`Error::NoMemory`]:
    /// more than the image lets this component's heap grow by.
    pub fn cbuf_alloc_owned(&self, pages: u64) -> Result<(*mut u8, CbufId), Error> {
        let (address, id) = self.manager.alloc_owned(pages)?;
        Ok((address as *mut u8, CbufId(id)))
    }

    /// Gives owned pages back; whatever pointed to them faults from here on. Calls the manager.
    /// [`Error::BadBuffer`]: not an owned buffer of this component's, or freed already.
    ///
    /// # Safety
    /// Nothing uses the memory any more, and no [`Owned`] has it.
    pub unsafe fn cbuf_free_owned(&self, id: CbufId) -> Result<(), Error> {
        self.manager.free_owned(id.0)
    }
}

/// Memory of this component's own, freed on drop.
pub struct Owned<'c> {
    client: &'c Client,
    start: *mut u8,
    bytes: usize,
    id: CbufId,
}

// SAFETY: it is the only way to its memory, like a box.
unsafe impl Send for Owned<'_> {}
// SAFETY: shared, it only reads.
unsafe impl Sync for Owned<'_> {}

impl<'c> Owned<'c> {
    /// See [`Client::cbuf_alloc_owned`].
    pub fn alloc(client: &'c Client, pages: u64) -> Result<Self, Error> {
        let bytes = usize::try_from(pages)
            .ok()
            .and_then(|n| n.checked_mul(PAGE));
        let bytes = bytes.ok_or(Error::NoMemory)?;
        let (start, id) = client.cbuf_alloc_owned(pages)?;
        Ok(Self {
            client,
            start,
            bytes,
            id,
        })
    }

    /// The manager's name for it, which is nothing to any other component.
    pub fn id(&self) -> CbufId {
        self.id
    }
}

impl Deref for Owned<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: the manager mapped so many bytes there, zeroed, for this component alone, until
        // they are freed on drop.
        unsafe { core::slice::from_raw_parts(self.start, self.bytes) }
    }
}

impl DerefMut for Owned<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { core::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        // SAFETY: nobody borrows it any more, and it was never given away.
        let freed = unsafe { self.client.cbuf_free_owned(self.id) };
        debug_assert!(freed.is_ok(), "an owned buffer was freed behind its back");
    }
}
