//! The size of an image, within limits that keep all arithmetic on it safe.

use crate::Error;
use core::fmt;

/// Longest side, in pixels.
pub const MAX_SIDE: u32 = 1 << 15;
/// Most pixels of one image, panoramas included.
pub const MAX_PIXELS: u64 = 1 << 26;

/// Width and height in pixels, neither zero, within [`MAX_SIDE`] and [`MAX_PIXELS`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// Fails with [`Error::Empty`] or [`Error::TooLarge`].
    pub const fn new(width: u32, height: u32) -> Result<Self, Error> {
        if width == 0 || height == 0 {
            return Err(Error::Empty);
        }
        if width > MAX_SIDE || height > MAX_SIDE || width as u64 * height as u64 > MAX_PIXELS {
            return Err(Error::TooLarge {
                width: width as u64,
                height: height as u64,
            });
        }
        Ok(Self { width, height })
    }

    #[inline]
    pub const fn width(self) -> usize {
        self.width as usize
    }

    #[inline]
    pub const fn height(self) -> usize {
        self.height as usize
    }

    /// Width times height: at most [`MAX_PIXELS`].
    #[inline]
    pub const fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }

    /// This size with both sides divided by `factor` (at least 1) and rounded, but never to zero.
    pub fn divided(self, factor: f64) -> Self {
        let side = |n: u32| {
            let divided = libm::round(f64::from(n) / factor.max(1.0));
            (divided as u32).clamp(1, n)
        };
        Self {
            width: side(self.width),
            height: side(self.height),
        }
    }

    /// The centre, in the coordinates of this crate.
    pub fn centre(self) -> crate::Point {
        crate::Point {
            x: (f64::from(self.width) - 1.0) / 2.0,
            y: (f64::from(self.height) - 1.0) / 2.0,
        }
    }

    /// Centres of the four corner pixels: top left, top right, bottom right, bottom left.
    pub fn corners(self) -> [crate::Point; 4] {
        let (right, bottom) = (f64::from(self.width) - 1.0, f64::from(self.height) - 1.0);
        [(0.0, 0.0), (right, 0.0), (right, bottom), (0.0, bottom)]
            .map(|(x, y)| crate::Point { x, y })
    }
}

impl fmt::Debug for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_on_both_sides() {
        assert_eq!(Size::new(0, 5), Err(Error::Empty));
        assert_eq!(Size::new(5, 0), Err(Error::Empty));
        assert!(Size::new(MAX_SIDE, (MAX_PIXELS / u64::from(MAX_SIDE)) as u32).is_ok());
        assert!(Size::new(MAX_SIDE + 1, 1).is_err());
        assert!(Size::new(1, MAX_SIDE + 1).is_err());
        assert!(Size::new(MAX_SIDE, (MAX_PIXELS / u64::from(MAX_SIDE)) as u32 + 1).is_err());
        assert!(Size::new(u32::MAX, u32::MAX).is_err());
    }

    #[test]
    fn division_rounds_and_never_vanishes() {
        let size = Size::new(100, 3).unwrap();
        let half = size.divided(2.0);
        assert_eq!((half.width(), half.height()), (50, 2));
        let tiny = size.divided(1000.0);
        assert_eq!((tiny.width(), tiny.height()), (1, 1));
        assert_eq!(size.divided(0.1), size);
        assert_eq!(size.divided(f64::NAN), size);
    }

    #[test]
    fn corners_are_pixel_centres() {
        let size = Size::new(4, 3).unwrap();
        let corner = size.corners()[2];
        assert_eq!((corner.x, corner.y), (3.0, 2.0));
        assert_eq!((size.centre().x, size.centre().y), (1.5, 1.0));
    }
}
