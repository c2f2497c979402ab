//! SYNs that found no free socket, kept for a moment: as soon as a socket is free they are
//! taken up as if they had just come. Many clients ask again only after a second, and some
//! never. Bounded: [`WAITING`] frames of a few bytes a listener.

use crate::deadlines::Micros;
use crate::frame::{Flow, sequence};
use alloc::collections::VecDeque;

/// Frames that wait, at most: as many as come at once when all sockets end together.
pub const WAITING: usize = 256;
/// After this long the client has asked again, or given up.
const FRESH: Micros = 3_000_000;
/// Ethernet, IP and TCP headers with all options.
const BYTES: usize = 14 + 60 + 60;

struct Syn {
    flow: Flow,
    until: Micros,
    bytes: [u8; BYTES],
    len: usize,
}

#[derive(Default)]
pub struct Backlog {
    waiting: VecDeque<Syn>,
}

impl Backlog {
    /// Keeps a SYN. `false` when there is no room for it. One that waits already is not kept
    /// twice; with another sequence number it takes the place of one whose client has gone.
    pub fn keep(&mut self, flow: Flow, frame: &[u8], now: Micros) -> bool {
        self.forget_old(now);
        let mut bytes = [0; BYTES];
        let Some(room) = bytes.get_mut(..frame.len()) else {
            return false;
        };
        if let Some(same) = self.waiting.iter().position(|s| s.flow == flow) {
            let old = &self.waiting[same];
            if sequence(&old.bytes[..old.len]) == sequence(frame) {
                return true;
            }
            self.waiting.remove(same);
        }
        if self.waiting.len() >= WAITING {
            return false;
        }
        room.copy_from_slice(frame);
        self.waiting.push_back(Syn {
            flow,
            until: now + FRESH,
            bytes,
            len: frame.len(),
        });
        true
    }

    fn forget_old(&mut self, now: Micros) {
        while self.waiting.front().is_some_and(|s| s.until <= now) {
            self.waiting.pop_front();
        }
    }

    /// Whose turn it is, among those that are still worth answering.
    pub fn next(&mut self, now: Micros) -> Option<Flow> {
        self.forget_old(now);
        self.waiting.front().map(|s| s.flow)
    }

    /// How many wait and are still worth answering.
    pub fn len(&self, now: Micros) -> usize {
        self.waiting.iter().filter(|s| s.until > now).count()
    }

    /// Takes that one out and shows it to `take`.
    pub fn take(&mut self, take: impl FnOnce(&[u8])) {
        if let Some(syn) = self.waiting.pop_front() {
            take(&syn.bytes[..syn.len]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(port: u16) -> Flow {
        Flow {
            remote: [10, 0, 0, 1],
            remote_port: port,
            local_port: 80,
        }
    }

    #[test]
    fn keeps_each_once_in_order_and_not_for_long() {
        let mut backlog = Backlog::default();
        assert!(backlog.keep(flow(1), &[1; 60], 0));
        assert!(backlog.keep(flow(2), &[2; 74], 10));
        assert!(backlog.keep(flow(1), &[1; 60], 20));
        assert!(!backlog.keep(flow(3), &[0; 1000], 20), "no bare SYN");
        assert_eq!((backlog.len(20), backlog.len(FRESH)), (2, 1));
        let mut taken = None;
        assert_eq!(backlog.next(20), Some(flow(1)));
        backlog.take(|b| taken = Some((b.len(), b[0])));
        assert_eq!(taken, Some((60, 1)));
        assert_eq!(backlog.next(FRESH), Some(flow(2)));
        assert_eq!(backlog.next(FRESH + 10), None);
        for port in 0..300 {
            let fits = usize::from(port) < WAITING;
            assert_eq!(backlog.keep(flow(port + 1), &[0; 60], 0), fits);
        }
    }

    #[test]
    fn a_client_that_starts_anew_waits_anew() {
        let mut backlog = Backlog::default();
        assert!(backlog.keep(flow(1), &[1; 60], 0));
        assert!(backlog.keep(flow(2), &[2; 60], 10));
        assert!(backlog.keep(flow(1), &[3; 60], 20));
        assert_eq!(backlog.len(20), 2);
        assert_eq!(backlog.next(20), Some(flow(2)));
        assert_eq!(backlog.next(FRESH + 10), Some(flow(1)));
        let mut taken = 0;
        backlog.take(|b| taken = b[0]);
        assert_eq!(taken, 3);
    }
}
