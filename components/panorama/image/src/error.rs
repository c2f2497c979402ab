//! What can be wrong with an image or with records that somebody else made.

use core::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Width or height is zero.
    Empty,
    /// A side is longer than [`crate::MAX_SIDE`], or there are more pixels than
    /// [`crate::MAX_PIXELS`].
    TooLarge { width: u64, height: u64 },
    /// Rows are said to begin closer together than they are long.
    Stride { stride: usize, row: usize },
    /// There is less memory than the size needs; both in elements, not bytes.
    Short { needed: usize, given: usize },
    /// Two images that must have one size do not.
    Sizes,
    /// Bytes that are not a whole number of records, or do not lie where such records may.
    Layout,
    /// A record with this index holds what no stage writes: not a number, out of its range.
    Record { index: usize },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => write!(f, "the image has no pixels"),
            Self::TooLarge { width, height } => write!(
                f,
                "an image of {width} times {height} pixels is beyond the limit of {} pixels and {} a side",
                crate::MAX_PIXELS,
                crate::MAX_SIDE
            ),
            Self::Stride { stride, row } => {
                write!(f, "rows of {row} elements do not fit a stride of {stride}")
            }
            Self::Short { needed, given } => {
                write!(f, "{needed} elements are needed, {given} were given")
            }
            Self::Sizes => write!(f, "the images differ in size"),
            Self::Layout => write!(f, "the bytes are not whole, aligned records"),
            Self::Record { index } => write!(f, "record {index} holds an impossible value"),
        }
    }
}

impl core::error::Error for Error {}
