//! Who may choose the policy: a page of this server, or a person's own tool. A page of anybody
//! else's, open in the same browser, must not, and so has three locks before it.
//!
//! 1. The field `X-Cistern-Request: policy`. A page of another origin cannot set it without asking
//!    first (a preflight by OPTIONS, which is refused here).
//! 2. `Origin` and `Sec-Fetch-Site`, where a browser says them, name this server.
//! 3. `Host` is an address or a bare name. A page that had its own name resolve to this machine (DNS
//!    rebinding) would pass the first two; but then `Host` has that name, with its dots.

use crate::request::{Framing, Request, Source};
use crate::routes::CHOICE;
use crate::status::{READ_ONLY, Refusal, Status};

/// Longest choice.
pub const BYTES_MAX: u64 = observe::choice::BYTES_MAX as u64;

const UNASKED: Refusal = forbidden("a choice needs the header field X-Cistern-Request: policy");
const FOREIGN: Refusal = forbidden("a choice is not taken from another site's pages");
const NAMED: Refusal =
    forbidden("a choice is taken under the machine's address or a name without dots");
const NO_LENGTH: Refusal = Refusal::new(Status::LengthRequired, "a choice needs a Content-Length");
const TOO_LONG: Refusal = Refusal::new(
    Status::ContentTooLarge,
    "a choice is no longer than 1024 bytes",
);

const fn forbidden(why: &'static str) -> Refusal {
    Refusal::new(Status::Forbidden, why)
}

/// Why a POST is no choice that is taken; `None` where it is one.
#[cold]
pub fn refused(request: &Request<'_>) -> Option<Refusal> {
    if request.path != CHOICE {
        return Some(READ_ONLY);
    }
    match request.framing {
        Framing::None => {}
        Framing::Length(bytes) if bytes <= BYTES_MAX => {}
        Framing::Length(_) => return Some(TOO_LONG),
        Framing::Chunked | Framing::Unknown => return Some(NO_LENGTH),
    }
    foreign(&request.source)
}

fn foreign(source: &Source<'_>) -> Option<Refusal> {
    if source.asks != Some(b"policy") {
        return Some(UNASKED);
    }
    if is_foreign(source) {
        return Some(FOREIGN);
    }
    (!is_own_name(source.host.unwrap_or_default())).then_some(NAMED)
}

/// Whether a browser says that the request comes from a page of another server.
pub fn is_foreign(source: &Source<'_>) -> bool {
    let host = source.host.unwrap_or_default();
    let own = |origin: &[u8]| origin.strip_prefix(b"http://") == Some(host);
    let same = |site: &[u8]| matches!(site, b"same-origin" | b"none");
    !source.origin.is_none_or(own) || !source.site.is_none_or(same)
}

/// An IPv4 or IPv6 address, or a name without dots, and maybe a port.
fn is_own_name(host: &[u8]) -> bool {
    if host.starts_with(b"[") {
        return true;
    }
    let name = host.split(|b| *b == b':').next().unwrap_or_default();
    let last = name.rsplit(|b| *b == b'.').next().unwrap_or_default();
    // No top-level domain is a number.
    let number = !last.is_empty() && last.iter().all(u8::is_ascii_digit);
    !name.contains(&b'.') || number
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: Source<'static> = Source {
        host: Some(b"10.0.2.15:8080"),
        origin: Some(b"http://10.0.2.15:8080"),
        site: Some(b"same-origin"),
        asks: Some(b"policy"),
    };

    #[test]
    fn own_pages_and_tools_may() {
        assert_eq!(foreign(&OWN), None);
        for host in ["localhost:8080", "127.0.0.1", "[::1]:80", "cistern", ""] {
            let tool = Source {
                host: Some(host.as_bytes()),
                asks: Some(b"policy"),
                ..Source::default()
            };
            assert_eq!(foreign(&tool), None, "{host}");
        }
    }

    #[test]
    fn others_may_not() {
        let evil: Option<&[u8]> = Some(b"http://evil.example");
        for (source, why) in [
            (Source { asks: None, ..OWN }, UNASKED),
            (
                Source {
                    asks: Some(b"yes"),
                    ..OWN
                },
                UNASKED,
            ),
            (
                Source {
                    origin: evil,
                    ..OWN
                },
                FOREIGN,
            ),
            (
                Source {
                    origin: Some(b"null"),
                    ..OWN
                },
                FOREIGN,
            ),
            (
                Source {
                    origin: Some(b"https://10.0.2.15:8080"),
                    ..OWN
                },
                FOREIGN,
            ),
            (
                Source {
                    origin: Some(b"http://10.0.2.15"),
                    ..OWN
                },
                FOREIGN,
            ),
            (
                Source {
                    site: Some(b"cross-site"),
                    ..OWN
                },
                FOREIGN,
            ),
            (
                Source {
                    site: Some(b"same-site"),
                    ..OWN
                },
                FOREIGN,
            ),
            // DNS rebinding: everything is the page's own.
            (
                Source {
                    host: Some(b"evil.example"),
                    origin: evil,
                    ..OWN
                },
                NAMED,
            ),
            (
                Source {
                    host: Some(b"1.evil.example."),
                    origin: None,
                    ..OWN
                },
                NAMED,
            ),
        ] {
            assert_eq!(foreign(&source), Some(why), "{source:?}");
        }
    }
}
