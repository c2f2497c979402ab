//! Why an archive is refused, one sentence each.

/// Why [`crate::Archive::open`] refuses a file, or why something is not in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Error {
    Truncated,
    BadMagic,
    BadVersion,
    BadLength,
    BadChecksum,
    TooManyEntries,
    BadEntry,
    DuplicateName,
    BadSegment,
    NotFound,
    WrongKind,
    BadSymbols,
}

impl Error {
    pub const fn text(self) -> &'static str {
        match self {
            Error::Truncated => "the boot archive is truncated",
            Error::BadMagic => "this is no boot archive: its magic number is wrong",
            Error::BadVersion => "the boot archive has a version that this system does not read",
            Error::BadLength => "the boot archive is longer than its header says",
            Error::BadChecksum => "the boot archive is corrupt: its checksum does not match",
            Error::TooManyEntries => "the boot archive claims more entries than any image has",
            Error::BadEntry => "an entry of the boot archive has a bad name, kind or range",
            Error::DuplicateName => "two entries of the boot archive have the same name",
            Error::BadSegment => "a segment in the boot archive has a bad address, range or flags",
            Error::NotFound => "the boot archive has no such entry",
            Error::WrongKind => "that entry of the boot archive is of another kind",
            Error::BadSymbols => "the names of functions in the boot archive are damaged",
        }
    }
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Error {}
