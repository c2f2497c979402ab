//! From bytes to works: what a connection's next input asks for.

use alloc::vec::Vec;

use crate::body::Body;
use crate::choice;
use crate::condition::{Condition, is_unchanged};
use crate::head::{self, HEAD_MAX, Progress, Scan};
use crate::path;
use crate::platform::{Buffer, PAGE_BYTES, PieceKind, Platform};
use crate::request::{self, Framing, Method, Request};
use crate::response::Connection as Field;
use crate::routes::{CHOICE, Route, UPLOAD, route};
use crate::status::{NO_MEMORY, POST_ONLY, READ_ONLY, Refusal, Status};
use crate::work::{Kind, Work};

use super::{Server, upload};

const UNKNOWN_METHOD: Refusal = Refusal::new(Status::NotImplemented, "the method is unknown");
const UNKNOWN_CODING: Refusal =
    Refusal::new(Status::NotImplemented, "the transfer coding is unknown");
const UNMET: Refusal = Refusal::new(Status::ExpectationFailed, "the expectation cannot be met");

impl<P: Platform> Server<P> {
    /// Understands as many requests as `bytes`, the connection's next input, have and there is
    /// room for. Answers how many bytes are done with.
    /// `buffer`: where these bytes came in, if they are all of it.
    pub(super) fn understand(
        &mut self,
        place: usize,
        bytes: &[u8],
        buffer: Option<&P::Buffer>,
        platform: &mut P,
    ) -> usize {
        let mut at = 0;
        loop {
            let connection = &mut self.connections[place];
            if !connection.is_open() || connection.last {
                return bytes.len();
            }
            let rest = &bytes[at..];
            if let Some((body, work)) = &mut connection.body {
                let discarded = body.discard(rest);
                let taken = discarded.as_ref().map_or(0, |(taken, _)| *taken);
                let mut job = None;
                match &mut work.kind {
                    Kind::Choice { words } => words.extend_from_slice(&rest[..taken]),
                    Kind::Upload { job: number } => job = Some(*number),
                    _ => {}
                }
                let handed = job.filter(|_| taken > 0).map_or(Ok(()), |job| {
                    let part = buffer.map(|buffer| buffer.slice(at..at + taken));
                    self.progressed(place, taken);
                    self.upload(job, &rest[..taken], part, platform)
                });
                let connection = &mut self.connections[place];
                match handed.and(discarded) {
                    Ok((taken, true)) => {
                        at += taken;
                        if let Some((_, work)) = connection.body.take() {
                            if let Some(job) = job {
                                self.piece(job, PieceKind::End, None);
                            }
                            self.push(place, work);
                        }
                    }
                    Ok((_, false)) => return bytes.len(),
                    Err(refusal) => {
                        connection.body = None;
                        self.refuse(place, refusal);
                    }
                }
                continue;
            }
            if rest.is_empty() {
                return at;
            }
            if connection.progress == Progress::default() {
                // RFC 9112, section 2.2: empty lines before a request are no request.
                match rest {
                    [b'\r', b'\n', ..] => {
                        at += 2;
                        continue;
                    }
                    [b'\r'] => return at,
                    _ => {}
                }
            }
            if connection.is_full() {
                if !connection.backlog {
                    connection.backlog = true;
                    if !self.backlog.contains(&place) {
                        self.backlog.push(place);
                    }
                }
                return at;
            }
            if connection.progress == Progress::default()
                && let Some((mut request, length)) = request::whole(rest)
            {
                at += length;
                request.keep &= !self.is_over(place, rest.len() > length);
                self.request(place, &request, platform);
                continue;
            }
            match head::scan(rest, &mut connection.progress) {
                Scan::Partial => return at,
                Scan::Refused(refusal) => self.refuse(place, refusal),
                Scan::Complete(length) => {
                    connection.progress = Progress::default();
                    at += length;
                    match request::parse(&rest[..length]) {
                        Ok(mut request) => {
                            request.keep &= !self.is_over(place, rest.len() > length);
                            self.request(place, &request, platform);
                        }
                        Err(refusal) => self.refuse(place, refusal),
                    }
                }
            }
        }
    }

    /// Refuses where the next request's beginning is in doubt: the connection ends.
    #[cold]
    pub(super) fn refuse(&mut self, place: usize, refusal: Refusal) {
        self.counters.requests += 1;
        self.push(
            place,
            Work {
                place,
                generation: self.connections[place].generation,
                head_only: false,
                connection: Field::Close,
                kind: Kind::Refused(refusal),
                since: P::ticks(),
                rest: None,
            },
        );
    }

    pub(super) fn request(&mut self, place: usize, request: &Request<'_>, platform: &mut P) {
        let uploads = request.method == Method::Post && request.path == UPLOAD;
        let mut framing = match request.framing {
            Framing::None => None,
            // Whether an upload is too long is not for the server to say.
            Framing::Length(left) if uploads => Some(Body::Length { left }),
            Framing::Length(length) => match Body::with_length(length) {
                Ok(body) => Some(body),
                Err(refusal) => return self.refuse(place, refusal),
            },
            Framing::Chunked => Some(Body::CHUNKED),
            Framing::Unknown => return self.refuse(place, UNKNOWN_CODING),
        };
        self.counters.requests += 1;
        let refused = match request.method {
            Method::Unknown => Some(UNKNOWN_METHOD),
            Method::NotAllowed if request.path == CHOICE => Some(POST_ONLY),
            Method::NotAllowed => Some(READ_ONLY),
            Method::Post if uploads => upload::judge(request).err(),
            Method::Post => choice::refused(request),
            _ if request.expects_other => Some(UNMET),
            _ => None,
        };
        let mut keep = request.keep;
        let generation = self.connections[place].generation;
        if framing.is_some() && request.expects_continue {
            if refused.is_some() {
                // The client may send the body or not: nobody can tell what comes next.
                keep = false;
                framing = None;
            } else {
                self.push(
                    place,
                    Work {
                        place,
                        generation,
                        head_only: false,
                        connection: Field::Stays,
                        kind: Kind::Continue,
                        since: P::ticks(),
                        rest: None,
                    },
                );
            }
        }
        let kind = match refused {
            Some(refusal) => Kind::Refused(refusal),
            None if uploads => match self.begin_upload(place, request, platform) {
                Ok(kind) => kind,
                Err(refusal) => Kind::Refused(refusal),
            },
            None if request.method == Method::Post => Kind::Choice { words: Vec::new() },
            None => self.kind(request, framing.is_some(), platform),
        };
        let work = Work {
            place,
            generation,
            head_only: request.method == Method::Head,
            connection: match (keep, request.minor) {
                (false, _) => Field::Close,
                (true, 0) => Field::KeepAlive,
                (true, _) => Field::Stays,
            },
            kind,
            since: P::ticks(),
            rest: None,
        };
        match framing {
            Some(body) => self.connections[place].body = Some((body, work)),
            None => self.push(place, work),
        }
    }

    /// Who is to answer. The text that a component will be asked about goes into the round's
    /// page, or, where the answer has to wait for a body, into one of its own.
    pub(super) fn kind(
        &mut self,
        request: &Request<'_>,
        later: bool,
        platform: &mut P,
    ) -> Kind<P::Buffer> {
        if let Some(file) = self.cache.get(request.path) {
            return if is_unchanged(request, file.tag, file.modified) {
                Kind::NotModified(file.clone())
            } else {
                Kind::File(file.clone())
            };
        }
        let mut room;
        let name = if path::is_plain(request.path) {
            request.path
        } else {
            room = [0; HEAD_MAX];
            match path::normalise(request.path, &mut room) {
                Ok(length) => &room[..length],
                Err(refusal) => return Kind::Refused(refusal),
            }
        };
        match route(name) {
            Route::Stats => Kind::Stats,
            Route::Report(format) => Kind::Report(format),
            Route::Choice => Kind::Refused(POST_ONLY),
            Route::Cgi => match self.text(request.query, later, platform) {
                Ok(query) => Kind::Run { query },
                Err(refusal) => Kind::Refused(refusal),
            },
            Route::File => match self.text(name, later, platform) {
                Ok(path) => Kind::Lookup {
                    path,
                    condition: Condition::keep(request),
                },
                Err(refusal) => Kind::Refused(refusal),
            },
        }
    }

    /// `None` where the text is empty or comes with the page that is open now, for the work
    /// that is pushed next.
    pub(super) fn text(
        &mut self,
        text: &[u8],
        later: bool,
        platform: &mut P,
    ) -> Result<Option<P::Buffer>, Refusal> {
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() > PAGE_BYTES {
            return Err(Refusal::new(Status::UriTooLong, "the path is too long"));
        }
        let copy = |room: &mut [u8]| {
            room[..text.len()].copy_from_slice(text);
            text.len()
        };
        if later {
            let mut page = platform.page().ok_or(NO_MEMORY)?;
            let bytes = copy(&mut page);
            return Ok(Some(platform.freeze(page, bytes)));
        }
        if !self.asks.fits(text.len()) {
            self.seal_asks(platform);
        }
        if !self.asks.open(platform) {
            return Err(NO_MEMORY);
        }
        let span = self.asks.write(copy).ok_or(NO_MEMORY)?;
        self.asked.push((self.works.len(), span));
        Ok(None)
    }

    pub(super) fn push(&mut self, place: usize, work: Work<P::Buffer>) {
        let connection = &mut self.connections[place];
        connection.works += 1;
        connection.asked = true;
        connection.last |= work.connection == Field::Close;
        self.works.push(work);
    }
}
