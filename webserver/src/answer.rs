//! Turning a finished work into commands: a head in the round's page, a body by reference.

use observe::latency::Histogram;

use crate::connection::{Connection, Phase};
use crate::outbox::Outbox;
use crate::platform::{Buffer, CommandKind, Platform};
use crate::response::{
    self, Connection as Field, HEAD_BYTES, MEDIA_JSON, MEDIA_TEXT, OWN_BYTES, Out, Stamp,
    body_fields,
};
use crate::stats::{Counters, STATS_BYTES};
use crate::status::{POST_ONLY, Refusal, Status};
use crate::work::{Kind, Made, Next, Work};

/// What it takes to answer.
pub struct Desk<'a, P: Platform> {
    pub outbox: &'a mut Outbox<P>,
    pub stamp: &'a Stamp,
    pub counters: &'a mut Counters,
    pub latency: &'a mut Histogram,
    pub start_ms: u64,
    pub now_ms: u64,
    pub platform: &'a mut P,
}

impl<P: Platform> Desk<'_, P> {
    /// Answers `work` on its connection. `false` when there is no page for the head just now, when
    /// the work is not ready, or when more of its answer follows.
    pub fn answer(
        &mut self,
        work: &mut Work<P::Buffer>,
        connection: &mut Connection<P::Buffer>,
    ) -> bool {
        let room = match &work.kind {
            Kind::Rest => return self.go_on(work, connection),
            Kind::Lookup { .. }
            | Kind::Run { .. }
            | Kind::Report(_)
            | Kind::Choice { .. }
            | Kind::Upload { .. } => return false,
            Kind::Stats => HEAD_BYTES + STATS_BYTES,
            Kind::File(file) | Kind::NotModified(file) => OWN_BYTES + file.fields.found.len(),
            _ => HEAD_BYTES,
        };
        if !self.outbox.reserve(room, self.platform) {
            return false;
        }
        let socket = connection.socket;
        let (bytes, own) = match &work.kind {
            Kind::Stats => self.send_stats(socket, work),
            _ => {
                let stamp = self.stamp;
                self.outbox.send_text(socket, |out| write(out, work, stamp))
            }
        };
        connection.queued += bytes as u64;
        connection.parts += u32::from(own);
        let body = match &mut work.kind {
            Kind::File(file) => file.body.clone(),
            Kind::Page { body, .. } => body.take(),
            _ => None,
        };
        if let Some(body) = body.filter(|body| !work.head_only && !body.bytes().is_empty()) {
            if let Some(rest) = &mut work.rest {
                rest.sent = body.bytes().len() as u32;
                work.kind = Kind::Rest;
            }
            connection.queued += body.bytes().len() as u64;
            connection.parts += 1;
            self.outbox.send(socket, body);
            if work.rest.is_some() {
                connection.enter(Phase::Answering, self.now_ms);
                return false;
            }
        }
        if let Kind::Made(made) = &mut work.kind {
            for part in made.body.drain(..).filter(|part| !part.bytes().is_empty()) {
                connection.queued += part.bytes().len() as u64;
                connection.parts += 1;
                self.outbox.send(socket, part);
            }
        }
        self.done(work, connection);
        true
    }

    /// The next piece of an answer that has begun, if it is here; `true` with the last one.
    #[cold]
    fn go_on(
        &mut self,
        work: &mut Work<P::Buffer>,
        connection: &mut Connection<P::Buffer>,
    ) -> bool {
        let Some(rest) = &mut work.rest else {
            return true;
        };
        match core::mem::replace(&mut rest.next, Next::Unknown) {
            Next::Unknown | Next::Ready(_) | Next::Asked => return false,
            Next::Here(piece) => {
                rest.sent += piece.bytes().len() as u32;
                connection.queued += piece.bytes().len() as u64;
                connection.parts += 1;
                self.outbox.send(connection.socket, piece);
                if rest.sent < rest.bytes {
                    return false;
                }
                self.done(work, connection);
            }
            Next::Lost => {
                // The head promised more: only an early end tells that it does not come.
                self.outbox.put(CommandKind::Abort, connection.socket, 0);
                self.counters.aborted += 1;
                connection.enter(Phase::Aborted, self.now_ms);
                connection.input.clear();
                connection.body = None;
            }
        }
        true
    }

    /// All of an answer has been sent.
    fn done(&mut self, work: &Work<P::Buffer>, connection: &mut Connection<P::Buffer>) {
        let socket = connection.socket;
        let class = status_of(&work.kind) / 100;
        if class != 1 {
            self.latency.note(P::ticks().wrapping_sub(work.since));
        }
        self.counters.responses[usize::from(class).clamp(1, 5) - 1] += 1;
        connection.works = connection.works.saturating_sub(1);
        if work.connection == Field::Close {
            self.outbox.put(CommandKind::Close, socket, 0);
            connection.enter(Phase::Closing, self.now_ms);
        } else {
            connection.enter(Phase::Answering, self.now_ms);
        }
    }

    #[cold]
    fn send_stats(&mut self, socket: u32, work: &Work<P::Buffer>) -> (usize, bool) {
        let mut json = [0; STATS_BYTES];
        let machine = self.platform.machine();
        let mut cursor = Out::new(&mut json);
        let uptime_ms = self.now_ms.saturating_sub(self.start_ms);
        self.counters.write(&mut cursor, &machine, uptime_ms);
        let bytes = cursor.written();
        self.outbox.send_text(socket, |out| {
            made(out, Status::Ok, self.stamp, MEDIA_JSON, bytes);
            response::end(out, work.connection);
            if !work.head_only {
                out.put(&json[..bytes]);
            }
        })
    }
}

/// Writes the head of an answer, and the body of one that comes from here.
fn write<B: Buffer>(out: &mut Out<'_>, work: &Work<B>, stamp: &Stamp) {
    let field = work.connection;
    match &work.kind {
        Kind::File(file) => response::head(out, Status::Ok, stamp, &file.fields.found, field),
        Kind::NotModified(file) => {
            response::head(
                out,
                Status::NotModified,
                stamp,
                &file.fields.unchanged,
                field,
            );
        }
        Kind::Page {
            status,
            media,
            body,
        } => {
            let whole = work.rest.as_ref().map(|rest| rest.bytes as usize);
            let bytes = || body.as_ref().map_or(0, |body| body.bytes().len());
            let bytes = whole.unwrap_or_else(bytes);
            made(out, *status, stamp, *media, bytes);
            response::end(out, field);
        }
        Kind::Made(answer) => {
            let bytes = answer.body.iter().map(|part| part.bytes().len()).sum();
            made(out, answer.status, stamp, answer.media, bytes);
            if let Some(timing) = &answer.timing {
                out.put(b"Server-Timing: ");
                out.put(timing.bytes());
                out.put(b"\r\n");
            }
            response::end(out, field);
        }
        Kind::Refused(refusal) => refused(out, *refusal, work, stamp),
        Kind::Continue => out.put(b"HTTP/1.1 100 Continue\r\n\r\n"),
        // These have been seen to elsewhere.
        Kind::Stats
        | Kind::Rest
        | Kind::Lookup { .. }
        | Kind::Run { .. }
        | Kind::Report(_)
        | Kind::Choice { .. }
        | Kind::Upload { .. } => {}
    }
}

#[cold]
fn refused<B>(out: &mut Out<'_>, refusal: Refusal, work: &Work<B>, stamp: &Stamp) {
    response::begin(out, refusal.status, stamp);
    body_fields(out, MEDIA_TEXT, refusal.why.len() + 1);
    if refusal == POST_ONLY {
        out.put(b"Allow: POST\r\n");
    } else if refusal.status == Status::MethodNotAllowed {
        out.put(b"Allow: GET, HEAD\r\n");
    }
    response::end(out, work.connection);
    if !work.head_only {
        out.put(refusal.why.as_bytes());
        out.put(b"\n");
    }
}

/// The head of a page that is made anew each time, but for its end.
fn made(out: &mut Out<'_>, status: Status, stamp: &Stamp, media: u32, bytes: usize) {
    response::begin(out, status, stamp);
    body_fields(out, media, bytes);
    out.put(b"Cache-Control: no-store\r\n");
}

fn status_of<B>(kind: &Kind<B>) -> u16 {
    match kind {
        Kind::File(_) | Kind::Stats | Kind::Rest => 200,
        Kind::NotModified(_) => 304,
        Kind::Page { status, .. } | Kind::Made(Made { status, .. }) => status.code(),
        Kind::Refused(refusal) => refusal.status.code(),
        Kind::Continue
        | Kind::Lookup { .. }
        | Kind::Run { .. }
        | Kind::Report(_)
        | Kind::Choice { .. }
        | Kind::Upload { .. } => 100,
    }
}
