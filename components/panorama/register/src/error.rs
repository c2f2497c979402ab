//! Why a set of images has no panorama.

use core::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Fewer than two images.
    TooFew,
    /// More than [`crate::MAX_IMAGES`] images.
    TooMany { images: usize },
    /// The caller's room is too small; both in records.
    Room { needed: usize, given: usize },
    /// These images overlap none of the largest group that hangs together: bit i is image i.
    Apart { images: u32 },
    /// There are more records than the stage before writes: features of an image, pairs, or matches
    /// of a pair.
    TooManyRecords { given: usize, most: usize },
    /// A record names an image or a match that does not exist.
    Unknown,
    /// The images overlap, but neither a plane nor a turning camera explains how.
    Shapeless,
}

/// For people: images are photographs, counted from one.
impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::TooFew => write!(f, "a panorama needs at least two photographs"),
            Self::TooMany { images } => write!(
                f,
                "{images} photographs were given, at most {} are taken",
                crate::MAX_IMAGES
            ),
            Self::Room { needed, given } => {
                write!(f, "{needed} records need room, {given} have it")
            }
            Self::Apart { images } => {
                let many = images.count_ones() > 1;
                write!(f, "photograph{}", if many { "s" } else { "" })?;
                let mut before = "";
                for image in (0..32).filter(|i| images >> i & 1 == 1) {
                    write!(f, "{before} {}", image + 1)?;
                    before = ",";
                }
                let verb = if many { "do" } else { "does" };
                write!(f, " {verb} not overlap the others")
            }
            Self::TooManyRecords { given, most } => {
                write!(f, "{given} records were given where at most {most} can be")
            }
            Self::Unknown => write!(f, "a record names what does not exist"),
            Self::Shapeless => write!(
                f,
                "the photographs overlap but fit neither on a plane nor around a turning camera"
            ),
        }
    }
}

impl core::error::Error for Error {}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString;

    #[test]
    fn images_apart_are_named() {
        let text = |images| Error::Apart { images }.to_string();
        assert_eq!(text(0b100), "photograph 3 does not overlap the others");
        assert_eq!(text(0b1010), "photographs 2, 4 do not overlap the others");
    }
}
