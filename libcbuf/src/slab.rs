//! Pieces of pages: small pieces of one size, such as packet headers, many in one buffer. Each piece
//! holds a reference to its page, so the page is garbage when the last piece of it is, wherever
//! the pieces went. A place is used once in the life of a page: who was sent a piece may look at
//! it for as long as it likes, and at all of its page: what not every receiver may see goes into
//! slabs of its own. Source: CBUFs, section 3.6 (sub-page allocations).

use crate::buffer::{Buffer, Cbuf};
use crate::client::Client;
use abi::Error;
use abi::layout::PAGE;
use core::ops::{Deref, DerefMut};

/// Pieces are aligned to this.
const ALIGN: usize = 16;

/// Where pieces of one size come from.
#[derive(Debug)]
pub struct Slab<'c> {
    client: &'c Client,
    /// Bytes of a piece.
    size: usize,
    /// The page that is being used up. Its bytes are never looked at through this handle.
    page: Option<Cbuf<'c>>,
    /// Where its unused part begins.
    next: usize,
}

impl<'c> Slab<'c> {
    /// Allocates nothing yet. [`Error::BadSize`]: no bytes, or more than half a page, which has
    /// nothing to share.
    pub fn new(client: &'c Client, size: usize) -> Result<Self, Error> {
        if size == 0 || size > PAGE / 2 {
            return Err(Error::BadSize);
        }
        Ok(Self {
            client,
            size: size.next_multiple_of(ALIGN),
            page: None,
            next: 0,
        })
    }

    /// A piece of at least the size asked for, with whatever is there. Allocates a page for as
    /// many as it holds, and **blocks** then in the manager while the pool is exhausted.
    pub fn alloc(&mut self) -> Result<Piece<'c>, Error> {
        let page = match self.page.take() {
            Some(page) if self.next + self.size <= PAGE => page,
            full => {
                drop(full);
                self.next = 0;
                Buffer::alloc(self.client, PAGE)?.freeze(PAGE)
            }
        };
        let bytes = page.slice(self.next..self.next + self.size);
        self.next += self.size;
        self.page = Some(page);
        Ok(Piece { bytes })
    }
}

/// A writable piece, which only its holder can see. [`Piece::freeze`] makes what can be sent; not
/// with `send_sealed`, which takes the right to write the whole page.
#[derive(Debug)]
pub struct Piece<'c> {
    bytes: Cbuf<'c>,
}

impl<'c> Piece<'c> {
    /// Ends writing: an immutable handle to the first `len` bytes (at most all).
    pub fn freeze(self, len: usize) -> Cbuf<'c> {
        self.bytes.slice(..len)
    }
}

impl Deref for Piece<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Piece<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        let start = self.bytes.as_ptr().cast_mut();
        // SAFETY: this component's own page, so it is writable; the slab gives each place of a
        // page to one piece and never looks at it, and `&mut self` is the only way to this one.
        unsafe { core::slice::from_raw_parts_mut(start, self.bytes.len()) }
    }
}
