//! What an incoming Ethernet frame is, decided before smoltcp looks at it.
//!
//! Everything that nobody here would answer is dropped at once, and so is what would only make
//! smoltcp answer nonsense: sources that are no unicast address, our own address as a source,
//! fragments, broadcast TCP.

use crate::checksum;

/// Largest frame: 1500 bytes of IP and the Ethernet header.
pub const MAX_FRAME: usize = 1514;
/// Largest frame that the card cuts into such.
pub const LARGE_FRAME: usize = 64 * 1024;
pub(crate) const ETHERNET: usize = 14;
const MIN_IP: usize = 20;

/// Who we are, for the decision.
#[derive(Clone, Copy, Debug)]
pub struct Station {
    pub mac: [u8; 6],
    /// `None` until there is an address.
    pub ip: Option<[u8; 4]>,
    /// DHCP answers are wanted.
    pub dhcp: bool,
}

/// A TCP connection as its frames name it, seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    pub remote: [u8; 4],
    pub remote_port: u16,
    pub local_port: u16,
}

impl Flow {
    /// All of it in one word; never 0, since ports are not.
    pub fn key(self) -> u64 {
        u64::from(u32::from_be_bytes(self.remote)) << 32
            | u64::from(self.remote_port) << 16
            | u64::from(self.local_port)
    }
}

/// What to do with a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A TCP segment for our address. `opens`: SYN without ACK. `resets`: RST.
    Tcp {
        flow: Flow,
        opens: bool,
        resets: bool,
    },
    /// ARP, an echo request or a DHCP answer.
    Local,
    /// Nothing of ours.
    Ignore,
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn host(address: [u8; 4]) -> bool {
    address[0] != 0 && address[0] != 127 && address[0] < 224
}

/// Classifies a frame. Looks at the headers only; for checksums see [`intact`].
pub fn classify(frame: &[u8], station: &Station) -> Kind {
    if frame.len() < ETHERNET + MIN_IP || frame.len() > MAX_FRAME {
        return Kind::Ignore;
    }
    let direct = frame[..6] == station.mac;
    let everyone = frame[..6] == [0xff; 6];
    if !direct && !everyone {
        return Kind::Ignore;
    }
    match word(frame, 12) {
        0x0806 if frame.len() >= ETHERNET + 28 => Kind::Local,
        0x0800 => classify_ip(&frame[ETHERNET..], direct, station),
        _ => Kind::Ignore,
    }
}

fn classify_ip(packet: &[u8], direct: bool, station: &Station) -> Kind {
    let header = usize::from(packet[0] & 15) * 4;
    let total = usize::from(word(packet, 2));
    let fragment = word(packet, 6) & 0x3fff != 0;
    if packet[0] >> 4 != 4 || header < MIN_IP || total < header || total > packet.len() || fragment
    {
        return Kind::Ignore;
    }
    let address = |at: usize| [packet[at], packet[at + 1], packet[at + 2], packet[at + 3]];
    let (source, target) = (address(12), address(16));
    if !host(source) || Some(source) == station.ip {
        return Kind::Ignore;
    }
    let ours = direct && Some(target) == station.ip;
    let body = &packet[header..total];
    match packet[9] {
        6 if ours && body.len() >= 20 => {
            let (remote_port, local_port) = (word(body, 0), word(body, 2));
            if remote_port == 0 || local_port == 0 {
                return Kind::Ignore;
            }
            let flags = body[13];
            Kind::Tcp {
                flow: Flow {
                    remote: source,
                    remote_port,
                    local_port,
                },
                opens: flags & 0x17 == 0x02,
                resets: flags & 0x04 != 0,
            }
        }
        1 if ours && body.len() >= 8 && body[0] == 8 => Kind::Local,
        17 if station.dhcp && body.len() >= 8 && word(body, 0) == 67 && word(body, 2) == 68 => {
            Kind::Local
        }
        _ => Kind::Ignore,
    }
}

/// The sequence number of a frame that was classified as TCP.
pub fn sequence(frame: &[u8]) -> Option<u32> {
    let header = usize::from(frame.get(ETHERNET)? & 15) * 4;
    let bytes = frame.get(ETHERNET + header + 4..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// The TCP or UDP checksum of a frame that was classified as one is right. Other frames have
/// none here.
pub fn intact(frame: &[u8]) -> bool {
    let packet = &frame[ETHERNET..];
    let header = usize::from(packet[0] & 15) * 4;
    let total = usize::from(word(packet, 2));
    let protocol = packet[9];
    if word(frame, 12) != 0x0800 || !matches!(protocol, 6 | 17) {
        return true;
    }
    let Some(mut body) = packet.get(header..total) else {
        return false;
    };
    if protocol == 17 {
        let Some(datagram) = body.get(..usize::from(word(body, 4))) else {
            return false;
        };
        body = datagram;
        // A checksum of 0 says that there is none.
        if body.get(6..8) == Some(&[0, 0]) {
            return true;
        }
    }
    checksum::verify(checksum::pseudo(packet, protocol, body.len()), body)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATION: Station = Station {
        mac: [2, 0, 0, 0, 0, 1],
        ip: Some([10, 0, 2, 15]),
        dhcp: false,
    };

    fn segment(flags: u8) -> [u8; 60] {
        let mut f = [0u8; 60];
        f[..6].copy_from_slice(&STATION.mac);
        f[12..14].copy_from_slice(&[8, 0]);
        f[14] = 0x45;
        f[17] = 40;
        f[23] = 6;
        f[26..30].copy_from_slice(&[10, 0, 2, 2]);
        f[30..34].copy_from_slice(&[10, 0, 2, 15]);
        f[34..38].copy_from_slice(&[0x12, 0x34, 0, 80]);
        f[38..42].copy_from_slice(&[1, 2, 3, 4]);
        f[46] = 0x50;
        f[47] = flags;
        f
    }

    #[test]
    fn tells_segments_apart() {
        let flow = Flow {
            remote: [10, 0, 2, 2],
            remote_port: 0x1234,
            local_port: 80,
        };
        let kind = |flags| classify(&segment(flags), &STATION);
        assert_eq!(
            kind(2),
            Kind::Tcp {
                flow,
                opens: true,
                resets: false
            }
        );
        assert_eq!(
            kind(0x12),
            Kind::Tcp {
                flow,
                opens: false,
                resets: false
            }
        );
        assert_eq!(
            kind(0x14),
            Kind::Tcp {
                flow,
                opens: false,
                resets: true
            }
        );
        assert_eq!(sequence(&segment(2)), Some(0x01020304));
        assert_eq!(sequence(&segment(2)[..41]), None);
        assert_eq!(sequence(&[]), None);
    }

    #[test]
    fn drops_what_nobody_would_answer() {
        let check = |change: &dyn Fn(&mut [u8; 60])| {
            let mut f = segment(2);
            change(&mut f);
            classify(&f, &STATION)
        };
        assert_eq!(check(&|f| f[5] = 9), Kind::Ignore, "another station");
        assert_eq!(check(&|f| f[26] = 224), Kind::Ignore, "multicast source");
        assert_eq!(check(&|f| f[26] = 0), Kind::Ignore, "no source");
        assert_eq!(check(&|f| f[29] = 15), Kind::Ignore, "ourselves");
        assert_eq!(check(&|f| f[20] = 0x20), Kind::Ignore, "a fragment");
        assert_eq!(check(&|f| f[17] = 200), Kind::Ignore, "too long a total");
        assert_eq!(check(&|f| f[14] = 0x41), Kind::Ignore, "a short header");
        assert_eq!(
            check(&|f| f[34..36].fill(0)),
            Kind::Ignore,
            "source port zero"
        );
        assert_eq!(
            check(&|f| f[..6].fill(0xff)),
            Kind::Ignore,
            "TCP to everyone"
        );
        assert_eq!(classify(&[0; 20], &STATION), Kind::Ignore);
        assert_eq!(classify(&[0; 1600], &STATION), Kind::Ignore);
    }
}
