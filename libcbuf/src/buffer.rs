//! Buffers as types: [`Buffer`] is writable and unique, [`Cbuf`] immutable and counted. Sending
//! needs a `Cbuf`, so nothing that was sent is written through safe code, and every handle's
//! drop drops exactly its reference. Source: CBUFs, sections 2.2 and 2.3.
//!
//! This is how it goes:
//! ```
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let mut buffer = Buffer::alloc(client, 2)?;
//! buffer[0] = 1;
//! let cbuf = buffer.freeze(1);
//! let sent = cbuf.send(to);
//! let mut whole = Aggregate::new(client)?;
//! whole.push(cbuf)?;
//! let more = whole.send(to);
//! Ok((sent, more))
//! # }
//! ```
//! What is frozen is not written:
//! ```compile_fail,E0382
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let mut buffer = Buffer::alloc(client, 2)?;
//! let cbuf = buffer.freeze(1);
//! buffer[0] = 1;
//! Ok((cbuf.send(to), cbuf.send(to)))
//! # }
//! ```
//! What is sent is gone:
//! ```compile_fail,E0382
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let mut buffer = Buffer::alloc(client, 2)?;
//! let sent = buffer.send(1, to);
//! buffer[0] = 1;
//! Ok((sent, CbufRef::NONE))
//! # }
//! ```
//! What was received is neither written nor made writable:
//! ```compile_fail,E0594
//! # use libcbuf::{Cbuf, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, sent: CbufRef, from: ComponentId) -> Result<(), Error> {
//! let mut cbuf = Cbuf::receive(client, sent, from)?;
//! cbuf[0] = 1;
//! Ok(())
//! # }
//! ```
//! ```compile_fail,E0308
//! # use libcbuf::{Buffer, Cbuf, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, sent: CbufRef, from: ComponentId) -> Result<(), Error> {
//! let buffer: Buffer<'_> = Cbuf::receive(client, sent, from)?;
//! drop(buffer);
//! Ok(())
//! # }
//! ```
//! It is freed once:
//! ```compile_fail,E0382
//! # use libcbuf::{Cbuf, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, sent: CbufRef, from: ComponentId) -> Result<(), Error> {
//! let cbuf = Cbuf::receive(client, sent, from)?;
//! drop(cbuf);
//! drop(cbuf);
//! Ok(())
//! # }
//! ```
//! What is frozen, and may be shared, is not written:
//! ```compile_fail,E0594
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let mut cbuf = Buffer::alloc(client, 2)?.freeze(1);
//! cbuf[0] = 1;
//! Ok((cbuf.send(to), cbuf.send(to)))
//! # }
//! ```
//! A writable buffer has one owner:
//! ```compile_fail,E0599
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let buffer = Buffer::alloc(client, 2)?;
//! drop(buffer.clone());
//! Ok((CbufRef::NONE, CbufRef::NONE))
//! # }
//! ```
//! Bytes do not outlive their handle:
//! ```compile_fail,E0505
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let cbuf = Buffer::alloc(client, 2)?.freeze(1);
//! let bytes: &[u8] = &cbuf;
//! drop(cbuf);
//! assert_eq!(bytes, [0]);
//! Ok((CbufRef::NONE, CbufRef::NONE))
//! # }
//! ```
//! A part is its aggregate's, and an aggregate is gone when it is sent:
//! ```compile_fail,E0382
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let cbuf = Buffer::alloc(client, 2)?.freeze(1);
//! let mut whole = Aggregate::new(client)?;
//! whole.push(cbuf)?;
//! Ok((cbuf.send(to), whole.send(to)))
//! # }
//! ```
//! ```compile_fail,E0382
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let whole = Aggregate::new(client)?;
//! Ok((whole.send(to), whole.send(to)))
//! # }
//! ```
//! Nor do its parts' bytes outlive it:
//! ```compile_fail,E0505
//! # use libcbuf::{Aggregate, Client, Error};
//! # fn example(client: &Client) -> Result<(), Error> {
//! let whole = Aggregate::new(client)?;
//! let first = whole.parts().next();
//! drop(whole);
//! assert_eq!(first, None);
//! Ok(())
//! # }
//! ```
//! A piece of a page is not written once it is frozen:
//! ```compile_fail,E0382
//! # use libcbuf::{Client, Error, Slab};
//! # fn example(client: &Client) -> Result<(), Error> {
//! let mut piece = Slab::new(client, 64)?.alloc()?;
//! let cbuf = piece.freeze(64);
//! piece[0] = 1;
//! drop(cbuf);
//! Ok(())
//! # }
//! ```
//! The calls that could undo all this are not safe:
//! ```compile_fail,E0133
//! # use libcbuf::{Aggregate, Buffer, CbufRef, Client, ComponentId, Error};
//! # fn example(client: &Client, to: ComponentId) -> Result<(CbufRef, CbufRef), Error> {
//! let buffer = Buffer::alloc(client, 2)?;
//! client.cbuf_free(buffer.id());
//! Ok((CbufRef::NONE, CbufRef::NONE))
//! # }
//! ```

use crate::client::{Allocated, Client};
use crate::meta::{CbufId, Record, State};
use crate::wire::CbufRef;
use abi::{ComponentId, Error};
use core::mem::ManuallyDrop;
use core::ops::{Bound, Deref, DerefMut, RangeBounds};
use core::ptr::NonNull;

/// A buffer that only its holder can see: writable, as long as whole pages (at least the bytes
/// asked for), with whatever its last use left in it. Dropping it gives it back at once.
pub struct Buffer<'c> {
    client: &'c Client,
    record: &'c Record,
    address: NonNull<u8>,
    id: CbufId,
    bytes: usize,
}

// SAFETY: the one holder of its memory; the client and the record are `Sync`.
unsafe impl Send for Buffer<'_> {}
// SAFETY: as above.
unsafe impl Sync for Buffer<'_> {}

impl<'c> Buffer<'c> {
    /// At least `bytes`. **Blocks** in the manager while the pool is exhausted; errors as
    /// [`Client::cbuf_alloc`].
    #[inline]
    pub fn alloc(client: &'c Client, bytes: usize) -> Result<Self, Error> {
        client.allocate(bytes, true).map(|a| Self::from(client, a))
    }

    /// At least `bytes`; never waits: [`Error::NoMemory`] when the pool is exhausted.
    #[inline]
    pub fn try_alloc(client: &'c Client, bytes: usize) -> Result<Self, Error> {
        client.allocate(bytes, false).map(|a| Self::from(client, a))
    }

    #[inline]
    fn from(client: &'c Client, a: Allocated<'c>) -> Self {
        Self {
            client,
            record: a.record,
            // SAFETY: what was allocated is mapped, and nothing is mapped at address 0.
            address: unsafe { NonNull::new_unchecked(a.address) },
            id: a.id,
            bytes: a.bytes,
        }
    }

    pub(crate) fn client(&self) -> &'c Client {
        self.client
    }

    #[inline]
    pub fn id(&self) -> CbufId {
        self.id
    }

    /// Sends the first `len` bytes (at most all) to `to`, and keeps nothing of it: [`Buffer::freeze`]
    /// and [`Cbuf::send`] in one. The answer must be passed once.
    #[inline]
    #[must_use = "a send that nobody receives keeps the buffer from ever being collected"]
    pub fn send(self, len: usize, to: ComponentId) -> CbufRef {
        self.freeze(len).send(to)
    }

    /// Ends writing: an immutable handle to the first `len` bytes (at most all).
    #[inline]
    pub fn freeze(self, len: usize) -> Cbuf<'c> {
        let this = ManuallyDrop::new(self);
        this.client.share(this.record);
        Cbuf {
            client: this.client,
            record: this.record,
            address: this.address,
            id: this.id,
            offset: 0,
            len: len.min(this.bytes) as u32,
        }
    }
}

impl Deref for Buffer<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the buffer is mapped writable for `bytes` while referenced, and exclusive.
        unsafe { core::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }
}

impl DerefMut for Buffer<'_> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as for `deref`; `&mut self` makes it the only access.
        unsafe { core::slice::from_raw_parts_mut(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for Buffer<'_> {
    #[inline]
    fn drop(&mut self) {
        self.client.release_exclusive(self.id, self.record);
    }
}

impl core::fmt::Debug for Buffer<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Buffer({}, {} bytes)", self.id.0, self.bytes)
    }
}

/// A reference to an immutable stretch of a buffer: a frozen one of our own, or one received. A
/// received buffer is mapped read-only here, but its producer can still write it: code that
/// parses one from a component it does not trust copies what it decides upon, or insists on
/// [`Cbuf::is_sealed`].
pub struct Cbuf<'c> {
    client: &'c Client,
    record: &'c Record,
    /// Where the stretch begins.
    address: NonNull<u8>,
    id: CbufId,
    offset: u32,
    len: u32,
}

// SAFETY: shared memory that is only read through it; the client and the record are `Sync`.
unsafe impl Send for Cbuf<'_> {}
// SAFETY: as above.
unsafe impl Sync for Cbuf<'_> {}

impl<'c> Cbuf<'c> {
    /// Takes what `from` sent. Calls the manager on the first receipt of a buffer from `from`.
    /// [`Error::BadBuffer`]: unknown, not sent to us by `from`, or the stretch leaves the buffer.
    #[inline]
    pub fn receive(client: &'c Client, sent: CbufRef, from: ComponentId) -> Result<Self, Error> {
        let found = client.receive(CbufId(sent.id), sent.offset, sent.len, from)?;
        Ok(Self::of(client, sent, found))
    }

    /// Takes back what this component itself sent and knows not to be received by anyone.
    /// [`Error::BadBuffer`]: not here any more. Only for answers of [`Cbuf::send`], each once:
    /// of what others say nothing is checked.
    pub fn take_back(client: &'c Client, sent: CbufRef) -> Result<Self, Error> {
        let found = client.take_back(CbufId(sent.id), sent.offset, sent.len)?;
        Ok(Self::of(client, sent, found))
    }

    #[inline]
    fn of(client: &'c Client, sent: CbufRef, found: (*const u8, &'c Record)) -> Self {
        let (address, record) = found;
        Self {
            client,
            record,
            // SAFETY: what was received is mapped, and nothing is mapped at address 0.
            address: unsafe { NonNull::new_unchecked(address.cast_mut()) },
            id: CbufId(sent.id),
            offset: sent.offset,
            len: sent.len,
        }
    }

    /// Counts one send to `to` and answers what to pass. The handle stays; each answer must be
    /// passed once (one that is not passed after all: [`Cbuf::take_back`]).
    #[inline]
    #[must_use = "a send that nobody receives keeps the buffer from ever being collected"]
    pub fn send(&self, to: ComponentId) -> CbufRef {
        self.record.count_send(to);
        self.as_ref()
    }

    /// As [`Cbuf::send`], of a buffer that this component allocated, after making sure that this
    /// component cannot write it either until it is collected: for receivers that need not trust
    /// it. Calls the manager. [`Error::BadBuffer`]: allocated elsewhere; nothing is sent.
    pub fn send_sealed(&self, to: ComponentId) -> Result<CbufRef, Error> {
        self.client.manager.seal(self.id.0)?;
        Ok(self.send(to))
    }

    /// Whether a received buffer stays as it is as long as this handle: its producer cannot write
    /// it either. The manager says so, whatever the producer does. Costs one load.
    #[inline]
    pub fn is_sealed(&self) -> bool {
        self.record.load().has(State::SEALED)
    }

    /// What names the stretch, in place of the handle: whoever has it owns the reference.
    pub(crate) fn into_parts(self) -> CbufRef {
        ManuallyDrop::new(self).as_ref()
    }

    /// The handle again; `None` where nothing is here.
    ///
    /// # Safety
    /// `part` is the answer of [`Cbuf::into_parts`], and given up.
    pub(crate) unsafe fn from_parts(client: &'c Client, part: CbufRef) -> Option<Self> {
        let record = client.record(CbufId(part.id))?;
        let address = record.load().address() + part.offset as usize;
        Some(Self::of(client, part, (address as *const u8, record)))
    }

    /// The bytes of a stretch.
    ///
    /// # Safety
    /// `part` is the answer of [`Cbuf::into_parts`], and not given up for `'a`.
    pub(crate) unsafe fn bytes_of<'a>(client: &Client, part: CbufRef) -> Option<&'a [u8]> {
        let record = client.record(CbufId(part.id))?;
        let address = record.load().address() + part.offset as usize;
        // SAFETY: the stretch was checked when its handle was made, and is mapped while somebody
        // holds the reference.
        Some(unsafe { core::slice::from_raw_parts(address as *const u8, part.len as usize) })
    }

    fn as_ref(&self) -> CbufRef {
        CbufRef {
            id: self.id.0,
            offset: self.offset,
            len: self.len,
        }
    }

    /// Another handle to a part of this stretch; what lies outside is cut off.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let len = self.len as usize;
        let start = match range.start_bound() {
            Bound::Included(&n) => n,
            Bound::Excluded(&n) => n.saturating_add(1),
            Bound::Unbounded => 0,
        }
        .min(len);
        let end = match range.end_bound() {
            Bound::Included(&n) => n.saturating_add(1),
            Bound::Excluded(&n) => n,
            Bound::Unbounded => len,
        }
        .clamp(start, len);
        let mut part = self.clone();
        // SAFETY: `start` is at most `len`, so the address stays in the buffer.
        part.address = unsafe { part.address.add(start) };
        part.offset += start as u32;
        part.len = (end - start) as u32;
        part
    }

    #[inline]
    pub fn id(&self) -> CbufId {
        self.id
    }
    /// Where the stretch begins in its buffer, in bytes.
    #[inline]
    pub fn offset(&self) -> u32 {
        self.offset
    }
    #[inline]
    pub fn len(&self) -> usize {
        self.len as usize
    }
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
    #[inline]
    pub fn client(&self) -> &'c Client {
        self.client
    }
}

impl Clone for Cbuf<'_> {
    #[inline]
    fn clone(&self) -> Self {
        self.client.retain(self.record);
        Self { ..*self }
    }
}

impl Deref for Cbuf<'_> {
    type Target = [u8];
    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: checked against the buffer's size when made; mapped while we hold a reference.
        unsafe { core::slice::from_raw_parts(self.address.as_ptr(), self.len as usize) }
    }
}

impl Drop for Cbuf<'_> {
    #[inline]
    fn drop(&mut self) {
        self.client.release(self.id, self.record);
    }
}

impl core::fmt::Debug for Cbuf<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Cbuf({}, {}+{})", self.id.0, self.offset, self.len)
    }
}
