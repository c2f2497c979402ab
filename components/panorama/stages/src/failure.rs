//! Why there is no panorama: a status of HTTP, and a sentence for whoever sent the photographs.

use alloc::string::{String, ToString};
use core::fmt;

use cistern_image::Full;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    pub status: u16,
    pub why: String,
}

impl Failure {
    pub fn new(status: u16, why: impl fmt::Display) -> Self {
        Self {
            status,
            why: why.to_string(),
        }
    }

    /// The stage was given what no other stage makes.
    pub fn parts() -> Self {
        Self::new(500, "a stage was given parts that are not what it takes")
    }

    /// Says which photograph it was; people count from one.
    pub fn of_photo(self, index: usize) -> Self {
        Self::new(
            self.status,
            format_args!("photograph {}: {}", index + 1, self.why),
        )
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.why)
    }
}

impl core::error::Error for Failure {}

impl From<cistern_image::Error> for Failure {
    fn from(error: cistern_image::Error) -> Self {
        let status = match error {
            cistern_image::Error::TooLarge { .. } => 413,
            _ => 500,
        };
        Self::new(status, error)
    }
}

impl From<cistern_register::Error> for Failure {
    fn from(error: cistern_register::Error) -> Self {
        use cistern_register::Error;
        let status = match error {
            Error::TooFew | Error::Apart { .. } | Error::Shapeless => 422,
            Error::TooMany { .. } => 413,
            Error::Room { .. } | Error::TooManyRecords { .. } | Error::Unknown => 500,
        };
        Self::new(status, error)
    }
}

impl From<cistern_compose::Error> for Failure {
    fn from(error: cistern_compose::Error) -> Self {
        use cistern_compose::Error;
        let status = match error {
            Error::Format => 415,
            Error::TooLong { .. } | Error::TooManyPixels { .. } | Error::Panorama { .. } => 413,
            Error::Damaged(_) => 422,
            Error::Image(error) => return error.into(),
            Error::Room { .. } | Error::Mismatch => 500,
        };
        Self::new(status, error)
    }
}

impl From<Full> for Failure {
    fn from(full: Full) -> Self {
        Self::new(507, full)
    }
}
