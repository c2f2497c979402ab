//! The files that the content component serves, as pure logic: their names, bytes and tags.
//!
//! Guarantees: a name is found exactly as it is listed or not at all, so nothing outside the
//! list can be reached; the bytes of generated files follow a formula that tests know.
//! Trusts: nothing of the names that are asked for. Never does: allocate; the component puts
//! the bytes into CBUFs.
//!
//! Byte `i` of `/fN.txt`, counted from 0, is the base64 character whose number is the top six
//! bits of `(i + 1) * 0x9E3779B97F4A7C15` modulo 2^64: it looks random, repeats at no small
//! distance, and every byte can be checked by itself.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

/// Numbers of media types, as the interface lists them.
pub mod media {
    pub const HTML: u32 = 1;
    pub const TEXT: u32 = 2;
    pub const CSS: u32 = 3;
    pub const SCRIPT: u32 = 4;
    pub const SVG: u32 = 5;
}

/// Where a file's bytes come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Embedded(&'static [u8]),
    /// So many bytes by the formula.
    Generated(usize),
}

/// A file under its path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct File {
    pub path: &'static str,
    pub media: u32,
    pub source: Source,
}

const fn embedded(path: &'static str, media: u32, bytes: &'static [u8]) -> File {
    File {
        path,
        media,
        source: Source::Embedded(bytes),
    }
}

const fn generated(path: &'static str, bytes: usize) -> File {
    File {
        path,
        media: media::TEXT,
        source: Source::Generated(bytes),
    }
}

/// Every file there is.
pub const FILES: [File; 20] = [
    embedded(
        "/index.html",
        media::HTML,
        include_bytes!("../www/index.html"),
    ),
    embedded("/404.html", media::HTML, include_bytes!("../www/404.html")),
    embedded("/style.css", media::CSS, include_bytes!("../www/style.css")),
    embedded(
        "/dashboard.css",
        media::CSS,
        include_bytes!("../www/dashboard.css"),
    ),
    embedded(
        "/dashboard.js",
        media::SCRIPT,
        include_bytes!("../www/dashboard.js"),
    ),
    embedded(
        "/format.js",
        media::SCRIPT,
        include_bytes!("../www/format.js"),
    ),
    embedded(
        "/graph.js",
        media::SCRIPT,
        include_bytes!("../www/graph.js"),
    ),
    embedded("/plot.js", media::SCRIPT, include_bytes!("../www/plot.js")),
    embedded(
        "/policy.js",
        media::SCRIPT,
        include_bytes!("../www/policy.js"),
    ),
    embedded(
        "/favicon.svg",
        media::SVG,
        include_bytes!("../www/favicon.svg"),
    ),
    embedded("/stitch", media::HTML, include_bytes!("../www/stitch.html")),
    embedded(
        "/stitch.css",
        media::CSS,
        include_bytes!("../www/stitch.css"),
    ),
    embedded(
        "/stitch.js",
        media::SCRIPT,
        include_bytes!("../www/stitch.js"),
    ),
    generated("/f1.txt", 1),
    generated("/f128.txt", 128),
    generated("/f1024.txt", 1024),
    generated("/f4096.txt", 4096),
    generated("/f16384.txt", 16_384),
    generated("/f65536.txt", 65_536),
    generated("/f1048576.txt", 1_048_576),
];

/// What is served for the root, and what goes with "not found".
pub const INDEX: usize = 0;
pub const MISSING: usize = 1;

/// Which of [`FILES`] a path names. "/" names the index.
pub fn lookup(path: &[u8]) -> Option<usize> {
    if path == b"/" {
        return Some(INDEX);
    }
    FILES.iter().position(|file| file.path.as_bytes() == path)
}

impl Source {
    /// Length in bytes; never 0.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Embedded(bytes) => bytes.len(),
            Self::Generated(bytes) => bytes,
        }
    }

    /// Writes the file from byte `from` on into `room`, which is not longer than what follows.
    pub fn write(self, from: usize, room: &mut [u8]) {
        match self {
            Self::Embedded(bytes) => room.copy_from_slice(&bytes[from..from + room.len()]),
            Self::Generated(_) => {
                for (byte, i) in room.iter_mut().zip(from as u64..) {
                    *byte = generated_byte(i);
                }
            }
        }
    }

    /// A strong tag: a hash of length and contents, eight bytes a step.
    pub fn tag(self) -> u64 {
        const FACTOR: u64 = 0xff51_afd7_ed55_8ccd;
        let mix = |hash: u64, word: u64| {
            let mixed = (hash ^ word).wrapping_mul(FACTOR);
            mixed ^ mixed >> 32
        };
        let length = self.bytes();
        let mut hash = length as u64;
        let mut word = [0; 8];
        for from in (0..length).step_by(word.len()) {
            // Zeros behind the last bytes.
            word = [0; 8];
            let bytes = word.len().min(length - from);
            self.write(from, &mut word[..bytes]);
            hash = mix(hash, u64::from_le_bytes(word));
        }
        mix(hash, FACTOR)
    }
}

/// Byte `i` of a generated file.
pub const fn generated_byte(i: u64) -> u8 {
    const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    BASE64[(i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::vec;
    use std::vec::Vec;

    fn contents(file: &File) -> Vec<u8> {
        let mut room = vec![0; file.source.bytes()];
        file.source.write(0, &mut room);
        room
    }

    #[test]
    fn every_file_is_found_by_its_path_alone() {
        for (at, file) in FILES.iter().enumerate() {
            assert_eq!(lookup(file.path.as_bytes()), Some(at));
            assert!(file.source.bytes() > 0);
        }
        assert_eq!(lookup(b"/"), Some(INDEX));
        for path in [
            "",
            "index.html",
            "/index.html/",
            "/INDEX.HTML",
            "//",
            "/f1.txt\0",
            "/../f1.txt",
        ] {
            assert_eq!(lookup(path.as_bytes()), None, "{path}");
        }
        assert_eq!(FILES[MISSING].path, "/404.html");
    }

    #[test]
    fn generated_files_have_the_length_in_their_name_and_the_formulas_bytes() {
        let mut seen = 0;
        for file in &FILES {
            let Source::Generated(bytes) = file.source else {
                continue;
            };
            assert_eq!(file.path, std::format!("/f{bytes}.txt"));
            let contents = contents(file);
            assert_eq!(contents.len(), bytes);
            assert!(
                contents
                    .iter()
                    .zip(0..)
                    .all(|(byte, i)| *byte == generated_byte(i))
            );
            seen += 1;
        }
        assert_eq!(seen, 7);
        let start: Vec<u8> = (0..16).map(generated_byte).collect();
        assert_eq!(core::str::from_utf8(&start), Ok("nP2eFtU8jLzaCpR4"));
    }

    #[test]
    fn the_pages_refer_only_to_what_there_is() {
        const OTHERS: [&str; 4] = ["/api/stats", "/api/policy", "/metrics", "/cgi"];
        let embedded = |file: &&File| matches!(file.source, Source::Embedded(_));
        for file in FILES.iter().filter(embedded) {
            let page = contents(file);
            let page = core::str::from_utf8(&page).unwrap();
            for before in ["href=\"", "src=\"", "from \"", "fetch(\""] {
                for link in page.split(before).skip(1) {
                    let link = link.split('"').next().unwrap();
                    let path = link.split('?').next().unwrap();
                    let place = path.starts_with('#') || OTHERS.contains(&path);
                    let known = place || lookup(path.as_bytes()).is_some();
                    assert!(known, "{} links to {link}", file.path);
                }
            }
        }
    }

    #[test]
    fn the_pages_keep_to_their_content_security_policy() {
        for file in &FILES {
            let Source::Embedded(bytes) = file.source else {
                continue;
            };
            let text = core::str::from_utf8(bytes).unwrap();
            for outside in ["https://", "//cdn", "@import", "url("] {
                assert!(!text.contains(outside), "{}: {outside}", file.path);
            }
            if file.media == media::HTML {
                for inline in ["<script>", "<style", " style=", " onclick=", "javascript:"] {
                    assert!(!text.contains(inline), "{}: {inline}", file.path);
                }
            }
        }
    }

    #[test]
    fn files_may_be_written_in_any_pieces() {
        for file in &FILES {
            let whole = contents(file);
            for piece in [1, 7, 4096] {
                let pieces = whole.chunks(piece).enumerate().take(20);
                for (n, expected) in pieces {
                    let mut room = vec![0; expected.len()];
                    file.source.write(n * piece, &mut room);
                    assert_eq!(room, expected, "{} in {piece}", file.path);
                }
            }
        }
    }

    #[test]
    fn tags_differ() {
        let tags: BTreeSet<u64> = FILES.iter().map(|file| file.source.tag()).collect();
        assert_eq!(tags.len(), FILES.len());
        // Zeros at the end count.
        static ZEROS: [u8; 20] = [0; 20];
        let tags = (0..20).map(|n| Source::Embedded(&ZEROS[..n]).tag());
        assert_eq!(tags.collect::<BTreeSet<_>>().len(), 20);
    }

    proptest! {
        #[test]
        fn one_changed_byte_changes_the_tag(
            mut bytes in proptest::collection::vec(any::<u8>(), 1..100),
            at: usize,
            by in 1u8..,
        ) {
            // A test's few bytes may stay.
            let tag = |bytes: &[u8]| Source::Embedded(Vec::leak(bytes.to_vec())).tag();
            let before = tag(&bytes);
            let at = at % bytes.len();
            bytes[at] ^= by;
            prop_assert_ne!(tag(&bytes), before);
        }
    }
}
