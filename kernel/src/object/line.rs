//! What a thread has written of a line on the console.

use super::Component;
use crate::arch::serial;

/// Longest piece of a line that waits for its end.
const LINE_BYTES: usize = 224;

/// The part of a line that has no end yet. Lines go to the port whole, so that those of several
/// threads do not mix. All zero is an empty one.
#[repr(C)]
pub struct Line {
    bytes: [u8; LINE_BYTES],
    len: usize,
    /// Whose it is: a thread writes in several components, and their lines do not mix either.
    component: *mut Component,
}

impl Line {
    /// Takes bytes of `component`, and gives the port what is ended or too long by them. False: it
    /// had no room, and nothing was taken.
    pub fn take(&mut self, component: *mut Component, bytes: &[u8]) -> bool {
        let ended = bytes.iter().rposition(|byte| *byte == b'\n');
        let (now, later) = bytes.split_at(ended.map_or(0, |at| at + 1));
        let fits = self.component == component && self.len + later.len() <= LINE_BYTES;
        if (!now.is_empty() || !fits) && !self.send(now) {
            return false;
        }
        self.component = component;
        if let Some(place) = self.bytes.get_mut(self.len..self.len + later.len()) {
            place.copy_from_slice(later);
            self.len += later.len();
        }
        true
    }

    /// Gives the port what waits and these bytes, all or nothing.
    fn send(&mut self, bytes: &[u8]) -> bool {
        let waiting = self.bytes.get(..self.len).unwrap_or_default();
        let sent = serial::write([waiting, bytes]);
        if sent {
            self.len = 0;
        }
        sent
    }

    /// Gives the port what waits: its thread ends. It is lost if there is no room.
    pub fn end(&mut self) {
        self.send(&[]);
        self.len = 0;
    }
}
