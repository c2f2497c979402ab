//! An interface file's text, and how a problem in it is shown: where, what, and the line itself.

use std::fmt;
use std::ops::Range;

/// Longest file that is read, in bytes.
pub const MAX_BYTES: usize = 64 * 1024;
/// Most of a line that a report shows, in characters.
const SHOWN: usize = 100;
/// Most problems that are shown of one file.
const MAX_PROBLEMS: usize = 20;

/// A file's name (for messages) and its text.
#[derive(Clone, Debug)]
pub struct Source {
    pub name: String,
    pub text: String,
}

/// A problem and the bytes of the text that it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    pub at: Range<usize>,
    pub text: String,
}

impl Problem {
    pub fn new(at: &Range<usize>, text: impl Into<String>) -> Self {
        Self {
            at: at.clone(),
            text: text.into(),
        }
    }
}

/// Everything that was wrong, ready to be shown: for each problem `file:line:column: sentence`,
/// the line, and carets under the token.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    problems: Vec<String>,
    /// Problems beyond those.
    more: usize,
}

impl Report {
    /// A problem that is not at a place in a file.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            problems: vec![text.into()],
            more: 0,
        }
    }

    pub fn join(&mut self, other: Report) {
        self.problems.extend(other.problems);
        self.more += other.more;
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "{problem}")?;
        }
        match self.more {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

impl std::error::Error for Report {}

/// Control characters, marks of direction and the byte order mark: what a reader cannot see.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

impl Source {
    /// Takes a file's bytes: UTF-8, not absurdly long, no control characters.
    pub fn new(name: impl Into<String>, bytes: &[u8]) -> Result<Self, Report> {
        let length = bytes.len();
        let bytes = &bytes[..length.min(MAX_BYTES)];
        let invalid = std::str::from_utf8(bytes).err();
        let source = Self {
            name: name.into(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        };
        let problem = if length > MAX_BYTES {
            let text = format!("the file has more than {MAX_BYTES} bytes, which is no interface");
            Some(Problem::new(&(0..0), text))
        } else if let Some(invalid) = invalid {
            let at = invalid.valid_up_to();
            Some(Problem::new(
                &(at..at + 1),
                "the file is not UTF-8 text from here on",
            ))
        } else {
            source.control_character()
        };
        match problem {
            None => Ok(source),
            Some(problem) => Err(source.report(vec![problem])),
        }
    }

    /// Only tabs and line ends (LF, CR LF) are accepted; nothing may hide or reorder text.
    fn control_character(&self) -> Option<Problem> {
        self.text.char_indices().find_map(|(at, c)| {
            let ends_line = c == '\r' && self.text[at + 1..].starts_with('\n');
            let accepted = matches!(c, '\n' | '\t') || ends_line;
            (is_hidden(c) && !accepted).then(|| {
                let text = format!(
                    "control character U+{:04X}; only tabs and line ends are accepted",
                    c as u32
                );
                Problem::new(&(at..at + c.len_utf8()), text)
            })
        })
    }

    /// Line of a byte offset, from 1.
    pub fn line(&self, at: usize) -> usize {
        self.before(at).matches('\n').count() + 1
    }

    fn before(&self, at: usize) -> &str {
        self.text.get(..at).unwrap_or(&self.text)
    }

    /// Problems in the order of the text, each shown with its line.
    pub fn report(&self, mut problems: Vec<Problem>) -> Report {
        problems.sort_by_key(|problem| problem.at.start);
        let shown = problems.iter().take(MAX_PROBLEMS);
        Report {
            problems: shown.map(|problem| self.show(problem)).collect(),
            more: problems.len().saturating_sub(MAX_PROBLEMS),
        }
    }

    fn show(&self, problem: &Problem) -> String {
        let before = self.before(problem.at.start);
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].chars().count();
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        let length = self
            .text
            .get(problem.at.clone())
            .map_or(0, |token| token.chars().count());

        // Of a long line, the part around the token.
        let first = column.saturating_sub(SHOWN / 2);
        let shown: String = line
            .trim_end_matches('\r')
            .chars()
            .skip(if column < SHOWN - 10 { 0 } else { first })
            .take(SHOWN)
            .map(|c| if c == '\t' { ' ' } else { c })
            .map(|c| if is_hidden(c) { '\u{fffd}' } else { c })
            .collect();
        let indent = if column < SHOWN - 10 {
            column
        } else {
            column - first
        };
        let carets = length.clamp(1, (shown.chars().count().max(indent + 1)) - indent);
        format!(
            "{}:{}:{}: {}\n{}\n    {}{}",
            self.name,
            self.line(problem.at.start),
            column + 1,
            problem.text,
            format!("    {shown}").trim_end(),
            " ".repeat(indent),
            "^".repeat(carets)
        )
    }
}
