//! One connection: a socket set of one, what the application queued, and what it has not heard.
//!
//! Memory: two rings, at most [`OUTBOX`] buffer handles, and flags. Events are flags, so a
//! slow application cannot make a queue grow.

use crate::deadlines::{Micros, NEVER};
use crate::frame::Flow;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::ops::Deref;
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp;

/// Bytes of a socket's send ring: a large body and its head.
pub const SEND_RING: usize = 68 * 1024;
/// Bytes of a socket's receive ring; also the most that an application may hold untaken.
pub const RECEIVE_RING: usize = 8 * 1024;
/// Buffers that an application may have queued on one connection.
pub const OUTBOX: usize = 64;

/// Where the number is in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// In its listener's free list.
    Free,
    /// Between SYN and the end of the handshake.
    Opening,
    Open,
    /// Everything acknowledged; kept for stray segments, taken for a new connection at need.
    TimeWait,
    /// The connection ended by itself; the application has to hear it before the number is free.
    Over,
}

/// What the application knows of the connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum App {
    /// Nothing.
    Unaware,
    /// `ACCEPTED` is waiting to be taken.
    Offered,
    /// It took `ACCEPTED` and may send.
    Live,
    /// It closed or aborted; it hears of the end and nothing else.
    Done,
}

/// Events as flags. The order of the bits is the order in which they are handed over.
pub mod pending {
    /// The end of the connection that had this number before.
    pub const GONE_BEFORE: u8 = 1;
    pub const ACCEPTED: u8 = 2;
    pub const SENT: u8 = 4;
    pub const RECEIVED: u8 = 8;
    pub const PEER_CLOSED: u8 = 16;
    pub const GONE: u8 = 32;
}

pub struct Connection<D> {
    pub set: SocketSet<'static>,
    handle: SocketHandle,
    pub listener: usize,
    pub flow: Option<Flow>,
    /// The sequence number of the SYN that opened it.
    pub syn: Option<u32>,
    pub phase: Phase,
    pub app: App,
    pub pending: u8,
    /// In its owner's list of connections that have something pending.
    pub listed: bool,
    /// In the list of connections that may have something to send.
    pub dirty: bool,
    /// Close once the outbox is empty.
    pub closing: bool,
    /// The peer's end has been reported.
    pub peer_closed: bool,
    /// Bytes handed to the application that it has not yet taken.
    pub untaken: usize,
    /// Aborted at this time; moved on by progress while nobody else watches the connection.
    pub patience: Micros,
    outbox: VecDeque<D>,
    front: usize,
    /// Bytes in the send ring that have been sent and not yet acknowledged, as far as we know.
    pub flying: usize,
    /// Bytes moved into the send ring since the last `SENT`.
    pub left: usize,
    /// The outbox did not fit into the ring at once: the application may be waiting for room.
    pub late: bool,
}

/// `None` when there is no memory.
fn ring(bytes: usize) -> Option<Vec<u8>> {
    let mut memory = Vec::new();
    memory.try_reserve_exact(bytes).ok()?;
    memory.resize(bytes, 0);
    Some(memory)
}

impl<D: Deref<Target = [u8]>> Connection<D> {
    /// A free connection of a listener. `None` when there is no memory.
    pub fn new(listener: usize) -> Option<Connection<D>> {
        let mut socket = tcp::Socket::new(
            tcp::SocketBuffer::new(ring(RECEIVE_RING)?),
            tcp::SocketBuffer::new(ring(SEND_RING)?),
        );
        // An acknowledgement waits for the answer it can ride on (see `stack`), not for a timer.
        socket.set_ack_delay(None);
        socket.set_nagle_enabled(false);
        let mut set = SocketSet::new(Vec::with_capacity(1));
        let handle = set.add(socket);
        Some(Connection {
            set,
            handle,
            listener,
            flow: None,
            syn: None,
            phase: Phase::Free,
            app: App::Unaware,
            pending: 0,
            listed: false,
            dirty: false,
            closing: false,
            peer_closed: false,
            untaken: 0,
            patience: NEVER,
            outbox: VecDeque::new(),
            front: 0,
            flying: 0,
            left: 0,
            late: false,
        })
    }

    pub fn socket(&mut self) -> &mut tcp::Socket<'static> {
        self.set.get_mut(self.handle)
    }

    pub fn peek(&self) -> &tcp::Socket<'static> {
        self.set.get(self.handle)
    }

    /// Forgets the connection that was; rings are emptied by the next `listen`.
    pub fn forget(&mut self) {
        self.phase = Phase::Free;
        self.app = App::Unaware;
        self.closing = false;
        self.peer_closed = false;
        self.untaken = 0;
        self.patience = NEVER;
        self.drop_outbox();
        self.flying = 0;
        self.left = 0;
        self.late = false;
    }

    pub fn drop_outbox(&mut self) {
        self.outbox.clear();
        self.front = 0;
    }

    /// Queues a buffer; `false` when the outbox is full.
    pub fn queue(&mut self, data: D) -> bool {
        if self.outbox.len() >= OUTBOX {
            return false;
        }
        if !data.is_empty() {
            self.outbox.push_back(data);
        }
        true
    }

    /// Moves queued bytes into the send ring as far as there is room, and closes when all has
    /// moved and that is wanted. Answers the bytes copied.
    pub fn fill(&mut self) -> usize {
        let mut copied = 0;
        while let Some(data) = self.outbox.front() {
            let rest = &data[self.front.min(data.len())..];
            let whole = rest.len();
            let socket = self.set.get_mut::<tcp::Socket>(self.handle);
            let taken = match socket.send_slice(rest) {
                Ok(taken) => taken,
                // The peer is gone or nothing can be sent any more: nobody will take the rest.
                Err(_) => {
                    self.drop_outbox();
                    break;
                }
            };
            copied += taken;
            if taken < whole {
                self.front += taken;
                self.late = true;
                break;
            }
            self.outbox.pop_front();
            self.front = 0;
        }
        self.left += copied;
        if self.outbox.is_empty() {
            if self.closing {
                self.closing = false;
                self.socket().close();
            } else if self.left > 0 {
                self.pending |= pending::SENT;
            }
        }
        copied
    }
}
