//! One connection: what has come and is not understood yet, what is queued, and since when it
//! is in its phase.

use alloc::vec::Vec;

use crate::body::Body;
use crate::head::{HEAD_MAX, Progress};
use crate::work::Work;

/// Answers that may be unfinished at once; more requests wait in the connection's buffer.
const WORKS_MAX: u32 = 4;
/// Bytes of answers that may be queued before more requests are taken.
const QUEUED_MAX: u64 = 64 * 1024;
/// Buffers that may be queued. The network stack takes 64; but each keeps a page of heads alive,
/// and clients that do not read must not use the pool up.
const PARTS_MAX: u32 = 16;
/// Most bytes held: the beginning of a head, and the network stack's whole receive window
/// behind it while requests have to wait.
pub const INPUT_MAX: usize = 2 * HEAD_MAX;
/// Received bytes that are acknowledged to the network stack together.
pub const TOOK_STEP: u32 = 2048;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// The place is free.
    Free,
    /// Waits for a request.
    Idle,
    /// A request has begun and not ended.
    Reading,
    /// Answers are being made or are leaving.
    Answering,
    /// Closed after its last answer; the network stack is finishing.
    Closing,
    /// Aborted; the network stack has not said yet that it is gone.
    Aborted,
}

pub struct Connection<B> {
    pub socket: u32,
    /// Differs for every connection that is ever in this place.
    pub generation: u64,
    pub phase: Phase,
    /// When it was accepted.
    pub begun_ms: u64,
    /// Since when its turn is over: clients wait, and hardly anyone has had a place for longer.
    pub yields_ms: Option<u64>,
    /// When the phase began or last made progress, in milliseconds.
    pub since_ms: u64,
    /// Input that is not understood yet.
    pub input: Vec<u8>,
    pub progress: Progress,
    /// The body that is being read past, and the request that it belongs to.
    pub body: Option<(Body, Work<B>)>,
    /// Requests that are understood and not answered.
    pub works: u32,
    /// A request was understood: what comes next is a further one.
    pub asked: bool,
    /// No further request is taken.
    pub last: bool,
    pub peer_closed: bool,
    /// Input waits for room, not for the client.
    pub backlog: bool,
    /// Something happened in this round.
    pub touched: bool,
    /// An answer could not be made in this round, so those behind it wait too.
    pub stalled: bool,
    /// Bytes and buffers that the network stack still queues.
    pub queued: u64,
    pub parts: u32,
    /// Bytes of answers that were queued when the phase began.
    pub left: u64,
    /// Bytes received that the network stack has not been told are taken.
    pub untaken: u32,
}

impl<B> Default for Connection<B> {
    fn default() -> Self {
        Self {
            socket: 0,
            generation: 0,
            phase: Phase::Free,
            begun_ms: 0,
            yields_ms: None,
            since_ms: 0,
            input: Vec::new(),
            progress: Progress::default(),
            body: None,
            works: 0,
            asked: false,
            last: false,
            peer_closed: false,
            backlog: false,
            touched: false,
            stalled: false,
            queued: 0,
            parts: 0,
            left: 0,
            untaken: 0,
        }
    }
}

impl<B> Connection<B> {
    /// A fresh connection in this place.
    pub fn begin(&mut self, socket: u32, now_ms: u64) {
        *self = Self {
            socket,
            generation: self.generation + 1,
            phase: Phase::Idle,
            since_ms: now_ms,
            begun_ms: now_ms,
            ..Self::default()
        };
    }

    /// Frees the place, keeping count of generations.
    pub fn end(&mut self) {
        *self = Self {
            generation: self.generation + 1,
            ..Self::default()
        };
    }

    /// Whether it takes requests and sends answers.
    pub fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Reading | Phase::Answering)
    }

    /// Lists its place among those where something happened in this round, once.
    pub fn touch(&mut self, place: usize, touched: &mut Vec<usize>) {
        if !core::mem::replace(&mut self.touched, true) {
            touched.push(place);
        }
    }

    pub fn enter(&mut self, phase: Phase, now_ms: u64) {
        self.phase = phase;
        self.since_ms = now_ms;
        self.left = self.queued;
    }

    /// So many queued bytes have left.
    pub fn drained(&mut self, bytes: u64, now_ms: u64) {
        self.queued = self.queued.saturating_sub(bytes);
        if self.queued == 0 {
            self.parts = 0;
        }
        if self.phase == Phase::Answering {
            self.since_ms = now_ms;
        }
    }

    /// Whether a further request has to wait until answers have left.
    pub fn is_full(&self) -> bool {
        self.works >= WORKS_MAX
            || self.queued >= QUEUED_MAX
            // Each answer has a head and a body, and each may have its 100 Continue.
            || self.parts + 3 * self.works + 3 > PARTS_MAX
    }

    /// Whether a request has begun and not ended.
    pub fn is_reading(&self) -> bool {
        !self.input.is_empty() || self.body.is_some()
    }

    /// The phase that follows from what is under way, entered if it is another.
    pub fn settle(&mut self, now_ms: u64) {
        if !self.is_open() {
            return;
        }
        let phase = if self.works > 0 || self.queued > 0 || self.backlog {
            Phase::Answering
        } else if self.is_reading() {
            Phase::Reading
        } else {
            Phase::Idle
        };
        if phase != self.phase {
            self.enter(phase, now_ms);
        }
    }
}
