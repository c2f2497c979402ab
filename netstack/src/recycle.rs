//! Sockets and their reuse: which one takes a new connection, and what becomes of one that ended.
//!
//! Free sockets first, then the oldest in TIME_WAIT (all that was sent is acknowledged, only
//! stray segments are waited for), then the oldest half-open one that has stood still.
//!
//! A client that opens a connection anew, with the same port, has forgotten the one before. Some
//! say so by that SYN alone, and never repeat it: passt drops a connection whose client left after
//! our end with bytes of its own still on their way, and tells nobody. So what can lose nothing
//! gives way to such a SYN at once.

use crate::connection::{App, Connection, Phase, pending};
use crate::deadlines::{Micros, NEVER};
use crate::pack::Pool;
use crate::stack::{CLOSING, HANDSHAKE, RETRY, Stack};
use core::ops::{Deref, DerefMut};
use smoltcp::socket::tcp::State;
use smoltcp::wire::{IpAddress, IpListenEndpoint};

/// A half-open connection this old gives way to a new one when none is free.
const HALF_OPEN: Micros = 250_000;

impl<P: DerefMut<Target = [u8]>, D: Deref<Target = [u8]>> Stack<P, D> {
    /// A socket that can take a connection: free, or the oldest in TIME_WAIT, or one whose
    /// handshake has stood still for long.
    pub(crate) fn claim(&mut self, listener: usize, now: Micros) -> Option<usize> {
        if self.listeners[listener].free.is_empty() {
            if let Some(oldest) = self.listeners[listener].time_wait.pop_front() {
                self.end(usize::from(oldest));
            } else {
                let stale = |c: &Connection<D>| {
                    c.listener == listener
                        && c.phase == Phase::Opening
                        && c.patience - HANDSHAKE + HALF_OPEN <= now
                };
                let c = (0..self.connections.len())
                    .filter(|c| stale(&self.connections[*c]))
                    .min_by_key(|c| self.connections[*c].patience)?;
                self.end(c);
            }
        }
        let c = usize::from(self.listeners[listener].free.pop()?);
        let endpoint = IpListenEndpoint {
            addr: self.station.ip.map(|ip| IpAddress::Ipv4(ip.into())),
            port: self.listeners[listener].port,
        };
        let connection = &mut self.connections[c];
        connection.phase = Phase::Opening;
        connection.patience = now + HANDSHAKE;
        let socket = connection.socket();
        socket.abort();
        if socket.listen(endpoint).is_err() {
            self.release(c);
            return None;
        }
        Some(c)
    }

    /// Takes up SYNs that wait, as far as there are sockets.
    pub(crate) fn admit(&mut self, now: Micros, pool: &mut impl Pool<Page = P>) {
        self.admit_at = NEVER;
        for l in 0..self.listeners.len() {
            while let Some(flow) = self.listeners[l].backlog.next(now) {
                if self.flows.find(flow).is_some() {
                    // The client asked again and was heard.
                    self.listeners[l].backlog.take(|_| ());
                    continue;
                }
                let Some(c) = self.claim(l, now) else {
                    self.admit_at = now + RETRY;
                    break;
                };
                let mut backlog = core::mem::take(&mut self.listeners[l].backlog);
                backlog.take(|frame| self.deliver(c, flow, frame, now, pool));
                self.listeners[l].backlog = backlog;
            }
        }
    }

    /// A SYN came for a connection's own flow, with this sequence number. `true`: the connection
    /// is gone, and the SYN may open another. Nothing of it was left to deliver; one that has
    /// something does not end because of a SYN, which anybody can forge.
    pub(crate) fn give_way(&mut self, c: usize, syn: Option<u32>) -> bool {
        let connection = &self.connections[c];
        // The network may repeat an old SYN.
        let anew = connection.syn != syn;
        match (connection.phase, connection.peek().state()) {
            (Phase::TimeWait, _) => self.leave_time_wait(c),
            // All is sent and acknowledged, and nobody here reads any more.
            (Phase::Open, State::FinWait2) if anew => self.end(c),
            // Nobody here has heard of it yet.
            (Phase::Opening, State::SynReceived) if anew => self.end(c),
            _ => return false,
        }
        true
    }

    pub(crate) fn leave_time_wait(&mut self, c: usize) {
        let listener = &mut self.listeners[self.connections[c].listener];
        listener.time_wait.retain(|w| usize::from(*w) != c);
        self.end(c);
    }

    /// Puts the number back into the free list.
    pub(crate) fn release(&mut self, c: usize) {
        let connection = &mut self.connections[c];
        connection.forget();
        self.listeners[connection.listener].free.push(c as u16);
        self.vacant();
    }

    /// There is a socket for a SYN that waits, if one does.
    pub(crate) fn vacant(&mut self) {
        if self.admit_at != NEVER {
            self.admit_at = 0;
        }
    }

    /// The connection exists no more.
    pub(crate) fn end(&mut self, c: usize) {
        let connection = &mut self.connections[c];
        if let Some(flow) = connection.flow.take() {
            self.flows.remove(flow);
        }
        self.deadlines.set(c, NEVER);
        match connection.app {
            App::Live => {
                connection.phase = Phase::Over;
                connection.drop_outbox();
                connection.pending &= !(pending::RECEIVED | pending::SENT);
                self.tell(c, pending::GONE, true);
            }
            App::Done => {
                // Told when it went into TIME_WAIT, if it was there.
                if connection.phase != Phase::TimeWait {
                    self.tell(c, pending::GONE, false);
                }
                self.release(c);
            }
            App::Offered | App::Unaware => {
                connection.pending &= pending::GONE_BEFORE | pending::GONE;
                self.release(c);
            }
        }
    }

    /// The application closed: nobody but us watches the connection now.
    pub(crate) fn watch(&mut self, c: usize, now: Micros) {
        self.connections[c].patience = now + CLOSING;
    }
}
