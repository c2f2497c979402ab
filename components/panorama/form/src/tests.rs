//! Whole forms, cut into pieces at every place.

use super::*;
use proptest::prelude::*;
use std::string::{String, ToString};
use std::vec::Vec;
use std::{format, vec};

/// The parts of a form: field, file, bytes; each part must end before the next begins.
type Parts = Vec<(String, Option<String>, Vec<u8>)>;

/// Reads a body in pieces that end at `cuts`: the parts and whether the form ended.
fn read(body: &[u8], step: usize) -> Result<(Parts, bool), Error> {
    let boundary = Boundary::of_content_type(b"multipart/form-data; boundary=XyZ")?;
    let mut form = Form::new(boundary);
    let (mut parts, mut open) = (Parts::new(), false);
    for piece in body.chunks(step) {
        form.read::<Error>(piece, &mut |event| {
            match event {
                Event::Part(name) => {
                    assert!(!open);
                    open = true;
                    parts.push((name.field.to_string(), name.file.map(String::from), vec![]));
                }
                Event::Data(bytes) => {
                    assert!(open && !bytes.is_empty());
                    parts.last_mut().unwrap().2.extend(bytes);
                }
                Event::End => {
                    assert!(open);
                    open = false;
                }
            }
            Ok(())
        })?;
    }
    assert!(!(open && form.is_ended()));
    Ok((parts, form.is_ended()))
}

fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (file, bytes) in parts {
        let head = format!(
            "--XyZ\r\nContent-Disposition: form-data; name=\"image\"; filename=\"{file}\"\r\nContent-Type: image/png\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--XyZ--\r\n");
    body
}

fn part(file: &str, bytes: &[u8]) -> (String, Option<String>, Vec<u8>) {
    ("image".into(), Some(file.into()), bytes.to_vec())
}

#[test]
fn parts_come_out_however_the_body_is_cut() {
    // Bytes that begin like a delimiter, break off late, and begin anew at once.
    let tricky = b"\r\r\n--Xy\r\n--XyY\r\n-\r\r\n--";
    let body = body(&[("a", tricky), ("empty", b""), ("crlf", b"\r\n")]);
    let expected = vec![part("a", tricky), part("empty", b""), part("crlf", b"\r\n")];
    for step in 1..=body.len() {
        assert_eq!(read(&body, step), Ok((expected.clone(), true)), "by {step}");
    }
}

#[test]
fn what_lies_around_the_parts_means_nothing() {
    let inner = body(&[("a", b"x")]);
    let around = [b"hello\r\n", &inner[..], b"and more\r\n--XyZ\r\n\r\n\r\n"].concat();
    for step in 1..around.len() {
        assert_eq!(read(&around, step), Ok((vec![part("a", b"x")], true)));
    }
    let blanks = b"--XyZ \t\r\nContent-Disposition: form-data; name=n\r\n\r\nv\r\n--XyZ--";
    assert_eq!(
        read(blanks, 5),
        Ok((vec![("n".into(), None, b"v".to_vec())], true))
    );
    assert_eq!(read(b"--XyZ--", 3), Ok((vec![], true)));
}

#[test]
fn a_form_that_breaks_off_has_not_ended() {
    let whole = body(&[("a", b"0123456789")]);
    for length in 0..whole.len() - 2 {
        let (parts, ended) = read(&whole[..length], 7).unwrap();
        assert!(!ended && parts.len() <= 1, "{length} bytes");
    }
}

#[test]
fn what_is_no_form_is_refused() {
    let part = |head: &str| format!("--XyZ\r\n{head}\r\n\r\nx\r\n--XyZ--\r\n").into_bytes();
    for (bytes, error) in [
        (vec![b'x'; 300], Error::Padding),
        (b"--XyZabc".to_vec(), Error::Padding),
        (b"--XyZ-\r\n".to_vec(), Error::Padding),
        (b"--XyZ\rx".to_vec(), Error::Padding),
        ([&b"--XyZ"[..], &[b' '; 300]].concat(), Error::Padding),
        (part(""), Error::Head),
        (part("Content-Type: image/png"), Error::Head),
        (part("no field"), Error::Head),
        (part(&"A: b\r\n".repeat(20)), Error::Head),
        (
            part("Content-Disposition: form-data; name=\"\u{7f}"),
            Error::Head,
        ),
        (part(&format!("A: {}", "b".repeat(3000))), Error::LongHead),
        (
            part(
                "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
            ),
            Error::Head,
        ),
    ] {
        for step in [1, 3, 1000] {
            let text = String::from_utf8_lossy(&bytes);
            assert_eq!(read(&bytes, step).unwrap_err(), error, "{text}");
        }
    }
}

#[test]
fn a_sink_that_fails_ends_the_reading() {
    #[derive(PartialEq, Debug)]
    struct Full;
    impl From<Error> for Full {
        fn from(why: Error) -> Self {
            panic!("{why}")
        }
    }
    let boundary = Boundary::of_content_type(b"multipart/form-data; boundary=XyZ").unwrap();
    let mut events = 0;
    let end = Form::new(boundary).read(&body(&[("a", b"xy"), ("b", b"z")]), &mut |event| {
        events += 1;
        match event {
            Event::Data(_) => Err(Full),
            _ => Ok(()),
        }
    });
    assert_eq!((end, events), (Err(Full), 2));
}

proptest! {
    #[test]
    fn any_bytes_survive(
        files in prop::collection::vec(prop::collection::vec(
            prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), Just(b'X'), any::<u8>()], 0..60), 0..4),
        step in 1usize..40,
    ) {
        // A file that contains the delimiter is its sender's mistake.
        prop_assume!(files.iter().all(|f| {
            [b"\r\n", &f[..]].concat().windows(7).all(|w| w != b"\r\n--XyZ")
        }));
        let parts: Vec<_> = files.iter().map(|f| ("f", &f[..])).collect();
        let expected = files.iter().map(|f| part("f", f)).collect();
        prop_assert_eq!(read(&body(&parts), step), Ok((expected, true)));
    }

    #[test]
    fn garbage_never_panics_and_pieces_do_not_matter(
        bytes in prop::collection::vec(prop_oneof![
            Just(&b"--XyZ"[..]), Just(&b"\r\n"[..]), Just(&b"--"[..]), Just(&b":"[..]), Just(&b"\""[..]),
            Just(&b"Content-Disposition: form-data; name=a"[..]), Just(&b"\xff"[..]), Just(&b" "[..])], 0..30),
        step in 1usize..20,
    ) {
        let bytes = bytes.concat();
        prop_assert_eq!(read(&bytes, step), read(&bytes, bytes.len().max(1)));
    }
}
