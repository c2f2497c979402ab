//! The network card: what it offers, and doing what the stack asks it to, as a card would and
//! with none of the stack's own code.

use crate::link::Random;
use netstack::offload::{Offers, Offload};
use smoltcp::wire::*;

pub const OFFERS: [Offers; 3] = [
    Offers {
        checksum: false,
        segmentation: false,
    },
    Offers {
        checksum: true,
        segmentation: false,
    },
    Offers {
        checksum: true,
        segmentation: true,
    },
];

#[derive(Default)]
pub struct Card {
    pub offers: Offers,
    /// Frames that were cut.
    pub cut: usize,
}

impl Card {
    /// The frames that leave on the wire for one that the stack sends.
    pub fn send(&mut self, mut frame: Vec<u8>, offload: Offload) -> Vec<Vec<u8>> {
        if offload == Offload::default() {
            assert!(frame.len() <= 1514);
            verify(&frame);
            return vec![frame];
        }
        assert!(self.offers.checksum, "not offered");
        assert_eq!((offload.start, offload.field), (34, 16));
        let (source, target) = addresses(&frame);
        let tcp = TcpPacket::new_checked(&frame[34..]).unwrap();
        assert!(tcp.verify_partial_checksum(&source, &target));
        let headers = 34 + usize::from(tcp.header_len());
        if offload.segment == 0 {
            assert!(frame.len() <= 1514 && offload.headers == 0);
            let mut tcp = TcpPacket::new_unchecked(&mut frame[34..]);
            tcp.fill_checksum(&source, &target);
            verify(&frame);
            return vec![frame];
        }
        assert!(self.offers.segmentation, "not offered");
        assert!(frame.len() <= 65_536);
        assert_eq!(usize::from(offload.headers), headers);
        let ip = Ipv4Packet::new_checked(&frame[14..]).unwrap();
        assert_eq!(usize::from(ip.total_len()), frame.len() - 14);
        self.cut += 1;
        let (first, last) = (tcp.seq_number(), frame.len());
        let (fin, psh) = (tcp.fin(), tcp.psh());
        let starts = (headers..last).step_by(offload.segment.into());
        let pieces = starts.map(|at| {
            let end = last.min(at + usize::from(offload.segment));
            let mut piece = [&frame[..headers], &frame[at..end]].concat();
            let len = piece.len();
            assert!(len <= 1514);
            let mut ip = Ipv4Packet::new_unchecked(&mut piece[14..]);
            ip.set_total_len(len as u16 - 14);
            ip.fill_checksum();
            let mut tcp = TcpPacket::new_unchecked(&mut piece[34..]);
            tcp.set_seq_number(first + (at - headers));
            tcp.set_fin(fin && end == last);
            tcp.set_psh(psh && end == last);
            tcp.fill_checksum(&source, &target);
            piece
        });
        pieces.collect()
    }

    /// A frame arrives: now and then its sender left the checksum to the card, which vouches
    /// for it instead of filling it in.
    pub fn receive(&self, frame: &mut [u8], random: &mut Random) -> bool {
        if !self.offers.checksum || random.below(2) == 0 {
            return false;
        }
        if frame.len() >= 54 && frame[12..14] == [8, 0] && frame[23] == 6 {
            frame[50..52].copy_from_slice(&[0x12, 0x34]);
        }
        true
    }
}

fn addresses(frame: &[u8]) -> (IpAddress, IpAddress) {
    let ip = Ipv4Packet::new_checked(&frame[14..]).unwrap();
    (ip.src_addr().into(), ip.dst_addr().into())
}

fn verify(frame: &[u8]) {
    if frame[12..14] == [8, 0] {
        let ip = Ipv4Packet::new_checked(&frame[14..]).unwrap();
        assert!(ip.verify_checksum());
        if frame[23] == 6 {
            let tcp = TcpPacket::new_checked(ip.payload()).unwrap();
            let (source, target) = addresses(frame);
            assert!(tcp.verify_checksum(&source, &target));
        }
    }
}
