//! Aggregates: arrays of (id, offset, length) that are themselves in a buffer, so that bytes which
//! lie in many buffers travel as one, and headers are put before data without a copy. An entry is
//! a stretch of bytes or another aggregate; an aggregate of stretches alone has depth 1, and
//! [`MAX_DEPTH`] is the most. Source: CBUFs, section 2.2.

use crate::buffer::{Buffer, Cbuf};
use crate::client::Client;
use crate::meta::CbufId;
use crate::wire::CbufRef;
use abi::layout::PAGE;
use abi::{ComponentId, Error};

/// How deep aggregates nest.
pub const MAX_DEPTH: usize = 4;
/// Entries in an aggregate and all that it contains: what a receipt costs has a bound.
pub const MAX_ENTRIES: usize = PAGE / Entry::WIRE;

/// One entry: 16 bytes, little-endian: a buffer as it travels, and what lies in it.
#[derive(Clone, Copy)]
struct Entry {
    part: CbufRef,
    kind: u32,
}

impl Entry {
    const WIRE: usize = 16;
    const BYTES: u32 = 0;
    const AGGREGATE: u32 = 1;

    fn to_bytes(self) -> [u8; Self::WIRE] {
        let mut out = [0; Self::WIRE];
        out[..CbufRef::WIRE].copy_from_slice(&self.part.to_bytes());
        out[CbufRef::WIRE..].copy_from_slice(&self.kind.to_le_bytes());
        out
    }

    /// Entry `n` of a table, copied out of it before it is looked at, for its sender may still
    /// write there.
    fn read(table: &[u8], n: usize) -> Option<Self> {
        let wire = table
            .get(n * Self::WIRE..)?
            .first_chunk::<{ Self::WIRE }>()?;
        let copy: [u8; Self::WIRE] = core::hint::black_box(*wire);
        let (part, kind) = copy.split_first_chunk::<{ CbufRef::WIRE }>()?;
        Some(Self {
            part: CbufRef::from_bytes(*part),
            kind: u32::from_le_bytes(kind.try_into().ok()?),
        })
    }
}

/// An aggregate: owns a reference to each buffer in it, and drops them with itself. Nobody else
/// sees it until it is sent, which consumes it.
#[derive(Debug)]
pub struct Aggregate<'c> {
    client: &'c Client,
    /// Entries, this component's own; `None` once it is sent or part of another.
    table: Option<Buffer<'c>>,
    count: usize,
    /// Entries here and below.
    entries: usize,
    depth: usize,
    bytes: u64,
}

impl<'c> Aggregate<'c> {
    /// An empty one. **Blocks** in the manager while the pool is exhausted.
    pub fn new(client: &'c Client) -> Result<Self, Error> {
        Buffer::alloc(client, PAGE).map(|table| Self::of(client, table))
    }

    /// An empty one; never waits: [`Error::NoMemory`] when the pool is exhausted.
    pub fn try_new(client: &'c Client) -> Result<Self, Error> {
        Buffer::try_alloc(client, PAGE).map(|table| Self::of(client, table))
    }

    fn of(client: &'c Client, table: Buffer<'c>) -> Self {
        Self {
            client,
            table: Some(table),
            count: 0,
            entries: 0,
            depth: 1,
            bytes: 0,
        }
    }

    /// Bytes of all stretches.
    pub fn len(&self) -> u64 {
        self.bytes
    }
    /// Whether there is no byte in it.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }
    /// Tables from this one to the innermost, itself included: 1 to [`MAX_DEPTH`].
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Appends a stretch. [`Error::NoMemory`]: there are [`MAX_ENTRIES`]; the part is dropped.
    pub fn push(&mut self, part: Cbuf<'c>) -> Result<(), Error> {
        self.has_room(1)?;
        self.bytes += part.len() as u64;
        self.append(part, Entry::BYTES);
        self.entries += 1;
        Ok(())
    }

    /// Appends an aggregate, as one entry. [`Error::NoMemory`]: more than [`MAX_ENTRIES`] in all;
    /// [`Error::BadSize`]: deeper than [`MAX_DEPTH`], or empty. Then it is dropped.
    pub fn push_aggregate(&mut self, mut part: Aggregate<'c>) -> Result<(), Error> {
        if part.depth >= MAX_DEPTH || part.count == 0 {
            return Err(Error::BadSize);
        }
        self.has_room(1 + part.entries)?;
        let Some(table) = part.table.take() else {
            return Err(Error::BadState);
        };
        self.bytes += part.bytes;
        self.entries += 1 + part.entries;
        self.depth = self.depth.max(part.depth + 1);
        self.append(table.freeze(part.count * Entry::WIRE), Entry::AGGREGATE);
        Ok(())
    }

    fn has_room(&self, more: usize) -> Result<(), Error> {
        if self.entries + more > MAX_ENTRIES {
            return Err(Error::NoMemory);
        }
        Ok(())
    }

    /// Makes the entry the owner of the part's reference. There is room: no table has more
    /// entries than the whole.
    fn append(&mut self, part: Cbuf<'c>, kind: u32) {
        let at = self.count * Entry::WIRE;
        let place = self
            .table
            .as_mut()
            .and_then(|table| table.get_mut(at..at + Entry::WIRE));
        if let Some(place) = place {
            let part = part.into_parts();
            place.copy_from_slice(&Entry { part, kind }.to_bytes());
            self.count += 1;
        }
    }

    /// Sends it with all that is in it, and drops it. Each answer must be passed once (one that is
    /// not after all: [`Aggregate::take_back`]).
    #[must_use = "a send that nobody receives keeps the buffers from ever being collected"]
    pub fn send(mut self, to: ComponentId) -> CbufRef {
        let Some(table) = self.table.take() else {
            return CbufRef::NONE;
        };
        if self.count == 0 {
            return CbufRef::NONE;
        }
        let table = table.freeze(self.count * Entry::WIRE);
        give_up(self.client, &table, &mut |part| {
            // What it answers stands in the table.
            let _ = part.send(to);
        });
        table.send(to)
    }

    /// Takes what `from` sent: `sent` is the answer of its [`Aggregate::send`]; [`CbufRef::NONE`]
    /// is an empty one. What comes has depth 1: its stretches in order. All or nothing, and in
    /// either case every send that can be found is matched by a receipt. [`Error::BadBuffer`]: not an
    /// array of entries, one that does not hold what it names, that was not sent here by `from`,
    /// or that contains itself; [`Error::BadSize`]: too deep, or too many entries.
    ///
    /// Needs a page of the receiver's own, for which it never waits, so that whoever sends to a
    /// server does not keep the server's threads: [`Error::NoMemory`] when the pool is exhausted.
    pub fn receive(client: &'c Client, sent: CbufRef, from: ComponentId) -> Result<Self, Error> {
        let mut whole = Self::try_new(client);
        if !sent.is_none() {
            let mut receipt = Receipt {
                client,
                from,
                path: [CbufId::NONE; MAX_DEPTH],
                entries: 0,
                first_error: None,
            };
            receipt.table(sent, 0, &mut |part| {
                if let Ok(whole) = &mut whole {
                    whole.push(part)?;
                }
                Ok(())
            });
            if let Some(error) = receipt.first_error {
                return Err(error);
            }
        }
        whole
    }

    /// Takes back a whole aggregate that this component sent and knows not to be received by
    /// anyone, and drops it.
    #[cold]
    pub fn take_back(client: &'c Client, sent: CbufRef) {
        take_back(client, sent, MAX_DEPTH);
    }

    /// The stretches, in order.
    pub fn parts(&self) -> Parts<'_, 'c> {
        let mut path = [(&[][..], 0); MAX_DEPTH];
        let table = self.table.as_deref().unwrap_or_default();
        path[0].0 = &table[..self.count * Entry::WIRE];
        Parts {
            client: self.client,
            path,
            depth: 1,
        }
    }
}

impl Drop for Aggregate<'_> {
    fn drop(&mut self) {
        if let Some(table) = self.table.take() {
            let table = &table[..self.count * Entry::WIRE];
            give_up(self.client, table, &mut |_| {});
        }
    }
}

/// Drops all that the entries of a table of our own hold, from the innermost, each after `each`.
fn give_up<'c>(client: &'c Client, table: &[u8], each: &mut dyn FnMut(&Cbuf<'c>)) {
    for n in 0.. {
        let Some(entry) = Entry::read(table, n) else {
            return;
        };
        // SAFETY: the entry's reference, which ends here.
        let Some(part) = (unsafe { Cbuf::from_parts(client, entry.part) }) else {
            continue;
        };
        if entry.kind == Entry::AGGREGATE {
            give_up(client, &part, each);
        }
        each(&part);
    }
}

/// `levels` is how many more there can be.
fn take_back(client: &Client, sent: CbufRef, levels: usize) {
    // No aggregate is no buffer, and there is none with id 0.
    let Ok(table) = Cbuf::take_back(client, sent) else {
        return;
    };
    for n in 0..MAX_ENTRIES {
        match Entry::read(&table, n) {
            None => return,
            Some(entry) if entry.kind == Entry::AGGREGATE && levels > 1 => {
                take_back(client, entry.part, levels - 1);
            }
            Some(entry) => drop(Cbuf::take_back(client, entry.part)),
        }
    }
}

/// An aggregate on its way in.
struct Receipt<'c> {
    client: &'c Client,
    from: ComponentId,
    /// The tables that the one being read lies in, outermost first.
    path: [CbufId; MAX_DEPTH],
    entries: usize,
    first_error: Option<Error>,
}

impl<'c> Receipt<'c> {
    fn fails(&mut self, error: Error) {
        self.first_error.get_or_insert(error);
    }

    /// Receives a table that lies in `depth` others, and what its entries name.
    fn table(
        &mut self,
        sent: CbufRef,
        depth: usize,
        each: &mut dyn FnMut(Cbuf<'c>) -> Result<(), Error>,
    ) {
        let table = match Cbuf::receive(self.client, sent, self.from) {
            Ok(table) => table,
            Err(error) => return self.fails(error),
        };
        if depth == MAX_DEPTH {
            return self.fails(Error::BadSize);
        }
        let id = CbufId(sent.id);
        if self.path[..depth].contains(&id) || table.len() % Entry::WIRE != 0 || table.is_empty() {
            return self.fails(Error::BadBuffer);
        }
        self.path[depth] = id;
        for n in 0..table.len() / Entry::WIRE {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return self.fails(Error::BadSize);
            }
            let Some(entry) = Entry::read(&table, n) else {
                return self.fails(Error::BadBuffer);
            };
            match entry.kind {
                Entry::AGGREGATE => self.table(entry.part, depth + 1, each),
                Entry::BYTES => {
                    let part = Cbuf::receive(self.client, entry.part, self.from);
                    if let Err(error) = part.and_then(&mut *each) {
                        self.fails(error);
                    }
                }
                _ => self.fails(Error::BadBuffer),
            }
        }
    }
}

/// Iterates over the stretches of an [`Aggregate`], as bytes.
#[derive(Debug)]
pub struct Parts<'a, 'c> {
    client: &'c Client,
    /// Tables, and how far each is read; `depth` of them.
    path: [(&'a [u8], usize); MAX_DEPTH],
    depth: usize,
}

impl<'a> Iterator for Parts<'a, '_> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let (table, next) = self.path.get_mut(self.depth.checked_sub(1)?)?;
            let Some(entry) = Entry::read(table, *next) else {
                self.depth -= 1;
                continue;
            };
            *next += 1;
            // SAFETY: the aggregate, which is borrowed as long, holds a reference to it.
            let bytes = unsafe { Cbuf::bytes_of(self.client, entry.part) }?;
            if entry.kind == Entry::BYTES {
                return Some(bytes);
            }
            *self.path.get_mut(self.depth)? = (bytes, 0);
            self.depth += 1;
        }
    }
}
