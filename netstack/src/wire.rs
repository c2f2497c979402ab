//! The device that smoltcp sees: at most one incoming frame, and outgoing frames that go
//! straight into CBUF pages.

use crate::frame::{LARGE_FRAME, MAX_FRAME};
use crate::offload::Offers;
use crate::outgoing::Outgoing;
use crate::pack::Pool;
use core::num::NonZeroUsize;
use smoltcp::phy::{Checksum, Device, DeviceCapabilities, Medium, PacketMeta, RxToken, TxToken};
use smoltcp::time::Instant;

/// What stays the same from frame to frame. TCP's checksums are ours or the card's, never
/// smoltcp's; so are those of incoming UDP.
fn capabilities(offers: Offers) -> DeviceCapabilities {
    let mut caps = DeviceCapabilities::default();
    caps.medium = Medium::Ethernet;
    caps.max_transmission_unit = MAX_FRAME;
    caps.checksum.tcp = Checksum::None;
    caps.checksum.udp = Checksum::Tx;
    if offers.segmentation {
        caps.segmentation.tcpv4 = NonZeroUsize::new(LARGE_FRAME);
    }
    caps
}

/// Only for making the interface: no frames at all.
pub struct NoWire(pub Offers);

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
        capabilities(self.0)
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
    pub outgoing: &'w mut Outgoing<Q::Page>,
    pub pool: &'w mut Q,
    /// A frame could not be made for want of a page or a place in the batch.
    pub starved: bool,
}

impl<Q: Pool> Wire<'_, Q> {
    fn token(&mut self) -> Frame<'_, Q> {
        let reserved = self.outgoing.reserve(self.pool);
        self.starved |= !reserved;
        Frame {
            outgoing: self.outgoing,
            pool: self.pool,
            reserved,
            segment: None,
        }
    }
}

impl<Q: Pool> Device for Wire<'_, Q> {
    type RxToken<'a>
        = Incoming<'a>
    where
        Self: 'a;
    type TxToken<'a>
        = Frame<'a, Q>
    where
        Self: 'a;

    fn receive(&mut self, _: Instant) -> Option<(Incoming<'_>, Frame<'_, Q>)> {
        let frame = self.incoming.take()?;
        Some((Incoming(frame), self.token()))
    }

    fn transmit(&mut self, _: Instant) -> Option<Frame<'_, Q>> {
        let token = self.token();
        token.reserved.then_some(token)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        capabilities(self.outgoing.offers)
    }
}

pub struct Incoming<'a>(&'a [u8]);

impl RxToken for Incoming<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// A frame to be.
pub struct Frame<'a, Q: Pool> {
    outgoing: &'a mut Outgoing<Q::Page>,
    pool: &'a mut Q,
    reserved: bool,
    segment: Option<u16>,
}

impl<Q: Pool> TxToken for Frame<'_, Q> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        self.outgoing
            .build(len, self.segment, self.reserved, self.pool, f)
    }

    fn set_meta(&mut self, meta: PacketMeta) {
        self.segment = meta.segmentation_offload_size.map(|s| s.get());
    }
}
