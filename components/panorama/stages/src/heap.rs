//! Memory of a host for the stages: bounded, and counted.

use alloc::rc::Rc;
use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ops::{Deref, DerefMut};

use cistern_image::{Full, Memory};
use zerocopy::IntoBytes;

#[derive(Default)]
struct Account {
    used: Cell<usize>,
    peak: Cell<usize>,
}

/// Memory from the allocator, up to a limit.
pub struct Heap {
    account: Rc<Account>,
    limit: usize,
}

impl Heap {
    pub fn new(limit: usize) -> Self {
        Self {
            account: Rc::default(),
            limit,
        }
    }

    /// Bytes in rooms and in what was finished and is still held.
    pub fn used(&self) -> usize {
        self.account.used.get()
    }

    /// The most that were ever used at once.
    pub fn peak(&self) -> usize {
        self.account.peak.get()
    }
}

/// Words, so that records lie as they must.
pub struct Room {
    words: Vec<u64>,
    account: Rc<Account>,
}

impl Deref for Room {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        self.words.as_bytes()
    }
}

impl DerefMut for Room {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.words.as_mut_bytes()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let used = &self.account.used;
        used.set(used.get() - self.len());
    }
}

/// The beginning of a room, shared.
#[derive(Clone)]
pub struct Finished {
    room: Rc<Room>,
    bytes: usize,
}

impl Deref for Finished {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.room[..self.bytes]
    }
}

impl Memory for Heap {
    type Room = Room;
    type Bytes = Finished;

    fn room(&self, bytes: usize) -> Result<Room, Full> {
        let words = bytes.div_ceil(8);
        let used = self.used() + 8 * words;
        if used > self.limit {
            return Err(Full { bytes });
        }
        self.account.used.set(used);
        self.account.peak.set(self.peak().max(used));
        Ok(Room {
            words: vec![0; words],
            account: self.account.clone(),
        })
    }

    fn finish(&self, room: Room, bytes: usize) -> Finished {
        let bytes = bytes.min(room.len());
        Finished {
            room: Rc::new(room),
            bytes,
        }
    }
}

impl Heap {
    /// A copy of these bytes, for what comes from outside.
    pub fn keep(&self, bytes: &[u8]) -> Result<Finished, Full> {
        let mut room = self.room(bytes.len())?;
        room[..bytes.len()].copy_from_slice(bytes);
        Ok(self.finish(room, bytes.len()))
    }
}
