//! The head of a part: what the part is called.

use crate::Error;

/// Longest head of a part, with the empty line that ends it.
pub(crate) const HEAD_MAX: usize = 2048;
/// Most fields in it.
const FIELDS_MAX: usize = 16;

/// What a part says that it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name<'h> {
    /// The form's field, as it came: an escaped quote stays escaped.
    pub field: &'h str,
    /// The file's name at the sender, where the part is a file.
    pub file: Option<&'h str>,
}

/// A head as far as it came.
pub(crate) struct Head {
    bytes: [u8; HEAD_MAX],
    length: usize,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            bytes: [0; HEAD_MAX],
            length: 0,
        }
    }
}

impl Head {
    pub fn clear(&mut self) {
        self.length = 0;
    }

    /// Takes the bytes up to the head's end: how many, and whether that is here.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(usize, bool), Error> {
        for (n, &byte) in bytes.iter().enumerate() {
            let place = self.bytes.get_mut(self.length).ok_or(Error::LongHead)?;
            *place = byte;
            self.length += 1;
            let head = &self.bytes[..self.length];
            if head.ends_with(b"\r\n\r\n") || head == b"\r\n" {
                return Ok((n + 1, true));
            }
        }
        Ok((bytes.len(), false))
    }

    /// The name that a complete head gives.
    pub fn name(&self) -> Result<Name<'_>, Error> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let parsed = httparse::parse_headers(&self.bytes[..self.length], &mut fields);
        let Ok(httparse::Status::Complete((_, fields))) = parsed else {
            return Err(Error::Head);
        };
        let mut said = fields
            .iter()
            .filter(|f| f.name.eq_ignore_ascii_case("content-disposition"));
        let (Some(disposition), None) = (said.next(), said.next()) else {
            return Err(Error::Head);
        };
        let value = str::from_utf8(disposition.value).map_err(|_| Error::Head)?;
        disposed(value).ok_or(Error::Head)
    }
}

/// The name in the value of `Content-Disposition`.
fn disposed(value: &str) -> Option<Name<'_>> {
    let (kind, mut rest) = match value.split_once(';') {
        Some((kind, rest)) => (kind, rest),
        None => (value, ""),
    };
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut field, mut file) = (None, None);
    while !rest.trim().is_empty() {
        let (name, value) = rest.split_once('=')?;
        let (value, after) = match value.strip_prefix('"') {
            Some(quoted) => {
                let end = closing_quote(quoted)?;
                let after = quoted[end + 1..].trim_start();
                match after.strip_prefix(';') {
                    Some(after) => (&quoted[..end], after),
                    None if after.is_empty() => (&quoted[..end], ""),
                    None => return None,
                }
            }
            None => value.split_once(';').unwrap_or((value, "")),
        };
        let name = name.trim();
        let place = if name.eq_ignore_ascii_case("name") {
            Some(&mut field)
        } else if name.eq_ignore_ascii_case("filename") {
            Some(&mut file)
        } else {
            None
        };
        if place.is_some_and(|place| place.replace(value.trim()).is_some()) {
            return None;
        }
        rest = after;
    }
    Some(Name {
        field: field?,
        file,
    })
}

/// Where the quote is that ends a quoted text; a backslash takes the next byte along.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disposition_names_a_field_and_perhaps_a_file() {
        let name = |field, file| Some(Name { field, file });
        for (value, expected) in [
            ("form-data; name=\"a\"", name("a", None)),
            (
                "form-data; name=a; filename=b.png",
                name("a", Some("b.png")),
            ),
            (
                "Form-Data; NAME=\"a;b\" ; FileName=\"c=\\\"d\\\\\"",
                name("a;b", Some("c=\\\"d\\\\")),
            ),
            (
                "form-data; filename=\"x\"; other=1; name=\"\"",
                name("", Some("x")),
            ),
            ("form-data", None),
            ("form-data; filename=\"x\"", None),
            ("form-data; name=\"a", None),
            ("form-data; name=\"a\"b", None),
            ("form-data; name=a; name=b", None),
            ("form-data; name", None),
            ("attachment; name=\"a\"", None),
        ] {
            assert_eq!(disposed(value), expected, "{value}");
        }
    }
}
