//! Pixels in rows: a view of memory, or memory itself, of one or more channels.

use crate::{Error, Size};
use core::fmt;
use core::ops::{Deref, DerefMut};

/// An image of `C` interleaved channels in the storage `S`: a borrowed slice, a `Vec`, or whatever
/// else dereferences to a slice, a CBUF for instance. Rows begin `stride` elements apart.
///
/// One that exists has all its pixels: rows are taken without a chance of failure.
#[derive(Clone, Copy)]
pub struct Raster<S, const C: usize> {
    data: S,
    size: Size,
    stride: usize,
}

/// One channel of eight bits.
pub type Gray<'a> = Raster<&'a [u8], 1>;
pub type GrayMut<'a> = Raster<&'a mut [u8], 1>;
/// Red, green and blue of eight bits, interleaved.
pub type Rgb<'a> = Raster<&'a [u8], 3>;
pub type RgbMut<'a> = Raster<&'a mut [u8], 3>;
/// One channel of floating point numbers.
pub type Float<'a> = Raster<&'a [f32], 1>;
pub type FloatMut<'a> = Raster<&'a mut [f32], 1>;
/// Three interleaved channels of floating point numbers.
pub type RgbFloat<'a> = Raster<&'a [f32], 3>;
pub type RgbFloatMut<'a> = Raster<&'a mut [f32], 3>;

/// Elements that `size` takes with rows `stride` elements apart; the last row is not padded.
fn needed(size: Size, stride: usize, channels: usize) -> Result<usize, Error> {
    let row = size.width() * channels;
    if stride < row {
        return Err(Error::Stride { stride, row });
    }
    stride
        .checked_mul(size.height() - 1)
        .and_then(|n| n.checked_add(row))
        .ok_or(Error::Stride { stride, row })
}

impl<T: 'static, S: Deref<Target = [T]>, const C: usize> Raster<S, C> {
    /// Rows that follow each other without a gap. `data` may be longer.
    pub fn packed(data: S, size: Size) -> Result<Self, Error> {
        Self::strided(data, size, size.width() * C)
    }

    /// Rows that begin `stride` elements apart (not bytes, not pixels).
    pub fn strided(data: S, size: Size, stride: usize) -> Result<Self, Error> {
        let needed = needed(size, stride, C)?;
        if data.len() < needed {
            return Err(Error::Short {
                needed,
                given: data.len(),
            });
        }
        Ok(Self { data, size, stride })
    }

    #[inline]
    pub fn size(&self) -> Size {
        self.size
    }

    #[inline]
    pub fn width(&self) -> usize {
        self.size.width()
    }

    #[inline]
    pub fn height(&self) -> usize {
        self.size.height()
    }

    /// Elements from one row to the next.
    #[inline]
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// All elements from the first pixel to the last, padding between rows included.
    #[inline]
    pub fn elements(&self) -> &[T] {
        &self.data[..self.stride * (self.height() - 1) + self.width() * C]
    }

    /// The elements of row `y`: `width * C` of them. Panics if there is no such row.
    #[inline]
    pub fn row(&self, y: usize) -> &[T] {
        let begin = y * self.stride;
        &self.data[begin..begin + self.width() * C]
    }

    /// All rows, top to bottom.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        let row = self.width() * C;
        self.elements().chunks(self.stride).map(move |r| &r[..row])
    }

    /// A borrowed view of the same pixels.
    #[inline]
    pub fn view(&self) -> Raster<&[T], C> {
        Raster {
            data: &self.data,
            size: self.size,
            stride: self.stride,
        }
    }

    /// A view of the part of `size` whose first pixel is (`x`, `y`), or nothing if it sticks out.
    pub fn part(&self, x: usize, y: usize, size: Size) -> Option<Raster<&[T], C>> {
        let fits = |begin: usize, length: usize, all: usize| {
            begin.checked_add(length).is_some_and(|end| end <= all)
        };
        if !fits(x, size.width(), self.width()) || !fits(y, size.height(), self.height()) {
            return None;
        }
        Some(Raster {
            data: &self.data[y * self.stride + x * C..],
            size,
            stride: self.stride,
        })
    }

    /// The storage, given back.
    pub fn into_inner(self) -> S {
        self.data
    }
}

impl<T: 'static, S: DerefMut<Target = [T]>, const C: usize> Raster<S, C> {
    /// The elements of row `y`, writable. Panics if there is no such row.
    #[inline]
    pub fn row_mut(&mut self, y: usize) -> &mut [T] {
        let begin = y * self.stride;
        let end = begin + self.width() * C;
        &mut self.data[begin..end]
    }

    /// All rows, top to bottom, writable.
    pub fn rows_mut(&mut self) -> impl ExactSizeIterator<Item = &mut [T]> {
        let row = self.width() * C;
        let end = self.stride * (self.height() - 1) + row;
        self.data[..end]
            .chunks_mut(self.stride)
            .map(move |r| &mut r[..row])
    }

    /// A borrowed writable view of the same pixels.
    #[inline]
    pub fn view_mut(&mut self) -> Raster<&mut [T], C> {
        Raster {
            data: &mut self.data,
            size: self.size,
            stride: self.stride,
        }
    }
}

/// Size and stride, not the pixels.
impl<S, const C: usize> fmt::Debug for Raster<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Raster({:?}x{C}, stride {})", self.size, self.stride)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn size(width: u32, height: u32) -> Size {
        Size::new(width, height).unwrap()
    }

    #[test]
    fn the_last_row_needs_no_padding() {
        let data = [0u8; 11];
        assert!(Gray::strided(&data, size(3, 2), 8).is_ok());
        assert_eq!(
            Gray::strided(&data[..10], size(3, 2), 8).err(),
            Some(Error::Short {
                needed: 11,
                given: 10
            })
        );
        assert_eq!(
            Rgb::strided(&data, size(3, 1), 8).err(),
            Some(Error::Stride { stride: 8, row: 9 })
        );
    }

    #[test]
    fn a_stride_beyond_the_address_space_is_refused() {
        let data = [0u8; 11];
        assert!(Gray::strided(&data, size(3, 3), usize::MAX).is_err());
        assert!(Gray::strided(&data, size(3, 3), usize::MAX / 2).is_err());
    }

    #[test]
    fn rows_are_the_rows_and_skip_padding() {
        let data: Vec<u8> = (0..11).collect();
        let mut image: Raster<Vec<u8>, 1> = Raster::strided(data, size(3, 2), 8).unwrap();
        assert_eq!(image.row(1), [8, 9, 10]);
        let rows: Vec<&[u8]> = image.rows().collect();
        assert_eq!(rows, [&[0, 1, 2][..], &[8, 9, 10][..]]);
        for row in image.rows_mut() {
            row.fill(7);
        }
        assert_eq!(image.into_inner(), [7, 7, 7, 3, 4, 5, 6, 7, 7, 7, 7]);
    }

    #[test]
    fn a_part_shares_the_rows_or_is_none() {
        let data: Vec<u8> = (0..20).collect();
        let image = Gray::packed(&data, size(5, 4)).unwrap();
        let part = image.part(1, 2, size(3, 2)).unwrap();
        assert_eq!(part.row(0), [11, 12, 13]);
        assert_eq!(part.row(1), [16, 17, 18]);
        assert!(image.part(3, 2, size(3, 2)).is_none());
        assert!(image.part(usize::MAX, 0, size(3, 2)).is_none());
        assert!(image.part(0, 3, size(3, 2)).is_none());
    }

    #[test]
    fn two_views_write_the_storage() {
        let mut storage = vec![0f32; 6];
        let mut plane = FloatMut::packed(&mut storage, size(3, 2)).unwrap();
        plane.view_mut().row_mut(1)[2] = 4.0;
        assert_eq!(plane.view().row(1), [0.0, 0.0, 4.0]);
        assert_eq!(storage[5], 4.0);
    }
}
