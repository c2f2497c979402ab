//! Receiving: from an id that another component names to memory. Source: CBUFs, sections 3.6
//! and 3.7.

use crate::client::Client;
use crate::meta::{CbufId, Record, State};
use abi::{ComponentId, Error};

/// Receipts stop at this many references, so that clones of what was received have room: the
/// highest bit of their count.
const RECEIVE_LIMIT: u64 = State::REFERENCES / 2 + 1;

/// How often a receipt asks the manager to map the buffer.
const MAPS: u32 = 8;

impl Client {
    /// The memory of a buffer that `from` sent, after checking that it did and that `offset` and
    /// `len` lie inside; takes a reference and counts the receipt. Calls the manager on the
    /// first receipt of a buffer from `from`. [`Error::BadBuffer`] otherwise: above all for a
    /// buffer that this component has, but not from `from`.
    #[inline]
    pub fn cbuf2buf(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<*const u8, Error> {
        self.receive(id, offset, len, from)
            .map(|(address, _)| address)
    }

    #[inline]
    pub(crate) fn receive(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<(*const u8, &Record), Error> {
        if let Some(record) = self.trie.record_or_none(id) {
            let state = record.load();
            if receivable(state, offset, len)
                && let Ok(state) = record.take_reference(state)
            {
                let address = pointer(state, offset);
                // Only now, when the record cannot be taken away: before, the id may yet come to
                // name another buffer, in the same place, that `from` did not send.
                if record.admits(from) {
                    record.count_receipt();
                    return Ok((address, record));
                }
                self.drop_foreign(id);
            }
        }
        // Taken apart, so that what is short stays in registers.
        let (address, record) = self.receive_rarely(id, offset, len, from)?;
        Ok((address, record))
    }

    /// Drops the reference to what is not admitted from where it is named.
    #[cold]
    #[inline(never)]
    fn drop_foreign(&self, id: CbufId) {
        if let Some(record) = self.trie.record(id) {
            self.release(id, record);
        }
    }

    /// The receipt of what is not here yet, or not from there, or changes just now.
    /// [`Error::Busy`]: each time it was mapped the manager had to take it back, for its owner
    /// used it again meanwhile.
    #[cold]
    #[inline(never)]
    fn receive_rarely(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
        from: ComponentId,
    ) -> Result<(*const u8, &Record), Error> {
        if id == CbufId::NONE {
            return Err(Error::BadBuffer);
        }
        for _ in 0..MAPS {
            if let Some(record) = self.trie.record(id)
                && let Some(state) = self.reference(record, offset, len)?
            {
                if record.admits(from) {
                    record.count_receipt();
                    return Ok((pointer(state, offset), record));
                }
                self.release(id, record);
            }
            self.manager.map(id.0, from)?;
        }
        Err(Error::Busy)
    }

    /// Takes back what this component sent, because it will not be received after all: a
    /// reference, and a receipt in the receiver's stead. [`Error::BadBuffer`]: not here (any
    /// more).
    #[cold]
    pub(crate) fn take_back(
        &self,
        id: CbufId,
        offset: u32,
        len: u32,
    ) -> Result<(*const u8, &Record), Error> {
        let record = self.trie.record(id).ok_or(Error::BadBuffer)?;
        let state = self.reference(record, offset, len)?;
        let state = state.ok_or(Error::BadBuffer)?;
        record.count_receipt();
        Ok((pointer(state, offset), record))
    }

    /// One reference to what is mapped and shared: what its record says; `None` when the buffer
    /// went away. [`Error::BadBuffer`]: not a shared buffer, or not so long.
    fn reference(&self, record: &Record, offset: u32, len: u32) -> Result<Option<State>, Error> {
        let mut state = record.load();
        while receivable(state, offset, len) {
            match record.take_reference(state) {
                Ok(state) => return Ok(Some(state)),
                Err(now) => state = now,
            }
        }
        if state.page_number() == 0 {
            return Ok(None);
        }
        Err(Error::BadBuffer)
    }
}

/// Whether a buffer is here and shared, and holds the stretch.
#[inline]
fn receivable(state: State, offset: u32, len: u32) -> bool {
    const REFUSED: u64 = State::FREE | State::EXCLUSIVE | State::INCONSISTENT | RECEIVE_LIMIT;
    !state.has(REFUSED) && offset as u64 + len as u64 <= state.bytes() as u64
}

#[inline]
fn pointer(state: State, offset: u32) -> *const u8 {
    (state.address() + offset as usize) as *const u8
}
