//! Turning a finished work into commands: a head in the round's page, a body by reference.

use crate::connection::{Connection, Phase};
use crate::outbox::Outbox;
use crate::platform::{Buffer, CommandKind, Platform};
use crate::response::{
    self, Connection as Field, HEAD_BYTES, MEDIA_JSON, MEDIA_TEXT, Out, Stamp, body_fields,
};
use crate::stats::{Counters, STATS_BYTES};
use crate::status::Status;
use crate::work::{Kind, Work};

/// What it takes to answer.
pub struct Desk<'a, P: Platform> {
    pub outbox: &'a mut Outbox<P>,
    pub stamp: &'a Stamp,
    pub counters: &'a mut Counters,
    pub start_ms: u64,
    pub now_ms: u64,
    pub platform: &'a mut P,
}

impl<P: Platform> Desk<'_, P> {
    /// Answers `work` on its connection. `false` when there is no page for the head just now, or
    /// when the work is not ready; nothing has happened then.
    pub fn answer(
        &mut self,
        work: &mut Work<P::Buffer>,
        connection: &mut Connection<P::Buffer>,
    ) -> bool {
        let (outbox, stamp) = (&mut *self.outbox, self.stamp);
        let room = match work.kind {
            Kind::Lookup { .. } | Kind::Run { .. } => return false,
            Kind::Stats => HEAD_BYTES + STATS_BYTES,
            _ => HEAD_BYTES,
        };
        if !outbox.reserve(room, self.platform) {
            return false;
        }
        let socket = connection.socket;
        let field = work.connection;
        let status = status_of(&work.kind);
        let (text, body) = match &mut work.kind {
            Kind::File(file) => {
                let file = &**file;
                let text = outbox.send_text(socket, |out| {
                    response::head(out, Status::Ok, stamp, &file.fields.found, field);
                });
                (text, file.body.clone())
            }
            Kind::NotModified(file) => {
                let fields = &file.fields.unchanged;
                let text = outbox.send_text(socket, |out| {
                    response::head(out, Status::NotModified, stamp, fields, field);
                });
                (text, None)
            }
            Kind::Page {
                status,
                media,
                body,
            } => {
                let bytes = body.as_ref().map_or(0, |body| body.bytes().len());
                let (status, media) = (*status, *media);
                let text = outbox.send_text(socket, |out| {
                    with_fields(out, status, stamp, field, |out| {
                        body_fields(out, media, bytes);
                        out.put(b"Cache-Control: no-store\r\n");
                    });
                });
                (text, body.take())
            }
            Kind::Stats => {
                let mut json = [0; STATS_BYTES];
                let machine = self.platform.machine();
                let mut cursor = Out::new(&mut json);
                self.counters.write(
                    &mut cursor,
                    &machine,
                    self.now_ms.saturating_sub(self.start_ms),
                );
                let bytes = cursor.written();
                let head_only = work.head_only;
                let text = outbox.send_text(socket, |out| {
                    with_fields(out, Status::Ok, stamp, field, |out| {
                        body_fields(out, MEDIA_JSON, bytes);
                        out.put(b"Cache-Control: no-store\r\n");
                    });
                    if !head_only {
                        out.put(&json[..bytes]);
                    }
                });
                (text, None)
            }
            Kind::Refused(refusal) => {
                let (refusal, head_only) = (*refusal, work.head_only);
                let text = outbox.send_text(socket, |out| {
                    with_fields(out, refusal.status, stamp, field, |out| {
                        body_fields(out, MEDIA_TEXT, refusal.why.len() + 1);
                        if refusal.status == Status::MethodNotAllowed {
                            out.put(b"Allow: GET, HEAD\r\n");
                        }
                    });
                    if !head_only {
                        out.put(refusal.why.as_bytes());
                        out.put(b"\n");
                    }
                });
                (text, None)
            }
            Kind::Continue => {
                let text =
                    outbox.send_text(socket, |out| out.put(b"HTTP/1.1 100 Continue\r\n\r\n"));
                (text, None)
            }
            Kind::Lookup { .. } | Kind::Run { .. } => return false,
        };
        let (bytes, own) = text;
        connection.queued += bytes as u64;
        connection.parts += u32::from(own);
        if let Some(body) = body.filter(|body| !work.head_only && !body.bytes().is_empty()) {
            connection.queued += body.bytes().len() as u64;
            connection.parts += 1;
            outbox.send(socket, body);
        }
        self.counters.responses[usize::from(status / 100).clamp(1, 5) - 1] += 1;
        connection.works = connection.works.saturating_sub(1);
        if field == Field::Close {
            outbox.put(CommandKind::Close, socket, 0);
            connection.enter(Phase::Closing, self.now_ms);
        } else {
            connection.enter(Phase::Answering, self.now_ms);
        }
        true
    }
}

/// A head whose own fields are written in place.
fn with_fields(
    out: &mut Out<'_>,
    status: Status,
    stamp: &Stamp,
    field: Field,
    fields: impl FnOnce(&mut Out<'_>),
) {
    response::begin(out, status, stamp);
    fields(out);
    response::end(out, field);
}

fn status_of<B>(kind: &Kind<B>) -> u16 {
    match kind {
        Kind::File(_) | Kind::Stats => 200,
        Kind::NotModified(_) => 304,
        Kind::Page { status, .. } => status.code(),
        Kind::Refused(refusal) => refusal.status.code(),
        Kind::Continue | Kind::Lookup { .. } | Kind::Run { .. } => 100,
    }
}
