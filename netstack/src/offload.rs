//! What the network card does for us, and doing it ourselves where it does not: checksums of
//! TCP segments, and cutting a large segment into frames.

use crate::checksum;
use crate::frame::ETHERNET;

/// What the card offers.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offers {
    /// It completes the checksum of a frame to send.
    pub checksum: bool,
    /// It cuts a large TCP segment over IPv4 into frames. Means nothing without `checksum`.
    pub segmentation: bool,
}

/// What the card shall do to one frame; all zero: nothing.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Offload {
    /// Complete the checksum of all from here on; 0: of nothing.
    pub start: u16,
    /// Where its field is, from `start`.
    pub field: u16,
    /// Bytes of Ethernet, IP and TCP headers together, where the frame is to be cut.
    pub headers: u16,
    /// Payload bytes of each frame that it is cut into; 0: it is not cut.
    pub segment: u16,
}

/// smoltcp's IPv4 header has no options.
const IP: usize = 20;
const TCP: usize = ETHERNET + IP;
/// The checksum's place in a TCP header.
const FIELD: usize = 16;
const PROTOCOL: u8 = 6;
const FIN_PSH: u8 = 0x09;

/// Bytes of all headers of a TCP frame that smoltcp made; `None` for any other frame.
fn headers(frame: &[u8]) -> Option<usize> {
    let tcp = frame.len() >= TCP + 20 && frame[12..14] == [8, 0] && frame[23] == PROTOCOL;
    let headers = TCP + usize::from(*frame.get(TCP + 12)? >> 4) * 4;
    (tcp && headers <= frame.len()).then_some(headers)
}

/// Payload bytes of a TCP frame that smoltcp made; 0 for anything else.
pub fn payload(frame: &[u8]) -> usize {
    headers(frame).map_or(0, |headers| frame.len() - headers)
}

/// Payload bytes of a TCP frame that came in; 0 for anything else, and where the network's padding
/// or a lie about the length leaves none.
pub fn received_payload(frame: &[u8]) -> usize {
    let Some(headers) = headers(frame) else {
        return 0;
    };
    let told = ETHERNET + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    told.min(frame.len()).saturating_sub(headers)
}

/// Fills in the checksum that smoltcp left out, or leaves it to the card where that can.
/// `segment`: the frame is to be cut into such pieces.
pub fn complete(frame: &mut [u8], offers: Offers, segment: Option<u16>) -> Offload {
    let Some(headers) = headers(frame) else {
        return Offload::default();
    };
    let (front, body) = frame.split_at_mut(TCP);
    // Of the whole segment, also where it will be cut: the card knows how much to take off.
    let pseudo = checksum::pseudo(&front[ETHERNET..], PROTOCOL, body.len());
    body[FIELD..FIELD + 2].copy_from_slice(&pseudo.to_be_bytes());
    if offers.checksum {
        return Offload {
            start: TCP as u16,
            field: FIELD as u16,
            headers: segment.map_or(0, |_| headers as u16),
            segment: segment.unwrap_or(0),
        };
    }
    let check = !checksum::sum(body);
    body[FIELD..FIELD + 2].copy_from_slice(&check.to_be_bytes());
    Offload::default()
}

/// A large TCP segment as the frames it is to be cut into.
pub struct Pieces<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
    segment: usize,
}

impl<'a> Pieces<'a> {
    /// `None` for what is no TCP frame with payload.
    pub fn of(whole: &'a [u8], segment: u16) -> Option<Pieces<'a>> {
        let (headers, payload) = whole.split_at_checked(headers(whole)?)?;
        (segment > 0 && !payload.is_empty()).then_some(Pieces {
            headers,
            payload,
            segment: segment.into(),
        })
    }

    pub fn count(&self) -> usize {
        self.payload.len().div_ceil(self.segment)
    }

    fn piece(&self, n: usize) -> &'a [u8] {
        let rest = &self.payload[n * self.segment..];
        &rest[..rest.len().min(self.segment)]
    }

    /// Bytes of piece `n` below `count()`.
    pub fn len(&self, n: usize) -> usize {
        self.headers.len() + self.piece(n).len()
    }

    /// Writes piece `n` into `frame`, which has just the room; the TCP checksum is still to be
    /// completed.
    pub fn write(&self, n: usize, frame: &mut [u8]) {
        let (headers, payload) = frame.split_at_mut(self.headers.len());
        headers.copy_from_slice(self.headers);
        payload.copy_from_slice(self.piece(n));
        let total = (headers.len() - ETHERNET + payload.len()) as u16;
        let ip = &mut headers[ETHERNET..TCP];
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip[10..12].fill(0);
        let check = !checksum::sum(ip);
        ip[10..12].copy_from_slice(&check.to_be_bytes());
        let tcp = &mut headers[TCP..];
        let first = u32::from_be_bytes([tcp[4], tcp[5], tcp[6], tcp[7]]);
        let sequence = first.wrapping_add((n * self.segment) as u32);
        tcp[4..8].copy_from_slice(&sequence.to_be_bytes());
        if n + 1 < self.count() {
            tcp[13] &= !FIN_PSH;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn received_payload_believes_no_length() {
        let mut frame = [0; 64];
        frame[12..14].copy_from_slice(&[8, 0]);
        frame[23] = PROTOCOL;
        frame[TCP + 12] = 5 << 4;
        for (told, payload) in [(40, 0), (45, 5), (50, 10), (9000, 10), (0, 0)] {
            frame[16..18].copy_from_slice(&u16::to_be_bytes(told));
            assert_eq!(received_payload(&frame), payload, "{told}");
        }
        frame[TCP + 12] = 15 << 4;
        assert_eq!(received_payload(&frame), 0);
        assert_eq!(received_payload(&[]), 0);
    }
}
