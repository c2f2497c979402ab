//! Many records in one invocation: an array of them in a buffer, sent like any other. What the
//! interface language calls `batch<T>`. Source: CBUFs, section 2.2 (aggregates).

use crate::buffer::{Buffer, Cbuf};
use crate::client::Client;
use crate::wire::CbufRef;
use abi::layout::PAGE;
use abi::{ComponentId, Error};
use core::marker::PhantomData;

/// A record of a batch: fields little-endian, each aligned to its size; a buffer is 12 bytes.
pub trait Record<'c>: Sized {
    /// Bytes of one record; at most [`MAX_WIRE`], not 0.
    const WIRE: usize;

    /// Where its buffer fields lie: offset of each [`CbufRef`].
    const CBUFS: &'static [usize];

    /// Writes the record into `out` ([`Record::WIRE`] bytes), sending the buffers in it to `to`.
    fn encode(self, client: &'c Client, to: ComponentId, out: &mut [u8]);

    /// Reads a record from `wire` ([`Record::WIRE`] bytes), receiving the buffers in it, which
    /// `from` sent.
    fn decode(client: &'c Client, from: ComponentId, wire: &[u8]) -> Result<Self, Error>;
}

/// Largest [`Record::WIRE`].
pub const MAX_WIRE: usize = 256;

/// Writes a buffer field: sends `cbuf` to `to` and drops our reference. For [`Record::encode`];
/// nothing happens when `out` is not 12 bytes long.
pub fn put_cbuf(cbuf: Option<Cbuf<'_>>, to: ComponentId, out: &mut [u8]) {
    if let Ok(out) = <&mut [u8; CbufRef::WIRE]>::try_from(out) {
        *out = cbuf.map_or(CbufRef::NONE, |c| c.send(to)).to_bytes();
    }
}

/// Reads a buffer field and receives what it names. For [`Record::decode`].
pub fn take_cbuf<'c>(
    client: &'c Client,
    from: ComponentId,
    wire: &[u8],
) -> Result<Option<Cbuf<'c>>, Error> {
    let wire = <[u8; CbufRef::WIRE]>::try_from(wire).map_err(|_| Error::BadBuffer)?;
    match CbufRef::from_bytes(wire) {
        sent if sent.is_none() => Ok(None),
        sent => Cbuf::receive(client, sent, from).map(Some),
    }
}

/// Takes back what records that nobody will receive have sent.
fn take_records_back<'c, T: Record<'c>>(client: &'c Client, records: &[u8]) {
    for record in records.chunks_exact(T::WIRE) {
        let fields = T::CBUFS.iter().filter_map(|at| record.get(*at..));
        for wire in fields.filter_map(|rest| rest.first_chunk()) {
            // No buffer has id 0, and what is gone needs no taking back.
            drop(Cbuf::take_back(client, CbufRef::from_bytes(*wire)));
        }
    }
}

/// A batch being filled. Dropped unsent, it takes the sends of its records back.
pub struct Batch<'c, T: Record<'c>> {
    inner: Option<(&'c Client, Buffer<'c>)>,
    to: ComponentId,
    count: u32,
    records: PhantomData<T>,
}

impl<'c, T: Record<'c>> Batch<'c, T> {
    const CHECKED: () = assert!(T::WIRE > 0 && T::WIRE <= MAX_WIRE);

    /// A batch of one page for `to`. **Blocks** in the manager while the pool is exhausted.
    pub fn new(client: &'c Client, to: ComponentId) -> Result<Self, Error> {
        Self::with_capacity(client, to, PAGE / T::WIRE)
    }

    /// A batch with room for at least `records`.
    pub fn with_capacity(
        client: &'c Client,
        to: ComponentId,
        records: usize,
    ) -> Result<Self, Error> {
        let bytes = Self::bytes(records)?;
        Ok(Self::of(client, to, Buffer::alloc(client, bytes)?))
    }

    /// The same, but never waits: [`Error::NoMemory`] when the pool is exhausted. For components
    /// that others need in order to free memory.
    pub fn try_with_capacity(
        client: &'c Client,
        to: ComponentId,
        records: usize,
    ) -> Result<Self, Error> {
        let bytes = Self::bytes(records)?;
        Ok(Self::of(client, to, Buffer::try_alloc(client, bytes)?))
    }

    fn bytes(records: usize) -> Result<usize, Error> {
        let () = Self::CHECKED;
        records.checked_mul(T::WIRE).ok_or(Error::BadSize)
    }

    fn of(client: &'c Client, to: ComponentId, buffer: Buffer<'c>) -> Self {
        Self {
            inner: Some((client, buffer)),
            to,
            count: 0,
            records: PhantomData,
        }
    }

    /// A batch in a buffer that is there: for whoever must not wait for one, or not for ever.
    pub fn in_buffer(buffer: Buffer<'c>, to: ComponentId) -> Self {
        let () = Self::CHECKED;
        Self {
            inner: Some((buffer.client(), buffer)),
            to,
            count: 0,
            records: PhantomData,
        }
    }

    /// The empty batch: no buffer, no room.
    pub const fn none() -> Self {
        Self {
            inner: None,
            to: ComponentId::INIT,
            count: 0,
            records: PhantomData,
        }
    }

    /// Records there is room for in all.
    pub fn capacity(&self) -> usize {
        self.inner.as_ref().map_or(0, |(_, b)| b.len() / T::WIRE)
    }
    /// Records in it.
    pub fn len(&self) -> usize {
        self.count as usize
    }
    /// Whether none is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
    /// Whether there is room for no more records.
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// Appends a record and sends the buffers in it. [`Error::NoMemory`]: no room left; the
    /// record is dropped.
    pub fn push(&mut self, record: T) -> Result<(), Error> {
        let at = self.len() * T::WIRE;
        let (client, buffer) = self.inner.as_mut().ok_or(Error::NoMemory)?;
        let out = buffer.get_mut(at..at + T::WIRE).ok_or(Error::NoMemory)?;
        out.fill(0);
        record.encode(client, self.to, out);
        self.count += 1;
        Ok(())
    }

    /// Sends the batch: id | records << 32, or 0 when it is empty.
    pub fn into_wire(mut self) -> u64 {
        match self.inner.take() {
            Some((_, buffer)) if self.count > 0 => {
                let bytes = self.len() * T::WIRE;
                let sent = buffer.freeze(bytes).send(self.to);
                sent.id as u64 | (self.count as u64) << 32
            }
            _ => 0,
        }
    }

    /// Takes a whole batch back, records and all: `wire` is what [`Batch::into_wire`] answered,
    /// and nobody will receive it.
    #[cold]
    pub fn take_back(client: &'c Client, wire: u64) {
        let sent = CbufRef {
            id: wire as u32,
            offset: 0,
            len: (wire >> 32) as u32 * T::WIRE as u32,
        };
        // No batch is no buffer, and there is none with id 0.
        if let Ok(batch) = Cbuf::take_back(client, sent) {
            take_records_back::<T>(client, &batch);
        }
    }
}

impl<'c, T: Record<'c>> Drop for Batch<'c, T> {
    fn drop(&mut self) {
        let Some((client, buffer)) = self.inner.take() else {
            return;
        };
        take_records_back::<T>(client, &buffer[..self.count as usize * T::WIRE]);
    }
}

/// A batch received. Each record is copied out of the shared buffer before it is looked at.
/// Dropping it receives and frees what is left, then frees the batch.
pub struct Incoming<'c, T: Record<'c>> {
    inner: Option<(&'c Client, Cbuf<'c>)>,
    from: ComponentId,
    next: u32,
    count: u32,
    records: PhantomData<T>,
}

impl<'c, T: Record<'c>> Incoming<'c, T> {
    /// Takes a batch that `from` sent, by the word it travels as. [`Error::BadBuffer`]: unknown,
    /// not sent to us by `from`, or shorter than its number of records asks.
    pub fn from_wire(client: &'c Client, wire: u64, from: ComponentId) -> Result<Self, Error> {
        const { assert!(T::WIRE > 0 && T::WIRE <= MAX_WIRE) };
        let count = (wire >> 32) as u32;
        if wire == 0 {
            return Ok(Self::none());
        }
        let bytes = count as u64 * T::WIRE as u64;
        let sent = CbufRef {
            id: wire as u32,
            offset: 0,
            len: u32::try_from(bytes).map_err(|_| Error::BadBuffer)?,
        };
        Ok(Self {
            inner: Some((client, Cbuf::receive(client, sent, from)?)),
            from,
            next: 0,
            count,
            records: PhantomData,
        })
    }

    /// The empty batch.
    pub const fn none() -> Self {
        Self {
            inner: None,
            from: ComponentId::INIT,
            next: 0,
            count: 0,
            records: PhantomData,
        }
    }

    /// Records not taken yet.
    pub fn len(&self) -> usize {
        (self.count - self.next) as usize
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'c, T: Record<'c>> Iterator for Incoming<'c, T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let (client, cbuf) = self.inner.as_ref()?;
        if self.next == self.count {
            return None;
        }
        let at = self.next as usize * T::WIRE;
        let mut copy = [0; MAX_WIRE];
        let copy = &mut copy[..T::WIRE];
        copy.copy_from_slice(cbuf.get(at..at + T::WIRE)?);
        self.next += 1;
        // The sender may still write the buffer: what is decoded must be the copy, not a second
        // read that the compiler puts in its place.
        Some(T::decode(client, self.from, core::hint::black_box(copy)))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.len(), Some(self.len()))
    }
}

impl<'c, T: Record<'c>> Drop for Incoming<'c, T> {
    fn drop(&mut self) {
        for record in self.by_ref() {
            drop(record);
        }
    }
}
