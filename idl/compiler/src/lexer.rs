//! Text to tokens. Comments are dropped, doc comments (`///`) kept.

use crate::source::Problem;
use std::ops::Range;

/// Longest name, in characters.
pub const MAX_NAME: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind<'a> {
    /// A name or a keyword: which, the parser knows from the place.
    Word(&'a str),
    /// Decimal digits.
    Number(&'a str),
    /// One of `{ } ( ) < > : ; , =` or `->`.
    Sign(&'a str),
    /// What follows `///` on the line.
    Doc(&'a str),
    End,
}

impl Kind<'_> {
    /// The token as a message names it.
    pub fn text(self) -> String {
        match self {
            Kind::Word(text) | Kind::Number(text) | Kind::Sign(text) => format!("`{text}`"),
            Kind::Doc(_) => "a doc comment".into(),
            Kind::End => "the end of the file".into(),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Token<'a> {
    pub kind: Kind<'a>,
    pub at: Range<usize>,
}

/// All tokens; the last is [`Kind::End`].
pub fn tokens(text: &str) -> Result<Vec<Token<'_>>, Problem> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let (length, kind) = if first.is_ascii_whitespace() {
            (1, None)
        } else if rest.starts_with("//") {
            comment(rest)
        } else if let Some(inside) = rest.strip_prefix("/*") {
            let end = inside.find("*/").ok_or_else(|| {
                Problem::new(&(at..at + 2), "this comment never ends; expected `*/`")
            })?;
            (end + 4, None)
        } else if rest.starts_with("->") {
            (2, Some(Kind::Sign("->")))
        } else if "{}()<>:;,=".contains(first) {
            (1, Some(Kind::Sign(&rest[..1])))
        } else if first.is_ascii_alphanumeric() || first == '_' {
            let word = word(rest, at)?;
            (word.len(), Some(kind_of(word, at)?))
        } else {
            let text = format!(
                "unexpected character `{first}`; names are ASCII letters, digits and `_`, and the signs are `{{ }} ( ) < > : ; , = ->`"
            );
            return Err(Problem::new(&(at..at + first.len_utf8()), text));
        };
        if let Some(kind) = kind {
            let at = at..at + length;
            tokens.push(Token { kind, at });
        }
        at += length;
    }
    let end = text.trim_end().len();
    tokens.push(Token {
        kind: Kind::End,
        at: end..end,
    });
    Ok(tokens)
}

/// To the end of the line; with exactly three slashes it is documentation.
fn comment(rest: &str) -> (usize, Option<Kind<'_>>) {
    let line = rest.split('\n').next().unwrap_or(rest);
    let doc = line
        .strip_prefix("///")
        .filter(|text| !text.starts_with('/'));
    (line.len(), doc.map(|text| Kind::Doc(text.trim_end())))
}

fn word(rest: &str, at: usize) -> Result<&str, Problem> {
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    if end > MAX_NAME {
        let text = format!("this has {end} characters; a name or number has at most {MAX_NAME}");
        return Err(Problem::new(&(at..at + end), text));
    }
    Ok(&rest[..end])
}

fn kind_of(word: &str, at: usize) -> Result<Kind<'_>, Problem> {
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        Ok(Kind::Word(word))
    } else if word.bytes().all(|b| b.is_ascii_digit()) {
        Ok(Kind::Number(word))
    } else {
        let text = format!(
            "`{word}` is neither a number (decimal digits) nor a name (a letter comes first)"
        );
        Err(Problem::new(&(at..at + word.len()), text))
    }
}
