//! What the device does for a frame, and the header before each frame that says so. Source:
//! VIRTIO 1.2, section 5.1.6.
//!
//! What a client asks for is checked here against the frame's length and the device's offers, so
//! that no header that leaves names a place outside of its frame.

use crate::queue::{Area, SIZE};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};

/// Smallest and largest frame that is sent as it is.
pub const FRAME: core::ops::RangeInclusive<usize> = 14..=1514;
/// Largest frame that the device cuts.
pub const LARGE: usize = 64 * 1024;
/// Smallest payload of a frame cut off, but for the last: a bound on how many there are.
const SEGMENT: usize = 48;

/// `flags`: the checksum is to be completed; received: it is known to be right without one.
const NEEDS_CHECKSUM: u8 = 1;
/// `flags`, received: the checksum was verified.
const DATA_VALID: u8 = 2;
/// `gso_type`: TCP over IPv4.
const TCP4: u8 = 1;

/// What the device agreed to do.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offers {
    /// Completes checksums of frames to send.
    pub checksum: bool,
    /// Cuts large TCP segments over IPv4.
    pub segmentation: bool,
    /// Says which received checksums are right.
    pub verifies: bool,
}

/// What a client asks for, as it came.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Request {
    pub start: u16,
    pub field: u16,
    pub headers: u16,
    pub segment: u16,
}

/// The 12 bytes of a `virtio_net_hdr`, as two words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header(pub [u64; 2]);

impl Request {
    /// The header for a frame of `bytes`; `None` where the frame cannot be sent like that.
    #[inline]
    pub fn header(self, bytes: usize, offers: Offers) -> Option<Header> {
        let [start, field, headers, segment] =
            [self.start, self.field, self.headers, self.segment].map(usize::from);
        if start == 0 {
            let plain = self == Request::default() && FRAME.contains(&bytes);
            return plain.then_some(Header([0; 2]));
        }
        let sum_end = start + field + 2;
        if !offers.checksum || start < *FRAME.start() || sum_end > bytes {
            return None;
        }
        let kind = if segment == 0 {
            if headers != 0 || !FRAME.contains(&bytes) {
                return None;
            }
            0
        } else {
            let fits = headers >= sum_end && headers < bytes && bytes <= LARGE;
            let each = segment >= SEGMENT && headers + segment <= *FRAME.end();
            if !offers.segmentation || !fits || !each {
                return None;
            }
            TCP4
        };
        let word = u64::from(NEEDS_CHECKSUM)
            | u64::from(kind) << 8
            | u64::from(self.headers) << 16
            | u64::from(self.segment) << 32
            | u64::from(self.start) << 48;
        Some(Header([word, u64::from(self.field)]))
    }
}

/// Whether a received frame's header vouches for its checksum.
pub fn vouched(flags: u8, offers: Offers) -> bool {
    offers.verifies && flags & (NEEDS_CHECKSUM | DATA_VALID) != 0
}

/// A header for each slot of the transmit queue.
pub struct Headers {
    memory: &'static [[AtomicU64; 2]; SIZE],
    physical: u64,
}

impl Headers {
    /// Bytes of memory.
    pub const BYTES: usize = size_of::<[[AtomicU64; 2]; SIZE]>();

    /// # Safety
    /// `memory` is [`Headers::BYTES`] long, aligned to 8, holds zeros, stays mapped for good at
    /// the physical address, and nothing but the device and this touches it.
    pub unsafe fn new(memory: NonNull<u8>, physical: u64) -> Headers {
        Headers {
            // SAFETY: aligned, long enough and ours alone by contract.
            memory: unsafe { memory.cast().as_ref() },
            physical,
        }
    }

    /// Writes the header of a slot that the device does not have; where it lies.
    pub fn put(&self, slot: usize, header: Header) -> Option<Area> {
        let place = self.memory.get(slot)?;
        // Relaxed: the device looks once the queue's index says so, stored with release.
        place[0].store(header.0[0], Ordering::Relaxed);
        place[1].store(header.0[1], Ordering::Relaxed);
        Some(Area {
            address: self.physical + (slot * size_of::<[AtomicU64; 2]>()) as u64,
            bytes: crate::driver::HEADER,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: Offers = Offers {
        checksum: true,
        segmentation: true,
        verifies: true,
    };

    fn tcp(segment: u16) -> Request {
        Request {
            start: 34,
            field: 16,
            headers: if segment == 0 { 0 } else { 54 },
            segment,
        }
    }

    #[test]
    fn says_what_is_asked_for() {
        let plain = Request::default().header(60, Offers::default());
        assert_eq!(plain, Some(Header([0; 2])));
        let sum = tcp(0).header(60, ALL).unwrap();
        assert_eq!(sum.0, [1 | 34 << 48, 16]);
        let cut = tcp(1460).header(65_536, ALL).unwrap();
        assert_eq!(cut.0, [1 | 1 << 8 | 54 << 16 | 1460 << 32 | 34 << 48, 16]);
    }

    #[test]
    fn refuses_what_is_not_offered() {
        assert_eq!(tcp(0).header(60, Offers::default()), None);
        let sums = Offers {
            segmentation: false,
            ..ALL
        };
        assert_eq!(tcp(1460).header(4000, sums), None);
        assert_eq!(tcp(0).header(4000, ALL), None, "large and not to be cut");
        assert_eq!(tcp(1).header(4000, ALL), None, "thousands of frames");
        assert_eq!(tcp(1461).header(4000, ALL), None, "frames too large");
        assert!(!vouched(3, Offers::default()));
        assert!(vouched(1, ALL) && vouched(2, ALL) && !vouched(0, ALL));
    }

    proptest! {
        #[test]
        fn no_header_points_outside_of_its_frame(
            start: u16, field in 0u16..200, headers in 0u16..300, segment in 0u16..2000,
            bytes in 0usize..70_000, narrow: bool,
        ) {
            let start = if narrow { start % 100 } else { start };
            let request = Request { start, field, headers, segment };
            if let Some(Header([word, at])) = request.header(bytes, ALL) {
                let part = |shift: u64| (word >> shift & 0xffff) as usize;
                let (headers, segment, start) = (part(16), part(32), part(48));
                prop_assert!(start == 0 || start + at as usize + 2 <= bytes);
                prop_assert!(segment == 0 || headers + segment <= 1514 && headers < bytes);
                prop_assert!(segment != 0 || FRAME.contains(&bytes));
                prop_assert!(bytes <= LARGE);
                prop_assert_eq!(word & 0xfc, 0);
            }
        }
    }
}
