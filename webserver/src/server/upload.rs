//! Uploads for panoramas: bodies are handed on as they come, by reference where they came in a
//! buffer, and answers are fetched when they are done.

use alloc::vec::Vec;

use crate::choice;
use crate::connection::Phase;
use crate::platform::{Buffer, PAGE_BYTES, Piece, PieceKind, Platform, Stretch};
use crate::request::{Framing, Request};
use crate::response::{Connection as Field, TIMING_MAX};
use crate::status::{NO_ANSWER, NO_MEMORY, Refusal, Status};
use crate::work::{Kind, Made, Work};

use super::{RETRY_MS, Server};

/// Slowest rate at which a body may come, in bytes a millisecond.
const SLOWEST: u64 = 8;
/// Longest content type that is handed on; no form needs a longer one.
const TYPE_MAX: usize = 256;
/// Most stretches of an answer: as many buffers as the network stack queues, less a head's.
const STRETCHES_MAX: usize = 60;

const NO_LENGTH: Refusal = Refusal::new(
    Status::LengthRequired,
    "an upload needs a Content-Length and a body",
);
const FOREIGN: Refusal = Refusal::new(
    Status::Forbidden,
    "an upload is not taken from another site's pages",
);

/// An upload that is not answered yet, and the connection that waits for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    number: u32,
    place: usize,
    generation: u64,
}

/// Uploads that are under way.
pub struct Uploads<B> {
    jobs: Vec<Job>,
    /// Number of the last one.
    last: u32,
    pieces: Vec<Piece<B>>,
    stretches: Vec<Stretch<B>>,
    /// When to ask next what is done.
    ask_ms: u64,
    /// The last exchange failed, and with it all jobs: whatever the darkroom has of them is nobody's.
    lost: bool,
}

impl<B> Default for Uploads<B> {
    fn default() -> Self {
        // Whoever ran before this server is answered by nobody.
        Self {
            jobs: Vec::new(),
            last: 0,
            pieces: alloc::vec![Piece::new(0, PieceKind::ForgetAll)],
            stretches: Vec::new(),
            ask_ms: 0,
            lost: false,
        }
    }
}

impl<B> Uploads<B> {
    /// Whether nobody waits for anything.
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.pieces.is_empty()
    }
}

/// Why this request is no upload that is taken; the length of its body otherwise.
pub fn judge(request: &Request<'_>) -> Result<u64, Refusal> {
    if choice::is_foreign(&request.source) {
        return Err(FOREIGN);
    }
    match request.framing {
        Framing::Length(length) => Ok(length),
        Framing::None | Framing::Chunked | Framing::Unknown => Err(NO_LENGTH),
    }
}

impl<P: Platform> Server<P> {
    /// Begins an upload on the connection in `place`: whose body follows.
    #[cold]
    pub(super) fn begin_upload(
        &mut self,
        place: usize,
        request: &Request<'_>,
        platform: &mut P,
    ) -> Result<Kind<P::Buffer>, Refusal> {
        let length = judge(request)?;
        let content_type = request.content_type.filter(|t| t.len() <= TYPE_MAX);
        let content_type = content_type.unwrap_or_default();
        let data = self.text(content_type, true, platform)?;
        self.uploads.last = self.uploads.last.wrapping_add(1);
        let number = self.uploads.last;
        self.uploads.jobs.push(Job {
            number,
            place,
            generation: self.connections[place].generation,
        });
        self.uploads.pieces.push(Piece {
            argument: length,
            data,
            ..Piece::new(number, PieceKind::Begin)
        });
        Ok(Kind::Upload { job: number })
    }

    /// Hands more of an upload's body on: a part of `buffer`, or bytes that were held. `Err` when
    /// there is no memory for these; the job is forgotten then.
    pub(super) fn upload(
        &mut self,
        job: u32,
        bytes: &[u8],
        buffer: Option<P::Buffer>,
        platform: &mut P,
    ) -> Result<(), Refusal> {
        if let Some(data) = buffer {
            self.piece(job, PieceKind::More, Some(data));
            return Ok(());
        }
        for held in bytes.chunks(PAGE_BYTES) {
            let Some(mut page) = platform.page() else {
                self.forget(job);
                return Err(NO_MEMORY);
            };
            page[..held.len()].copy_from_slice(held);
            self.counters.copied_bytes += held.len() as u64;
            let data = platform.freeze(page, held.len());
            self.piece(job, PieceKind::More, Some(data));
        }
        Ok(())
    }

    /// The body of an upload on this connection makes progress.
    pub(super) fn progressed(&mut self, place: usize, bytes: usize) {
        let connection = &mut self.connections[place];
        let earned = connection.since_ms + bytes as u64 / SLOWEST;
        connection.since_ms = earned.min(self.clock.ms);
    }

    pub(super) fn piece(&mut self, job: u32, kind: PieceKind, data: Option<P::Buffer>) {
        let piece = Piece::new(job, kind);
        self.uploads.pieces.push(Piece { data, ..piece });
    }

    fn forget(&mut self, job: u32) {
        self.uploads.jobs.retain(|j| j.number != job);
        self.piece(job, PieceKind::Forget, None);
    }

    /// Hands on what came, and takes what is done. Nothing to do costs two comparisons.
    pub(super) fn stitch(&mut self, platform: &mut P) {
        let asks = !self.uploads.jobs.is_empty() && self.clock.ms >= self.uploads.ask_ms;
        if asks || !self.uploads.pieces.is_empty() {
            self.exchange(platform);
        }
    }

    #[cold]
    fn exchange(&mut self, platform: &mut P) {
        self.uploads.ask_ms = self.clock.ms + RETRY_MS;
        for job in core::mem::take(&mut self.uploads.jobs) {
            let connection = &mut self.connections[job.place];
            if connection.generation != job.generation || !connection.is_open() {
                self.piece(job.number, PieceKind::Forget, None);
                continue;
            }
            if connection.phase == Phase::Answering && connection.queued == 0 {
                // Whoever waits for its panorama is not late.
                connection.since_ms = self.clock.ms;
            }
            self.uploads.jobs.push(job);
        }
        let uploads = &mut self.uploads;
        if uploads.lost {
            let begin = Piece::new(0, PieceKind::ForgetAll);
            uploads.pieces.insert(0, begin);
        }
        let answers = platform.stitch(&mut uploads.pieces, &mut uploads.stretches);
        uploads.pieces.clear();
        uploads.lost = !answers;
        let mut answer: Option<(u32, Made<P::Buffer>)> = None;
        for stretch in core::mem::take(&mut self.uploads.stretches) {
            let (job, more) = (stretch.job, stretch.more);
            let made = match answer.take() {
                Some((of, mut made)) if of == job => {
                    made.body.extend(stretch.body);
                    made
                }
                _ => made(stretch),
            };
            if more == 0 {
                self.answered(job, Kind::Made(made));
            } else if made.body.len() < STRETCHES_MAX {
                answer = Some((job, made));
            } else {
                self.answered(job, Kind::Refused(NO_ANSWER));
            }
        }
        if !answers {
            for job in core::mem::take(&mut self.uploads.jobs) {
                self.answer_job(job, Kind::Refused(NO_ANSWER));
            }
        }
    }

    fn answered(&mut self, number: u32, kind: Kind<P::Buffer>) {
        let is_it = |job: &Job| job.number == number;
        if let Some(at) = self.uploads.jobs.iter().position(is_it) {
            let job = self.uploads.jobs.swap_remove(at);
            self.answer_job(job, kind);
        }
    }

    /// Answers a job whose body came, or is still coming: then the connection ends with it.
    fn answer_job(&mut self, job: Job, kind: Kind<P::Buffer>) {
        let is_it = |work: &Work<P::Buffer>| matches!(work.kind, Kind::Upload { job: number } if number == job.number);
        if let Some(work) = self.works.iter_mut().find(|work| is_it(work)) {
            work.kind = kind;
            return;
        }
        let connection = &mut self.connections[job.place];
        let (generation, open) = (connection.generation, connection.is_open());
        if generation == job.generation
            && open
            && let Some((_, mut work)) = connection.body.take_if(|(_, work)| is_it(work))
        {
            work.kind = kind;
            work.connection = Field::Close;
            self.push(job.place, work);
            self.touch(job.place);
        }
    }
}

/// The answer that begins with this stretch.
fn made<B: Buffer>(stretch: Stretch<B>) -> Made<B> {
    let is_a_value = |timing: &B| {
        let bytes = timing.bytes();
        let printable = |b: &u8| matches!(b, b' '..=b'~');
        (1..=TIMING_MAX).contains(&bytes.len()) && bytes.iter().all(printable)
    };
    Made {
        status: Status::from_component(stretch.status),
        media: stretch.media,
        timing: stretch.timing.filter(is_a_value),
        body: stretch.body.into_iter().collect(),
    }
}
