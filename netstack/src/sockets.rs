//! The application's side: listening, commands, and events taken.
//!
//! Every socket number from a caller is an allegation: it counts only if a listener of that
//! caller has that socket and the caller has been told of the connection on it. A command for
//! anything else is ignored, since it may honestly cross with the connection's end.

use crate::backlog::Backlog;
use crate::connection::{App, Connection, Phase, RECEIVE_RING, pending};
use crate::deadlines::Micros;
use crate::flows::MAX_CONNECTIONS;
use crate::pack::Pool;
use crate::stack::Stack;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};

/// Most listeners.
const LISTENERS: usize = 16;
/// Most bytes of one `Received`.
const CHUNK: usize = 4096;

pub struct Listener {
    pub port: u16,
    /// Index of the owner.
    pub owner: usize,
    pub free: Vec<u16>,
    /// Oldest first.
    pub time_wait: VecDeque<u16>,
    pub backlog: Backlog,
}

/// A component that listens.
pub struct Owner {
    pub component: u16,
    /// Connections with something pending.
    pub ready: Vec<u16>,
    /// Something in there should end a wait.
    pub urgent: bool,
}

/// Why `listen` was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Port 0 or above 65535, or no sockets.
    BadArgument,
    /// Another component has the port.
    Busy,
    /// More sockets or listeners than there can be.
    NoMemory,
}

pub enum Command<D> {
    Send(D),
    Close,
    Abort,
    /// The application took that many of the bytes handed to it.
    Taken(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    Accepted([u8; 4]),
    /// The bytes are the next run of the inbox.
    Received,
    /// All that was queued is in the send ring: that many bytes.
    Sent(u32),
    PeerClosed,
    Gone,
}

/// What is there for an owner to take.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Readiness {
    Nothing,
    /// Events that can wait a little for company.
    Lazy,
    Urgent,
}

impl<P: DerefMut<Target = [u8]>, D: Deref<Target = [u8]>> Stack<P, D> {
    /// Listens. A second call by the same component for the same port resets every connection
    /// of the first: the component was restarted.
    pub fn listen(&mut self, component: u16, port: u32, sockets: u32) -> Result<(), Refusal> {
        let port = u16::try_from(port).map_err(|_| Refusal::BadArgument)?;
        if port == 0 || sockets == 0 {
            return Err(Refusal::BadArgument);
        }
        let owner = self
            .owners
            .iter()
            .position(|o| o.component == component)
            .unwrap_or(self.owners.len());
        if let Some(l) = self.listeners.iter().position(|l| l.port == port) {
            if self.listeners[l].owner != owner {
                return Err(Refusal::Busy);
            }
            self.restart(l);
            return Ok(());
        }
        let first = self.connections.len();
        let count = usize::try_from(sockets).map_err(|_| Refusal::NoMemory)?;
        if count > MAX_CONNECTIONS - first || self.listeners.len() >= LISTENERS {
            return Err(Refusal::NoMemory);
        }
        let mut made = Vec::new();
        for _ in 0..count {
            made.push(Connection::new(self.listeners.len()).ok_or(Refusal::NoMemory)?);
        }
        self.connections.append(&mut made);
        if owner == self.owners.len() {
            self.owners.push(Owner {
                component,
                ready: Vec::with_capacity(count),
                urgent: false,
            });
        }
        self.listeners.push(Listener {
            port,
            owner,
            // Low numbers are taken first: their rings are warm.
            free: (first..first + count).rev().map(|c| c as u16).collect(),
            time_wait: VecDeque::new(),
            backlog: Backlog::default(),
        });
        Ok(())
    }

    fn restart(&mut self, listener: usize) {
        for c in 0..self.connections.len() {
            let connection = &mut self.connections[c];
            if connection.listener != listener {
                continue;
            }
            connection.pending = 0;
            match connection.phase {
                Phase::Over => self.release(c),
                Phase::Opening | Phase::Open => {
                    connection.app = App::Unaware;
                    connection.drop_outbox();
                    connection.socket().abort();
                    self.touch(c);
                }
                Phase::Free | Phase::TimeWait => {}
            }
        }
    }

    /// The connection that `component` may command by this number.
    fn owned(&self, component: u16, socket: u32) -> Option<usize> {
        let c = usize::try_from(socket).ok()?;
        let connection = self.connections.get(c)?;
        let owner = self.listeners[connection.listener].owner;
        let aware = matches!(connection.app, App::Live | App::Done);
        (self.owners[owner].component == component
            && aware
            && matches!(connection.phase, Phase::Open))
        .then_some(c)
    }

    /// How many clients wait for a free socket of a component's.
    pub fn waiting(&self, component: u16, now: Micros) -> usize {
        let is_theirs = |l: &&Listener| self.owners[l.owner].component == component;
        let listeners = self.listeners.iter().filter(is_theirs);
        listeners.map(|l| l.backlog.len(now)).sum()
    }

    /// Executes one command. Nothing is sent before the next `flush`.
    pub fn command(&mut self, component: u16, socket: u32, command: Command<D>, now: Micros) {
        let Some(c) = self.owned(component, socket) else {
            return;
        };
        let connection = &mut self.connections[c];
        let live = connection.app == App::Live;
        match command {
            Command::Send(data) if live => {
                if !connection.queue(data) {
                    // More than anyone may queue: the connection ends, and its owner hears it.
                    connection.drop_outbox();
                    connection.socket().abort();
                }
                self.touch(c);
            }
            Command::Close if live => {
                connection.app = App::Done;
                connection.pending &= pending::GONE_BEFORE;
                connection.closing = true;
                self.watch(c, now);
                self.touch(c);
            }
            Command::Abort => {
                connection.app = App::Done;
                connection.pending &= pending::GONE_BEFORE;
                connection.drop_outbox();
                connection.socket().abort();
                self.touch(c);
            }
            Command::Taken(bytes) => {
                connection.untaken = connection.untaken.saturating_sub(bytes);
                self.review(c);
            }
            Command::Send(_) | Command::Close => {}
        }
    }

    /// What waits for a component.
    pub fn readiness(&self, component: u16) -> Readiness {
        match self.owners.iter().find(|o| o.component == component) {
            Some(o) if o.urgent => Readiness::Urgent,
            Some(o) if !o.ready.is_empty() => Readiness::Lazy,
            _ => Readiness::Nothing,
        }
    }

    /// What could wait has waited long enough.
    pub fn hurry(&mut self, component: u16) {
        if let Some(owner) = self.owners.iter_mut().find(|o| o.component == component) {
            owner.urgent = !owner.ready.is_empty();
        }
    }

    /// Takes at most `most` events, in order for each socket; received bytes are copied into
    /// the inbox, one run for each `Received`.
    pub fn collect(
        &mut self,
        component: u16,
        most: usize,
        pool: &mut impl Pool<Page = P>,
        mut event: impl FnMut(u32, Event),
    ) {
        let Some(owner) = self.owners.iter().position(|o| o.component == component) else {
            return;
        };
        let mut ready = core::mem::take(&mut self.owners[owner].ready);
        let mut taken = 0;
        let mut left = 0;
        for at in 0..ready.len() {
            let c = usize::from(ready[at]);
            // One connection has at most six events besides its bytes.
            if taken + 8 > most || !self.collect_one(c, most, pool, &mut taken, &mut event) {
                ready[left] = ready[at];
                left += 1;
            } else {
                self.connections[c].listed = false;
            }
        }
        ready.truncate(left);
        // Nothing was listed meanwhile but by connections that are already in `ready`.
        let owner = &mut self.owners[owner];
        owner.urgent = left > 0;
        ready.append(&mut owner.ready);
        owner.ready = ready;
    }

    /// `false` when something is left to take.
    fn collect_one(
        &mut self,
        c: usize,
        most: usize,
        pool: &mut impl Pool<Page = P>,
        taken: &mut usize,
        event: &mut impl FnMut(u32, Event),
    ) -> bool {
        let connection = &mut self.connections[c];
        let mut hand = |what| {
            *taken += 1;
            event(c as u32, what);
        };
        let clear = |connection: &mut Connection<D>, bit: u8| {
            let set = connection.pending & bit != 0;
            connection.pending &= !bit;
            set
        };
        if clear(connection, pending::GONE_BEFORE) {
            hand(Event::Gone);
        }
        if clear(connection, pending::ACCEPTED) {
            connection.app = App::Live;
            hand(Event::Accepted(
                connection.flow.map_or([0; 4], |f| f.remote),
            ));
        }
        if clear(connection, pending::SENT) {
            let bytes = core::mem::take(&mut connection.left);
            connection.late = false;
            hand(Event::Sent(bytes as u32));
        }
        let mut complete = true;
        if clear(connection, pending::RECEIVED) {
            loop {
                let room = RECEIVE_RING.saturating_sub(connection.untaken);
                let want = connection.peek().recv_queue().min(room).min(CHUNK);
                if want == 0 {
                    break;
                }
                if self.inbox.len() + 8 > most || !self.inbox.reserve(want, pool) {
                    connection.pending |= pending::RECEIVED;
                    complete = false;
                    break;
                }
                let Some(run) = self.inbox.run(want) else {
                    break;
                };
                let Ok(copied) = connection.socket().recv_slice(run) else {
                    break;
                };
                debug_assert_eq!(copied, want);
                self.counters.copied += copied as u64;
                connection.untaken += copied;
                hand(Event::Received);
            }
        }
        if clear(connection, pending::PEER_CLOSED) {
            hand(Event::PeerClosed);
        }
        if clear(connection, pending::GONE) {
            hand(Event::Gone);
            if connection.phase == Phase::Over {
                self.release(c);
            }
            return complete;
        }
        // What was read opens the window; the peer's end may be next.
        if matches!(connection.phase, Phase::Open) {
            self.touch(c);
            self.review(c);
            return complete && self.connections[c].pending == 0;
        }
        complete
    }
}
