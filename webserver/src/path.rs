//! From a request target's path to the name that the content component is asked for.
//!
//! Decoded exactly once; `.` and `..` are resolved here and never leave the root, so that what
//! is looked up is a plain name whatever the client wrote.

use crate::status::Refusal;

const BAD_ESCAPE: Refusal =
    Refusal::bad("a percent sign in the path is not followed by two hex digits");
const BAD_BYTE: Refusal =
    Refusal::bad("the path contains a character that has to be percent-encoded");
const HIDDEN: Refusal =
    Refusal::bad("the path hides a control character, a slash or a backslash behind an escape");
const OUTSIDE: Refusal = Refusal::bad("the path leads out of the root");

/// Whether every byte stands for itself and no segment can be `.`, `..` or empty: then the path
/// is its own normal form. Most paths are.
pub fn is_plain(path: &[u8]) -> bool {
    let mut previous = 0;
    path.iter().all(|&byte| {
        let fine = match byte {
            b'/' | b'.' => previous != b'/',
            _ => PLAIN[byte as usize],
        };
        previous = byte;
        fine
    })
}

/// Unreserved characters (RFC 3986, section 2.3) but for the dot.
const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = b.is_ascii_alphanumeric() || b == b'-' || b == b'_' || b == b'~';
        byte += 1;
    }
    table
};

/// Writes the normal form of `path`, which begins with '/', into `out`, which is at least as
/// long, and returns its length.
#[cold]
pub fn normalise(path: &[u8], out: &mut [u8]) -> Result<usize, Refusal> {
    let mut length = 0;
    let mut at = 0;
    while at < path.len() {
        // Here `at` is on a '/', and `out[..length]` has no slash at its end.
        at += 1;
        let segment = length;
        out[length] = b'/';
        length += 1;
        while at < path.len() && path[at] != b'/' {
            let (byte, step) = decode(&path[at..])?;
            out[length] = byte;
            length += 1;
            at += step;
        }
        let last = at == path.len();
        match &out[segment + 1..length] {
            b".." => {
                let Some(parent) = out[..segment].iter().rposition(|b| *b == b'/') else {
                    return Err(OUTSIDE);
                };
                length = parent + usize::from(last);
            }
            b"." | b"" => length = segment + usize::from(last),
            _ => {}
        }
    }
    Ok(length)
}

/// One character and how many bytes of the path it took.
fn decode(rest: &[u8]) -> Result<(u8, usize), Refusal> {
    match *rest {
        [b'%', high, low, ..] => {
            let digit = |d: u8| (d as char).to_digit(16).ok_or(BAD_ESCAPE);
            let byte = (digit(high)? << 4 | digit(low)?) as u8;
            if byte.is_ascii_control() || byte == b'/' || byte == b'\\' {
                return Err(HIDDEN);
            }
            Ok((byte, 3))
        }
        [b'%', ..] => Err(BAD_ESCAPE),
        // What RFC 3986 lets stand in a path segment.
        [byte, ..] if PLAIN[byte as usize] || byte == b'.' || b"!$&'()*+,;=:@".contains(&byte) => {
            Ok((byte, 1))
        }
        _ => Err(BAD_BYTE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::string::String;

    fn normal(path: &str) -> Result<String, Refusal> {
        let mut out = std::vec![0; path.len()];
        let length = normalise(path.as_bytes(), &mut out)?;
        Ok(String::from_utf8_lossy(&out[..length]).into_owned())
    }

    #[test]
    fn resolves_inside_the_root() {
        for (path, expected) in [
            ("/", "/"),
            ("/a", "/a"),
            ("/a/", "/a/"),
            ("//a//b", "/a/b"),
            ("/./a/./b/.", "/a/b/"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/a/%2e%2E/b", "/b"),
            ("/%61%20b", "/a b"),
            ("/...", "/..."),
            ("/a..b", "/a..b"),
            ("/%252e%252e/x", "/%2e%2e/x"),
        ] {
            assert_eq!(normal(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn refuses_what_leaves_or_hides() {
        for (path, why) in [
            ("/..", OUTSIDE),
            ("/../etc/passwd", OUTSIDE),
            ("/a/../../b", OUTSIDE),
            ("/%2e%2e/b", OUTSIDE),
            ("/..%2fb", HIDDEN),
            ("/a%00b", HIDDEN),
            ("/a%5cb", HIDDEN),
            ("/a%0d%0ab", HIDDEN),
            ("/a%7f", HIDDEN),
            ("/a%", BAD_ESCAPE),
            ("/a%4", BAD_ESCAPE),
            ("/a%zz", BAD_ESCAPE),
            ("/a%+1", BAD_ESCAPE),
            ("/a\\b", BAD_BYTE),
            ("/a\"b", BAD_BYTE),
            ("/ä", BAD_BYTE),
        ] {
            assert_eq!(normal(path), Err(why), "{path}");
        }
    }

    proptest! {
        #[test]
        fn the_normal_form_has_no_tricks(path in "/[a-c./%2e5cE0]{0,24}") {
            if let Ok(out) = normal(&path) {
                prop_assert!(out.starts_with('/'));
                let inner = &out[1..];
                prop_assert!(!inner.split('/').any(|s| s == "." || s == ".."), "{}", out);
                prop_assert!(!out.contains("//") && !out.contains('\0'));
            }
        }

        #[test]
        fn plain_paths_are_their_own_normal_form(path in "/[a-c./]{0,12}") {
            if is_plain(path.as_bytes()) {
                prop_assert_eq!(normal(&path), Ok(path));
            }
        }
    }
}
