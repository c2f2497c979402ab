//! Writing the heads of answers. What does not change between two answers is written once: the
//! date once a second, a file's fields once.

use alloc::vec::Vec;

use crate::condition::tag_text;
use crate::date::{self, DATE_BYTES};
use crate::platform::Clock;
use crate::status::Status;

/// Most bytes that [`head`] writes besides the fields that it is given.
pub const OWN_BYTES: usize = 192;
/// Most bytes of an answer's head, and of what goes into its body where that comes from here.
pub const HEAD_BYTES: usize = 768;

/// Longest value of a field `Server-Timing`; [`HEAD_BYTES`] has room for it.
pub const TIMING_MAX: usize = 448;

/// Names of the media numbers that the content interface lists.
pub const MEDIA: [&str; 9] = [
    "application/octet-stream",
    "text/html; charset=utf-8",
    "text/plain; charset=utf-8",
    "text/css; charset=utf-8",
    "text/javascript; charset=utf-8",
    "image/svg+xml",
    "image/png",
    "application/json",
    "text/plain; version=0.0.4; charset=utf-8",
];
const MEDIA_HTML: u32 = 1;
const MEDIA_CSS: u32 = 3;
const MEDIA_SCRIPT: u32 = 4;
pub const MEDIA_TEXT: u32 = 2;
pub const MEDIA_JSON: u32 = 7;

/// The fields that every answer has, renewed when the second changes.
pub struct Stamp {
    second: Option<u64>,
    text: [u8; STAMP.len()],
}

const STAMP: &[u8; 54] = b"Server: Cistern\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
const STAMP_DATE: usize = 23;

impl Default for Stamp {
    fn default() -> Self {
        Self {
            second: None,
            text: *STAMP,
        }
    }
}

impl Stamp {
    pub fn refresh(&mut self, clock: Clock) {
        if self.second != Some(clock.wall_seconds) {
            self.second = Some(clock.wall_seconds);
            self.text[STAMP_DATE..STAMP_DATE + DATE_BYTES]
                .copy_from_slice(&date::format(clock.wall_seconds));
        }
    }
}

/// A cursor that never leaves its slice: what does not fit is dropped.
pub struct Out<'a> {
    room: &'a mut [u8],
    at: usize,
}

impl<'a> Out<'a> {
    pub fn new(room: &'a mut [u8]) -> Self {
        Self { room, at: 0 }
    }
    pub fn put(&mut self, text: &[u8]) {
        if let Some(to) = self.room.get_mut(self.at..self.at + text.len()) {
            to.copy_from_slice(text);
            self.at += text.len();
        }
    }
    pub fn number(&mut self, mut value: u64) {
        let mut digits = [0; 20];
        let mut at = digits.len();
        loop {
            at -= 1;
            digits[at] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                break;
            }
        }
        self.put(&digits[at..]);
    }
    /// Bytes written.
    pub fn written(&self) -> usize {
        self.at
    }
}

/// What the Connection field of an answer says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Connection {
    /// Nothing: it stays, as HTTP/1.1 has it.
    Stays,
    /// It stays, said aloud to an HTTP/1.0 client.
    KeepAlive,
    Close,
}

impl Connection {
    fn field(self) -> &'static [u8] {
        match self {
            Self::Stays => b"\r\n",
            Self::KeepAlive => b"Connection: keep-alive\r\n\r\n",
            Self::Close => b"Connection: close\r\n\r\n",
        }
    }
}

/// Writes a whole head; `fields` are complete lines.
pub fn head(out: &mut Out<'_>, status: Status, stamp: &Stamp, fields: &[u8], c: Connection) {
    begin(out, status, stamp);
    out.put(fields);
    end(out, c);
}

/// Status line and the fields of every answer.
pub fn begin(out: &mut Out<'_>, status: Status, stamp: &Stamp) {
    out.put(status.line());
    out.put(&stamp.text);
}

/// The last field and the empty line.
pub fn end(out: &mut Out<'_>, connection: Connection) {
    out.put(connection.field());
}

/// Type and length of a body, and what goes with the type.
pub fn body_fields(out: &mut Out<'_>, media: u32, bytes: usize) {
    out.put(b"Content-Type: ");
    out.put(media_name(media).as_bytes());
    out.put(b"\r\nContent-Length: ");
    out.number(bytes as u64);
    out.put(b"\r\n");
    if media == MEDIA_HTML {
        out.put(PAGE_FIELDS);
    }
}

/// What a page may do in a browser: load and ask this server, and nobody else; be shown in no
/// other's frame; tell nobody where it was.
const PAGE_FIELDS: &[u8] = b"Content-Security-Policy: default-src 'none'; script-src 'self'; \
style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n";

/// The fields of a file that is found, and of one that the client already has.
pub struct FileFields {
    pub found: Vec<u8>,
    pub unchanged: Vec<u8>,
}

impl FileFields {
    pub fn new(media: u32, bytes: usize, tag: u64, modified: u64) -> Self {
        let mut room = [0; 512];
        let mut out = Out::new(&mut room);
        out.put(b"ETag: \"");
        out.put(&tag_text(tag));
        out.put(b"\"\r\nLast-Modified: ");
        out.put(&date::format(modified));
        out.put(b"\r\n");
        if matches!(media, MEDIA_HTML | MEDIA_CSS | MEDIA_SCRIPT) {
            // What belongs together is asked for anew together.
            out.put(b"Cache-Control: no-cache\r\n");
        }
        let shared = out.written();
        body_fields(&mut out, media, bytes);
        let all = out.written();
        Self {
            found: room[..all].to_vec(),
            unchanged: room[..shared].to_vec(),
        }
    }
}

fn media_name(media: u32) -> &'static str {
    MEDIA.get(media as usize).copied().unwrap_or(MEDIA[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_besides_fields_fits() {
        let longest = Status::HeaderFieldsTooLarge.line().len();
        let field = Connection::KeepAlive.field().len();
        assert!(longest + STAMP.len() + field <= OWN_BYTES);
        let fields = FileFields::new(MEDIA_HTML, usize::MAX, 1, u64::from(u32::MAX));
        assert!(OWN_BYTES + fields.found.len() <= HEAD_BYTES);
    }

    #[test]
    fn heads_are_exact() {
        let mut stamp = Stamp::default();
        stamp.refresh(Clock {
            ms: 0,
            wall_seconds: 784_111_777,
        });
        let fields = FileFields::new(1, 1024, 0xabc, 0);
        let mut room = [0; HEAD_BYTES];
        let mut out = Out::new(&mut room);
        head(
            &mut out,
            Status::Ok,
            &stamp,
            &fields.found,
            Connection::KeepAlive,
        );
        let written = out.written();
        assert_eq!(
            core::str::from_utf8(&room[..written]).unwrap(),
            "HTTP/1.1 200 OK\r\nServer: Cistern\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
             ETag: \"0000000000000abc\"\r\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Cache-Control: no-cache\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1024\r\n\
             Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
             img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
             frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n\
             Referrer-Policy: no-referrer\r\n\
             Connection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn the_cursor_stays_inside() {
        let mut room = [0; 4];
        let mut out = Out::new(&mut room);
        out.put(b"abc");
        out.put(b"de");
        out.number(7);
        assert_eq!((out.written(), &room), (4, b"abc7"));
    }
}
