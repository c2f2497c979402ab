//! The device that smoltcp sees: at most one incoming frame, and outgoing frames that go
//! straight into CBUF pages.

use crate::frame::{self, MAX_FRAME};
use crate::pack::{Pack, Pool};
use smoltcp::phy::{Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::time::Instant;

/// What stays the same from frame to frame.
pub fn capabilities() -> DeviceCapabilities {
    let mut caps = DeviceCapabilities::default();
    caps.medium = Medium::Ethernet;
    caps.max_transmission_unit = MAX_FRAME;
    caps
}

/// Only for making the interface: no frames at all.
pub struct NoWire;

impl Device for NoWire {
    type RxToken<'a> = Incoming<'a>;
    type TxToken<'a> = Nowhere;
    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Nowhere)> {
        None
    }
    fn transmit(&mut self, _: Instant) -> Option<Nowhere> {
        None
    }
    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

/// Never made.
pub enum Nowhere {}

impl TxToken for Nowhere {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, _: usize, _: F) -> R {
        match self {}
    }
}

/// One poll's device.
pub struct Wire<'w, Q: Pool> {
    pub incoming: Option<&'w [u8]>,
    pub outgoing: &'w mut Pack<Q::Page>,
    pub pool: &'w mut Q,
    /// TCP payload bytes copied into frames.
    pub copied: &'w mut u64,
    /// A frame could not be made for want of a page or a place in the batch.
    pub starved: bool,
}

impl<Q: Pool> Wire<'_, Q> {
    fn outgoing(&mut self) -> Outgoing<'_, Q::Page> {
        let room = self.outgoing.reserve(MAX_FRAME, self.pool);
        self.starved |= !room;
        Outgoing {
            pack: room.then_some(&mut *self.outgoing),
            copied: self.copied,
        }
    }
}

impl<Q: Pool> Device for Wire<'_, Q> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Outgoing<'a, Q::Page>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Outgoing<'_, Q::Page>)> {
        let frame = self.incoming.take()?;
        Some((Incoming(frame), self.outgoing()))
    }

    fn transmit(&mut self, _: Instant) -> Option<Outgoing<'_, Q::Page>> {
        let token = self.outgoing();
        token.pack.is_some().then_some(token)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities()
    }
}

pub struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// A frame to be. Without a pack (no page left) an immediate answer is written nowhere, as if
/// the link had lost it.
pub struct Outgoing<'a, P> {
    pack: Option<&'a mut Pack<P>>,
    copied: &'a mut u64,
}

impl<P: core::ops::DerefMut<Target = [u8]>> TxToken for Outgoing<'_, P> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        if len <= MAX_FRAME
            && let Some(pack) = self.pack
            && let Some(room) = pack.run(len)
        {
            let result = f(room);
            *self.copied += frame::tcp_payload(room) as u64;
            return result;
        }
        f(&mut alloc::vec![0; len])
    }
}
