//! Why a stage refused.

use cistern_image::Size;
use core::fmt;

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Png,
    Jpeg,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The file begins like neither format.
    Format,
    /// The file is longer than allowed.
    TooLong { bytes: usize, limit: usize },
    /// The image has more pixels than allowed.
    TooManyPixels { size: Size, limit: usize },
    /// The file is cut short or breaks the rules of its format.
    Damaged(Format),
    /// The panorama would not fit the limit: its sides in pixels.
    Panorama { width: u32, height: u32 },
    /// Memory given for the result is too small.
    Room { needed: usize, given: usize },
    /// What must describe one set of images does not: another count, or parts that contradict.
    Mismatch,
    /// What [`cistern_image`] found wrong.
    Image(cistern_image::Error),
}

impl From<cistern_image::Error> for Error {
    fn from(error: cistern_image::Error) -> Self {
        Self::Image(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format => write!(f, "the file is neither a PNG nor a JPEG"),
            Self::TooLong { bytes, limit } => {
                write!(f, "the file has {bytes} bytes, {limit} are allowed")
            }
            Self::TooManyPixels { size, limit } => {
                write!(
                    f,
                    "the image has {size:?} pixels, {limit} in all are allowed"
                )
            }
            Self::Damaged(format) => write!(f, "the {format} file is damaged or cut short"),
            Self::Panorama { width, height } => write!(
                f,
                "the panorama would have {width} times {height} pixels, more than allowed"
            ),
            Self::Room { needed, given } => {
                write!(f, "the result needs {needed} bytes, {given} were given")
            }
            Self::Mismatch => write!(f, "the parts do not describe one set of images"),
            Self::Image(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}
