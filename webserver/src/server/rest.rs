//! Bodies that there is no memory for, or that do not come in one piece: what is missing is asked
//! for later, what follows a piece when that has left. So a long body takes no more memory than
//! there is, however slowly its client reads.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::platform::{Buffer, Platform};
use crate::status::{NO_ANSWER, NO_MEMORY};
use crate::work::{Kind, Next, Rest, Work};

use super::ask::UNAVAILABLE;
use super::{RETRY_MS, Server};

const OK: u32 = 200;
/// How long something is asked for again while there is no memory for it.
const PATIENCE_MS: u64 = 5_000;

impl<B: Buffer> Rest<B> {
    fn new(text: Vec<u8>) -> Self {
        Self {
            text,
            tag: None,
            bytes: 0,
            sent: 0,
            next: Next::Unknown,
            lacks_since_ms: None,
            again_ms: 0,
        }
    }

    /// What follows `body`, the first piece of `bytes` bytes; `None` where nothing does.
    pub fn behind(
        text: &[u8],
        tag: Option<u64>,
        bytes: u32,
        body: &Option<B>,
    ) -> Option<Box<Self>> {
        let first = body.as_ref().map_or(0, |body| body.bytes().len());
        // A head that promises more than can follow would end in an abort.
        (1..bytes as usize).contains(&first).then(|| {
            Box::new(Self {
                tag,
                bytes,
                ..Self::new(text.to_vec())
            })
        })
    }
}

impl<B: Buffer> Work<B> {
    /// There is no memory for what it asked for: it is asked for again soon, but not for ever.
    #[cold]
    pub(super) fn lacks(&mut self, now_ms: u64) {
        let text = match &mut self.kind {
            Kind::Lookup { path: text, .. } | Kind::Run { query: text } => text.take(),
            _ => None,
        };
        let text = || text.map_or(Vec::new(), |text| text.bytes().to_vec());
        let rest = self.rest.get_or_insert_with(|| Box::new(Rest::new(text())));
        rest.next = Next::Unknown;
        rest.again_ms = now_ms + RETRY_MS;
        let since = *rest.lacks_since_ms.get_or_insert(now_ms);
        if now_ms.saturating_sub(since) >= PATIENCE_MS {
            match self.kind {
                Kind::Rest => rest.next = Next::Lost,
                _ => (self.kind, self.rest) = (Kind::Refused(NO_MEMORY), None),
            }
        }
    }

    /// Nobody answers.
    #[cold]
    pub(super) fn fails(&mut self) {
        match (&self.kind, &mut self.rest) {
            (Kind::Rest, Some(rest)) => rest.next = Next::Lost,
            _ => (self.kind, self.rest) = (Kind::Refused(NO_ANSWER), None),
        }
    }

    /// Takes the answer to the question for the next piece.
    #[cold]
    pub(super) fn goes_on(&mut self, status: u32, bytes: u32, body: Option<B>, now_ms: u64) {
        if status == UNAVAILABLE {
            return self.lacks(now_ms);
        }
        let Some(rest) = &mut self.rest else { return };
        let left = rest.bytes.saturating_sub(rest.sent) as usize;
        let fits = |body: &B| (1..=left).contains(&body.bytes().len());
        rest.next = match body.filter(fits) {
            Some(piece) if status == OK && bytes == rest.bytes => {
                rest.lacks_since_ms = None;
                Next::Here(piece)
            }
            _ => Next::Lost,
        };
    }
}

impl<P: Platform> Server<P> {
    /// Writes down what is to be asked now of what was put off: not of a body of which something is
    /// left in the network stack.
    #[cold]
    pub(super) fn ask_for_rests(&mut self, platform: &mut P) {
        for at in 0..self.works.len() {
            let work = &self.works[at];
            let Some(rest) = &work.rest else { continue };
            let connection = &self.connections[work.place];
            let ready = matches!(rest.next, Next::Unknown)
                && connection.generation == work.generation
                && connection.is_open()
                && (connection.queued == 0 || rest.sent == 0)
                && self.clock.ms >= rest.again_ms;
            let is_question = matches!(
                work.kind,
                Kind::Rest | Kind::Lookup { .. } | Kind::Run { .. }
            );
            if !ready || !is_question {
                continue;
            }
            let bytes = rest.text.len();
            if bytes == 0 {
                if let Some(rest) = &mut self.works[at].rest {
                    rest.next = Next::Ready(None);
                }
                continue;
            }
            if !self.asks.fits(bytes) {
                self.seal_asks(platform);
            }
            if !self.asks.open(platform) {
                // It is tried again soon.
                return;
            }
            let text = self.works[at].rest.as_ref().map(|rest| &rest.text[..]);
            let text = text.unwrap_or_default();
            let span = self.asks.write(|room| {
                let bytes = text.len().min(room.len());
                room[..bytes].copy_from_slice(&text[..bytes]);
                bytes
            });
            self.asked.extend(span.map(|span| (at, span)));
        }
    }

    /// Whether a work needs a round soon: not while its connection has to take what is queued.
    pub(super) fn needs_a_round(&self) -> bool {
        self.works.iter().any(|work| {
            let connection = &self.connections[work.place];
            !matches!(work.kind, Kind::Rest) || connection.queued == 0
        })
    }
}
