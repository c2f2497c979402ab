//! The server as a whole, against a fake world.

mod answers;
mod bounds;
mod failures;
mod observing;
mod properties;
mod rests;
mod uploads;

use std::string::String;
use std::vec::Vec;

const DATE: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const HOME: &str = "HTTP/1.1 200 OK\r\nServer: Cistern\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    ETag: \"0123456789abcdef\"\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\nCache-Control: no-cache\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Length: 11\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'\r\nX-Content-Type-Options: nosniff\r\n\
    Referrer-Policy: no-referrer\r\n\r\n<p>home</p>";

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Status codes of the answers in a stream, by reading it as a client would.
fn statuses(stream: &[u8], heads: &[bool]) -> Vec<u16> {
    let mut rest = stream;
    let mut codes = Vec::new();
    while !rest.is_empty() {
        let end = rest.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        let head = text(&rest[..end]);
        let code: u16 = head[9..12].parse().unwrap();
        let length = head
            .lines()
            .find_map(|l| l.strip_prefix("Content-Length: "))
            .map_or(0, |l| l.parse().unwrap());
        let no_body = heads.get(codes.len()).copied().unwrap_or(false) || code == 304;
        rest = &rest[end + if no_body { 0 } else { length }..];
        codes.push(code);
    }
    codes
}
