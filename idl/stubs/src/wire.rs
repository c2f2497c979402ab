//! How values travel in registers and in batch records: what the generated modules call. Every
//! word and every record comes from another component and is checked.

use abi::{ComponentId, Error};
use libcbuf::batch::{put_cbuf as put_reference, take_cbuf};
use libcbuf::{Batch, Cbuf, CbufRef, Client, Incoming, Record};

/// Our client: a component without a pool receives nothing, whatever it is sent.
#[inline]
fn client() -> Result<&'static Client, Error> {
    rt::cbuf::attached().ok_or(Error::BadBuffer)
}

/// Counts one send of `cbuf` to `to`; the two words that pass it.
#[inline]
pub fn send(cbuf: &Cbuf<'_>, to: ComponentId) -> [u64; 2] {
    cbuf.send(to).to_words()
}

/// What a stub answers for an invocation that failed. `undo` takes its sends back, where the
/// kernel says that the callee never saw them.
#[cold]
pub fn failed(failure: rt::Failure, undo: impl FnOnce()) -> Error {
    if !failure.ran {
        undo();
    }
    failure.error
}

/// Takes back what [`send`] counted and nobody will receive.
pub fn take_back(words: [u64; 2]) {
    // What is gone needs no taking back.
    drop(Cbuf::take_back(
        rt::cbuf::client(),
        CbufRef::from_words(words),
    ));
}

/// Takes back a batch that was packed and nobody will receive.
pub fn take_batch_back<T: Record<'static>>(word: u64) {
    Batch::<T>::take_back(rt::cbuf::client(), word);
}

/// Takes a buffer that `from` passed in two words. `BadBuffer`: unknown, not sent to this
/// component by `from`, or the stretch leaves the buffer.
#[inline]
pub fn receive(word0: u64, word1: u64, from: ComponentId) -> Result<Cbuf<'static>, Error> {
    let sent = CbufRef::from_words([word0, word1]);
    let received = Cbuf::receive(client()?, sent, from);
    match u32::try_from(word1) {
        Ok(_) => received,
        Err(_) => Err(Error::BadBuffer),
    }
}

/// Takes a batch that `from` passed in a word. `BadBuffer`: as for [`receive`], or the buffer is
/// shorter than its records.
#[inline]
pub fn incoming<T: Record<'static>>(
    word: u64,
    from: ComponentId,
) -> Result<Incoming<'static, T>, Error> {
    match word {
        0 => Ok(Incoming::none()),
        _ => Incoming::from_wire(client()?, word, from),
    }
}

macro_rules! small_words {
    ($($ty:ident)*) => {$(
        /// The scalar in a word; `BadArgument` when it does not fit.
        #[inline]
        pub fn $ty(word: u64) -> Result<$ty, Error> {
            $ty::try_from(word).map_err(|_| Error::BadArgument)
        }
    )*};
}
small_words!(u8 u16 u32);

/// The truth value in a word; `BadArgument` for anything but 0 and 1.
#[inline]
pub fn bool(word: u64) -> Result<bool, Error> {
    match word {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Error::BadArgument),
    }
}

/// `N` bytes of a record; `BadBuffer` when it is shorter (it never is: `libcbuf` cuts records to
/// their size).
#[inline]
fn bytes<const N: usize>(record: &[u8], at: usize) -> Result<[u8; N], Error> {
    let found = record.get(at..).and_then(|rest| rest.first_chunk());
    found.copied().ok_or(Error::BadBuffer)
}

/// Writes into a record; what is outside it is not written.
#[inline]
fn put(record: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = record.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

macro_rules! numbers {
    ($($ty:ident $get:ident $put:ident)*) => {$(
        /// A number of a record.
        #[inline]
        pub fn $get(record: &[u8], at: usize) -> Result<$ty, Error> {
            bytes(record, at).map($ty::from_le_bytes)
        }
        #[inline]
        pub fn $put(record: &mut [u8], at: usize, value: $ty) {
            put(record, at, &value.to_le_bytes());
        }
    )*};
}
numbers! {
    u8 get_u8 put_u8
    u16 get_u16 put_u16
    u32 get_u32 put_u32
    u64 get_u64 put_u64
    i64 get_i64 put_i64
}

/// A truth value of a record; `BadArgument` for any byte but 0 and 1.
#[inline]
pub fn get_bool(record: &[u8], at: usize) -> Result<bool, Error> {
    get_u8(record, at).and_then(|byte| self::bool(u64::from(byte)))
}
#[inline]
pub fn put_bool(record: &mut [u8], at: usize, value: bool) {
    put_u8(record, at, u8::from(value));
}

/// A buffer of a record, received from `from`; `None` where its id is 0.
#[inline]
pub fn get_cbuf(
    client: &'static Client,
    from: ComponentId,
    record: &[u8],
    at: usize,
) -> Result<Option<Cbuf<'static>>, Error> {
    let wire: [u8; CbufRef::WIRE] = bytes(record, at)?;
    take_cbuf(client, from, &wire)
}

/// Sends a buffer within a record to `to`.
#[inline]
pub fn put_cbuf(record: &mut [u8], at: usize, cbuf: Option<Cbuf<'_>>, to: ComponentId) {
    if let Some(place) = record.get_mut(at..at + CbufRef::WIRE) {
        put_reference(cbuf, to, place);
    }
}
