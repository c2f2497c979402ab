//! The line between two parts.

use crate::Error;

/// Longest boundary (RFC 2046, section 5.1.1).
const BOUNDARY_MAX: usize = 70;
const LEAD: &[u8] = b"\r\n--";

/// A boundary, as the delimiter that it makes: a line's end, two dashes, and itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boundary {
    bytes: [u8; LEAD.len() + BOUNDARY_MAX],
    length: u8,
}

impl Boundary {
    /// The boundary in the value of a request's field `Content-Type`.
    pub fn of_content_type(value: &[u8]) -> Result<Self, Error> {
        let value = str::from_utf8(value).map_err(|_| Error::Boundary)?;
        let (kind, parameters) = value.split_once(';').ok_or(Error::Boundary)?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Err(Error::Boundary);
        }
        // A quoted boundary may hold a colon or a comma, but no semicolon and no quote.
        let mut named = parameters.split(';').filter_map(|parameter| {
            let (name, value) = parameter.trim().split_once('=')?;
            name.eq_ignore_ascii_case("boundary").then_some(value)
        });
        let (Some(value), None) = (named.next(), named.next()) else {
            return Err(Error::Boundary);
        };
        let plain = value
            .strip_prefix('"')
            .and_then(|v| v.strip_suffix('"'))
            .unwrap_or(value);
        Self::new(plain.as_bytes())
    }

    fn new(boundary: &[u8]) -> Result<Self, Error> {
        let allowed = |b: &u8| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(b);
        if !(1..=BOUNDARY_MAX).contains(&boundary.len())
            || boundary.ends_with(b" ")
            || !boundary.iter().all(allowed)
        {
            return Err(Error::Boundary);
        }
        let mut bytes = [0; LEAD.len() + BOUNDARY_MAX];
        let length = LEAD.len() + boundary.len();
        bytes[..LEAD.len()].copy_from_slice(LEAD);
        bytes[LEAD.len()..length].copy_from_slice(boundary);
        Ok(Self {
            bytes,
            length: length as u8,
        })
    }

    pub(crate) fn delimiter(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_forms_content_type_has_one() {
        for (value, boundary) in [
            ("multipart/form-data; boundary=abc", Some("abc")),
            (
                "Multipart/Form-Data;charset=utf-8; Boundary=\"a b:c\"",
                Some("a b:c"),
            ),
            ("multipart/form-data", None),
            ("multipart/form-data; boundary=", None),
            ("multipart/form-data; boundary=\"\"", None),
            ("multipart/form-data; boundary=a; boundary=b", None),
            ("multipart/form-data; boundary=a\rb", None),
            ("multipart/form-data; boundary=\"a", None),
            ("multipart/mixed; boundary=abc", None),
            ("image/png", None),
        ] {
            let expected = boundary.map(|b| Boundary::new(b.as_bytes()).unwrap());
            let found = Boundary::of_content_type(value.as_bytes());
            assert_eq!(found.ok(), expected, "{value}");
        }
        assert!(Boundary::new(&[b'x'; BOUNDARY_MAX]).is_ok());
        assert!(Boundary::new(&[b'x'; BOUNDARY_MAX + 1]).is_err());
        assert!(Boundary::of_content_type(b"multipart/form-data; boundary=\xff").is_err());
    }
}
