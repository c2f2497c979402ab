//! Conditional requests (RFC 9110, section 13): whether what the client has is still right.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::date;
use crate::request::Request;

/// The condition of a request, kept while the file is looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    none_match: Option<Vec<u8>>,
    since: Option<u64>,
}

impl Condition {
    /// `None` where the request has no condition.
    #[inline(never)]
    pub fn keep(request: &Request<'_>) -> Option<Box<Self>> {
        if request.if_none_match.is_none() && request.if_modified_since.is_none() {
            return None;
        }
        Some(Box::new(Self {
            none_match: request.if_none_match.map(<[u8]>::to_vec),
            since: request.if_modified_since.and_then(date::parse),
        }))
    }

    pub fn unchanged(&self, tag: u64, modified: u64) -> bool {
        unchanged(self.none_match.as_deref(), self.since, tag, modified)
    }
}

/// The same straight from the request.
pub fn is_unchanged(request: &Request<'_>, tag: u64, modified: u64) -> bool {
    if request.if_none_match.is_none() && request.if_modified_since.is_none() {
        return false;
    }
    let since = request.if_modified_since.and_then(date::parse);
    unchanged(request.if_none_match, since, tag, modified)
}

/// If-None-Match outranks If-Modified-Since; a date that is none says nothing.
fn unchanged(none_match: Option<&[u8]>, since: Option<u64>, tag: u64, modified: u64) -> bool {
    match (none_match, since) {
        (Some(list), _) => list_has(list, &tag_text(tag)),
        (None, Some(since)) => modified <= since,
        (None, None) => false,
    }
}

/// An entity tag without its quotes.
pub fn tag_text(tag: u64) -> [u8; 16] {
    let mut text = [0; 16];
    for (at, digit) in text.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(tag >> (60 - 4 * at)) as usize & 15];
    }
    text
}

/// Weak comparison with a list of entity tags. A list that is malformed matches up to there.
fn list_has(mut list: &[u8], tag: &[u8]) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    loop {
        while let [b' ' | b'\t' | b',', rest @ ..] = list {
            list = rest;
        }
        if let [b'W', b'/', rest @ ..] = list {
            list = rest;
        }
        let [b'"', rest @ ..] = list else {
            return false;
        };
        let Some(end) = rest.iter().position(|b| *b == b'"') else {
            return false;
        };
        if &rest[..end] == tag {
            return true;
        }
        list = &rest[end + 1..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_compare_weakly_in_lists() {
        let tag = 0x0123_4567_89ab_cdef;
        let holds = |list: &str| unchanged(Some(list.as_bytes()), None, tag, 0);
        for list in [
            "\"0123456789abcdef\"",
            "W/\"0123456789abcdef\"",
            "*",
            "\"a,b\", \"0123456789abcdef\"",
            ",, \"\" ,W/\"0123456789abcdef\"",
        ] {
            assert!(holds(list), "{list}");
        }
        for list in [
            "",
            "0123456789abcdef",
            "\"0123456789abcdef",
            "\"0123456789abcdeg\"",
            "x \"0123456789abcdef\"",
            "*, \"a\"",
        ] {
            assert!(!holds(list), "{list}");
        }
    }

    #[test]
    fn the_tag_outranks_the_date() {
        assert!(!unchanged(Some(b"\"x\""), Some(u64::MAX), 1, 5));
        assert!(unchanged(None, Some(5), 1, 5));
        assert!(!unchanged(None, Some(4), 1, 5));
        assert!(!unchanged(None, None, 1, 5));
    }
}
