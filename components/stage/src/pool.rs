//! The component's CBUF pool as the stages' memory.

use core::time::Duration;

use cistern_image::{Full, Memory};
use rt::cbuf::{Buffer, Cbuf};

/// How long to wait for memory: a policy that has any grows a pool in this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// The pool of this component.
#[derive(Clone, Copy, Debug)]
pub struct Pool;

impl Memory for Pool {
    type Room = Buffer<'static>;
    type Bytes = Cbuf<'static>;

    /// Waits up to five seconds for the pool to grow, unless no buffer is that large.
    fn room(&self, bytes: usize) -> Result<Buffer<'static>, Full> {
        rt::cbuf::alloc_until(bytes, rt::time::after(PATIENCE)).map_err(|_| Full { bytes })
    }

    fn finish(&self, room: Buffer<'static>, bytes: usize) -> Cbuf<'static> {
        room.freeze(bytes)
    }
}

/// The same pool for whoever must not wait.
#[derive(Clone, Copy, Debug)]
pub struct Now;

impl Memory for Now {
    type Room = Buffer<'static>;
    type Bytes = Cbuf<'static>;

    fn room(&self, bytes: usize) -> Result<Buffer<'static>, Full> {
        Buffer::try_alloc(rt::cbuf::client(), bytes).map_err(|_| Full { bytes })
    }

    fn finish(&self, room: Buffer<'static>, bytes: usize) -> Cbuf<'static> {
        room.freeze(bytes)
    }
}

/// A text in a buffer; `None` where there is no memory even for that.
pub fn text(text: &str) -> Option<Cbuf<'static>> {
    let mut room = Buffer::try_alloc(rt::cbuf::client(), text.len().max(1)).ok()?;
    room[..text.len()].copy_from_slice(text.as_bytes());
    Some(room.freeze(text.len()))
}
