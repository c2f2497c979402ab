//! What a complete head asks for. httparse takes the bytes apart; what the fields mean together,
//! and every framing doubt, is judged here.

use core::mem::MaybeUninit;

use crate::head::{FIELDS_MAX, HEAD_MAX, LINE_MAX};
use crate::status::{Refusal, Status};

/// Most bytes of a request body that are read and thrown away.
pub const BODY_MAX: u64 = 65_536;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    Get,
    Head,
    Post,
    /// A method of RFC 9110 or 5789 that nothing here allows.
    NotAllowed,
    Unknown,
}

/// How the bytes behind the head are framed (RFC 9112, section 6).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
    /// Codings that this server does not know: where the body ends is unknown too.
    Unknown,
}

/// A head that is well-formed. Slices point into it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request<'h> {
    pub method: Method,
    /// 1 for HTTP/1.1, 0 for HTTP/1.0.
    pub minor: u8,
    /// Begins with '/'.
    pub path: &'h [u8],
    /// What follows '?', not decoded; empty when there is none.
    pub query: &'h [u8],
    /// Whether the client wants the connection to stay (RFC 9112, section 9.3).
    pub keep: bool,
    pub framing: Framing,
    /// `Expect: 100-continue` in HTTP/1.1.
    pub expects_continue: bool,
    /// An expectation that cannot be met.
    pub expects_other: bool,
    pub if_none_match: Option<&'h [u8]>,
    pub if_modified_since: Option<&'h [u8]>,
    pub content_type: Option<&'h [u8]>,
    pub source: Source<'h>,
}

/// What a request says of the page that it comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Source<'h> {
    pub host: Option<&'h [u8]>,
    pub origin: Option<&'h [u8]>,
    /// `Sec-Fetch-Site`, where a browser says it.
    pub site: Option<&'h [u8]>,
    /// `X-Cistern-Request`.
    pub asks: Option<&'h [u8]>,
}

/// Parses what [`crate::head::scan`] found complete. After a refusal the connection closes: where
/// the next request begins is in doubt.
pub fn parse(head: &[u8]) -> Result<Request<'_>, Refusal> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut raw = httparse::Request::new(&mut []);
    match raw.parse_with_uninit_headers(head, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => judge(&raw),
        Ok(_) => Err(Refusal::bad("the head ends in the wrong place")),
        Err(error) => Err(refusal(error, head)),
    }
}

/// The request that `bytes` begin with, and the length of its head: a shorter way for heads that
/// are there as a whole and have nothing wrong. `None` for all others, which [`parse`] judges.
pub fn whole(bytes: &[u8]) -> Option<(Request<'_>, usize)> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS_MAX];
    let mut raw = httparse::Request::new(&mut []);
    let length = match raw.parse_with_uninit_headers(bytes, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length <= HEAD_MAX => length,
        _ => return None,
    };
    // httparse takes empty lines in front, and LF alone for a line's end: every line's end is
    // looked at, which is what stands before a field's name and before the empty line.
    let head = bytes.get(..length)?;
    let offset = |name: &str| (name.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    let ends_before = |at: usize| head.get(..at).is_some_and(|line| line.ends_with(b"\r\n"));
    let line = raw.headers.first().map_or(length - 2, |f| offset(f.name)) - 2;
    let right = offset(raw.method?) == 0
        && line <= LINE_MAX
        && head.ends_with(b"\r\n\r\n")
        && raw.headers.iter().all(|f| ends_before(offset(f.name)));
    let request = right.then(|| judge(&raw).ok()).flatten()?;
    Some((request, length))
}

/// What the parts of a head mean together.
fn judge<'h>(raw: &httparse::Request<'_, 'h>) -> Result<Request<'h>, Refusal> {
    let (Some(method), Some(target), Some(minor)) = (raw.method, raw.path, raw.version) else {
        return Err(Refusal::bad("the request line is incomplete"));
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH" => Method::NotAllowed,
        _ => Method::Unknown,
    };
    let (path, query) = target_parts(target.as_bytes(), method)?;
    let mut gathered = Fields::default();
    for field in raw.headers.iter() {
        gathered.take(field.name.as_bytes(), field.value)?;
    }
    gathered.conclude(minor, method, path, query)
}

/// httparse says what it stumbled over; which answer that deserves is decided here.
fn refusal(error: httparse::Error, head: &[u8]) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::new(
            Status::HeaderFieldsTooLarge,
            "there are more than 64 header fields",
        ),
        httparse::Error::Version if names_another_version(head) => Refusal::new(
            Status::VersionNotSupported,
            "only HTTP/1.1 and HTTP/1.0 are spoken here",
        ),
        httparse::Error::HeaderName => Refusal::bad("a header field's name is malformed"),
        httparse::Error::HeaderValue => Refusal::bad("a header field's value is malformed"),
        httparse::Error::NewLine => Refusal::bad("a CR stands without its LF"),
        _ => Refusal::bad("the request line is malformed"),
    }
}

/// Whether the request line is right but for a version `HTTP/digit.digit`.
fn names_another_version(head: &[u8]) -> bool {
    let line = head.split(|b| *b == b'\r').next().unwrap_or_default();
    let mut parts = line.split(|b| *b == b' ');
    let version = parts.nth(2).unwrap_or_default();
    parts.next().is_none()
        && matches!(version, [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit())
}

/// Path and query of a request target (RFC 9112, section 3.2).
fn target_parts(target: &[u8], method: Method) -> Result<(&[u8], &[u8]), Refusal> {
    let origin = match target {
        [b'/', ..] => target,
        // `*` and authority form belong to methods that are refused whatever their target.
        _ if !matches!(method, Method::Get | Method::Head) => b"/",
        _ => absolute(target).ok_or(Refusal::bad("the request target is not a path"))?,
    };
    let end = origin.iter().position(|b| matches!(b, b'?' | b'#'));
    let (path, query) = match end.and_then(|at| origin.split_at_checked(at)) {
        Some((path, query)) => (path, query),
        None => (origin, &[][..]),
    };
    match query {
        [] => Ok((path, query)),
        [b'?', query @ ..] if !query.contains(&b'#') => Ok((path, query)),
        _ => Err(Refusal::bad("the request target has a fragment")),
    }
}

/// Path and query of `http://authority/path`, which every server has to accept.
fn absolute(target: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = target.split_at_checked(7)?;
    if !scheme.eq_ignore_ascii_case(b"http://") {
        return None;
    }
    let end = rest.iter().position(|b| b"/?#".contains(b));
    let (authority, origin) = rest.split_at(end.unwrap_or(rest.len()));
    if !is_host(authority) || authority.is_empty() {
        return None;
    }
    match origin {
        [] => Some(b"/"),
        [b'/', ..] => Some(origin),
        // "http://host?query" has an empty path, which would need another slice to write.
        _ => None,
    }
}

/// Whether a Host value could be `uri-host [ ":" port ]`. Empty is allowed (RFC 9112, 3.2).
fn is_host(value: &[u8]) -> bool {
    value.iter().all(|b| HOST[usize::from(*b)])
}

const HOST: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut others: &[u8] = b"-._~:[]%!$&'()*+,;=";
    while let [byte, rest @ ..] = others {
        table[*byte as usize] = true;
        others = rest;
    }
    table
};

/// What the header fields say, gathered before it is judged: their order means nothing.
#[derive(Default)]
struct Fields<'h> {
    source: Source<'h>,
    close: bool,
    keep_alive: bool,
    length: Option<u64>,
    transfer: Option<&'h [u8]>,
    expect: Option<&'h [u8]>,
    content_type: Option<&'h [u8]>,
    if_none_match: Option<&'h [u8]>,
    if_modified_since: Option<&'h [u8]>,
}

impl<'h> Fields<'h> {
    /// Takes one field in. The length picks the candidate, so that most names cost one branch.
    fn take(&mut self, name: &[u8], value: &'h [u8]) -> Result<(), Refusal> {
        // Bit 5 is what tells a letter's cases apart: most other names end here. Nearly every
        // client writes the names as the standard does.
        let is = |known: &[u8]| {
            (name[0] ^ known[0]) & !0x20 == 0 && (name == known || name.eq_ignore_ascii_case(known))
        };
        match name.len() {
            4 if is(b"Host") => {
                if self.source.host.replace(value).is_some() {
                    return Err(Refusal::bad("there are two Host fields"));
                }
                if !is_host(value) {
                    return Err(Refusal::bad("the Host field is malformed"));
                }
            }
            6 if is(b"Expect") => self.expect = Some(value),
            6 if is(b"Origin") => self.source.origin = Some(value),
            10 if is(b"Connection") => {
                // Nearly every client says one of these two, and nothing else.
                match value {
                    b"Keep-Alive" | b"keep-alive" => self.keep_alive = true,
                    _ => {
                        for token in value.split(|b| *b == b',').map(<[u8]>::trim_ascii) {
                            self.close |= token.eq_ignore_ascii_case(b"close");
                            self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                        }
                    }
                }
            }
            12 if is(b"Content-Type") => self.content_type = Some(value),
            13 if is(b"If-None-Match") => {
                // Two lists would have to be joined; the whole file is always a right answer.
                let second = self.if_none_match.is_some();
                self.if_none_match = Some(if second { b"" } else { value });
            }
            14 if is(b"Content-Length") => {
                let length = body_length(value)?;
                if self.length.replace(length).is_some_and(|l| l != length) {
                    return Err(Refusal::bad("two Content-Length fields differ"));
                }
            }
            14 if is(b"Sec-Fetch-Site") => self.source.site = Some(value),
            17 if is(b"X-Cistern-Request") => self.source.asks = Some(value),
            17 if is(b"If-Modified-Since") => self.if_modified_since = Some(value),
            17 if is(b"Transfer-Encoding") && self.transfer.replace(value).is_some() => {
                return Err(Refusal::bad("there are two Transfer-Encoding fields"));
            }
            _ => {}
        }
        Ok(())
    }

    fn conclude(
        self,
        minor: u8,
        method: Method,
        path: &'h [u8],
        query: &'h [u8],
    ) -> Result<Request<'h>, Refusal> {
        if minor == 1 && self.source.host.is_none() {
            return Err(Refusal::bad("HTTP/1.1 needs a Host field"));
        }
        let framing = match (self.length, self.transfer) {
            (Some(_), Some(_)) => {
                return Err(Refusal::bad(
                    "Content-Length and Transfer-Encoding exclude each other",
                ));
            }
            (None, Some(_)) if minor == 0 => {
                return Err(Refusal::bad("HTTP/1.0 has no Transfer-Encoding"));
            }
            (None, Some(codings)) => transfer(codings)?,
            (Some(0), None) | (None, None) => Framing::None,
            (Some(length), None) => Framing::Length(length),
        };
        // RFC 9110, section 10.1.1: an HTTP/1.0 client cannot expect anything.
        let expect = self.expect.filter(|_| minor == 1);
        let expects_continue = expect.is_some_and(|e| e.eq_ignore_ascii_case(b"100-continue"));
        Ok(Request {
            method,
            minor,
            path,
            query,
            keep: !self.close && (minor == 1 || self.keep_alive),
            framing,
            expects_continue,
            expects_other: expect.is_some() && !expects_continue,
            if_none_match: self.if_none_match,
            if_modified_since: self.if_modified_since,
            content_type: self.content_type,
            source: self.source,
        })
    }
}

/// A number too large to count is as good as any that is over the bound.
fn body_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::bad("the Content-Length is not a number"));
    }
    Ok(value.iter().fold(0u64, |sum, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    }))
}

/// Only `chunked`, last and once, tells where a body ends.
fn transfer(codings: &[u8]) -> Result<Framing, Refusal> {
    let is_chunked = |coding: &[u8]| coding.trim_ascii().eq_ignore_ascii_case(b"chunked");
    let mut list = codings.rsplit(|b| *b == b',');
    if !list.next().is_some_and(is_chunked) {
        return Err(Refusal::bad("the last Transfer-Encoding is not chunked"));
    }
    match list.next() {
        None => Ok(Framing::Chunked),
        Some(before) if is_chunked(before) || list.any(is_chunked) => {
            Err(Refusal::bad("the body is chunked twice"))
        }
        Some(_) => Ok(Framing::Unknown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::head;
    use proptest::prelude::*;

    fn status(head: &[u8]) -> u16 {
        parse(head).map_or_else(|refusal| refusal.status.code(), |_| 200)
    }

    #[test]
    fn what_apachebench_sends() {
        let request = parse(
            b"GET /f1024.txt?x=1 HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a:8080\r\n\
              User-Agent: ApacheBench/2.3\r\nAccept: */*\r\n\r\n",
        )
        .unwrap();
        assert_eq!(request.method, Method::Get);
        assert_eq!(
            (request.path, request.query),
            (&b"/f1024.txt"[..], &b"x=1"[..])
        );
        assert_eq!((request.minor, request.keep), (0, true));
        assert_eq!(request.framing, Framing::None);
    }

    #[test]
    fn every_bad_head_has_its_status() {
        for (expected, head) in [
            (200, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
            (200, "GET / HTTP/1.0\r\n\r\n"),
            (
                200,
                "GET http://x.org:80/a?b HTTP/1.1\r\nHost: x.org\r\n\r\n",
            ),
            (200, "GET HTTP://x HTTP/1.1\r\nHost: x\r\n\r\n"),
            (200, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
            (200, "CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
            (
                200,
                "GET / HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
            ),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\n A: b\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nA: b\r\n c\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nA: b\rc\r\n\r\n"),
            (400, "GET / HTTP/1.0\rA: b\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nA: b\0c\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nA\0: b\r\n\r\n"),
            (400, "GET /\0 HTTP/1.0\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nA\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\n: b\r\n\r\n"),
            (400, "GET /\r\n\r\n"),
            (400, "GET\r\n\r\n"),
            (400, "GET  / HTTP/1.0\r\n\r\n"),
            (400, "GET / HTTP/1.0 \r\n\r\n"),
            (400, "GET / b HTTP/1.0\r\n\r\n"),
            (400, "GET /\tHTTP/1.0\r\n\r\n"),
            (400, "GET a HTTP/1.0\r\n\r\n"),
            (400, "GET * HTTP/1.0\r\n\r\n"),
            (400, "GET ftp://a/b HTTP/1.0\r\n\r\n"),
            (400, "GET http:///b HTTP/1.0\r\n\r\n"),
            (400, "GET http://u@a/b HTTP/1.0\r\n\r\n"),
            (400, "GET /a#b HTTP/1.0\r\n\r\n"),
            (400, "G@T / HTTP/1.0\r\n\r\n"),
            (400, "GET / HTTP/a.b\r\n\r\n"),
            (400, "GET / http/1.0\r\n\r\n"),
            (400, "GET / FTP/1.0\r\n\r\n"),
            (
                400,
                "GET / HTTP/1.0\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
            ),
            (400, "GET / HTTP/1.0\r\nContent-Length: 5, 5\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nContent-Length: +5\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nContent-Length: -5\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nContent-Length: 0x5\r\n\r\n"),
            (400, "GET / HTTP/1.0\r\nContent-Length: \r\n\r\n"),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            ),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            ),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            ),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            ),
            (
                400,
                "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
            ),
            (400, "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\n\r\n"),
            (505, "GET / HTTP/1.2\r\n\r\n"),
            (505, "GET / HTTP/0.9\r\n\r\n"),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head:?}");
        }
        let many = |n: usize| std::format!("GET / HTTP/1.0\r\n{}\r\n", "A: b\r\n".repeat(n));
        assert_eq!(status(many(FIELDS_MAX).as_bytes()), 200);
        assert_eq!(status(many(FIELDS_MAX + 1).as_bytes()), 431);
    }

    #[test]
    fn the_connection_stays_when_both_sides_say_so() {
        let keep = |head: &str| parse(head.as_bytes()).unwrap().keep;
        assert!(keep("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!keep(
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n"
        ));
        assert!(!keep("GET / HTTP/1.0\r\n\r\n"));
        assert!(keep("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n"));
        assert!(!keep(
            "GET / HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n"
        ));
    }

    #[test]
    fn bodies_and_expectations() {
        let request = |fields: &str| {
            parse(
                std::format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
                    .leak()
                    .as_bytes(),
            )
            .unwrap()
        };
        assert_eq!(request("Content-Length: 007").framing, Framing::Length(7));
        assert_eq!(request("Content-Length: 0").framing, Framing::None);
        assert_eq!(
            request("Content-Length: 99999999999999999999999").framing,
            Framing::Length(u64::MAX)
        );
        assert_eq!(
            request("Transfer-Encoding: Chunked").framing,
            Framing::Chunked
        );
        assert_eq!(
            request("Transfer-Encoding: gzip, chunked").framing,
            Framing::Unknown
        );
        assert!(request("Expect: 100-Continue").expects_continue);
        assert!(request("Expect: tea").expects_other);
    }

    proptest! {
        #[test]
        fn garbage_never_panics(head in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&head);
        }

        #[test]
        fn the_shorter_way_leads_to_the_same(
            lines in proptest::collection::vec(
                prop_oneof![
                    6 => "[A-Za-z-]{1,18}: ?[ -~]{0,12}",
                    1 => "Host: a", 1 => "Content-Length: 1", 1 => "[A-C]? ?:?\\PC?",
                ],
                0..4,
            ),
            start in prop_oneof![9 => "GET /[a-c?#%]{0,4} HTTP/1.[01]", 1 => "\r?\n?GE?T ?/ HTTP/1.[01]"],
            odd_end in (0usize..12, prop_oneof!["\n", "\r", "\r\r\n", "\r\n"]),
            rest in "[A-Z\r\n]{0,3}",
        ) {
            let mut text = std::string::String::new();
            for (at, line) in [&start].into_iter().chain(&lines).map(|l| &l[..]).chain([""]).enumerate() {
                text += line;
                text += if at == odd_end.0 { &odd_end.1 } else { "\r\n" };
            }
            text += &rest;
            let bytes = text.as_bytes();
            let scanned = match head::scan(bytes, &mut Default::default()) {
                head::Scan::Complete(length) => parse(&bytes[..length]).ok().map(|r| (r, length)),
                _ => None,
            };
            prop_assert_eq!(whole(bytes), scanned, "{:?}", text);
        }

        #[test]
        fn nearly_right_never_panics(head in "GET [ -~]{0,20} HTTP/1.[01]\r\n([A-Za-z-]{0,18}:? ?[ -~]{0,12}\r\n){0,4}\r\n") {
            if let Ok(request) = parse(head.as_bytes()) {
                prop_assert!(request.path.starts_with(b"/"));
            }
        }
    }
}
