//! Sharing places among more clients than there are: who has been served for longest gives its
//! place to one that waits, with the answer to its next request.

use crate::connection::Connection;
use crate::platform::Platform;

use super::Server;

/// How long every connection may stay.
const TURN_MS: u64 = 100;
/// How long one whose turn is over may go on while more requests are under way, which a close
/// would lose.
const GRACE_MS: u64 = 250;
/// How often to ask who waits.
const ASK_MS: u64 = 25;

impl<P: Platform> Server<P> {
    /// With no place free, decides whose turns are over: as many as clients wait that no leaving
    /// connection makes room for, those that came first.
    #[cold]
    pub(super) fn share(&mut self, platform: &mut P) {
        let now = self.clock.ms;
        self.share_ms = now + ASK_MS;
        let goes = |c: &&Connection<P::Buffer>| !c.is_open() || c.yields_ms.is_some();
        let going = self.connections.iter().filter(goes).count();
        let waiting = platform.waiting() as usize;
        if waiting == 0 {
            for connection in &mut self.connections {
                connection.yields_ms = None;
            }
        }
        let missing = waiting.saturating_sub(going);
        for _ in 0..missing.min(self.connections.len()) {
            let had_a_turn = |c: &&mut Connection<P::Buffer>| {
                c.is_open() && c.yields_ms.is_none() && c.begun_ms + TURN_MS <= now
            };
            let candidates = self.connections.iter_mut().filter(had_a_turn);
            match candidates.min_by_key(|c| c.begun_ms) {
                Some(first) => first.yields_ms = Some(now),
                None => break,
            }
        }
    }

    /// Whether the request that this connection has just made shall be its last. `more`: there
    /// are bytes behind it.
    pub(super) fn is_over(&self, place: usize, more: bool) -> bool {
        let since = self.connections[place].yields_ms;
        since.is_some_and(|since| !more || since + GRACE_MS <= self.clock.ms)
    }
}
