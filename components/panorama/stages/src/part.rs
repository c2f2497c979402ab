//! What stages hand to each other.

use core::ops::Deref;

use cistern_image::record::{self, Record};
use cistern_image::{Raster, Size};

use crate::Failure;

/// Bytes in shared memory: records, or an image of `width` and `height`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part<B> {
    pub width: u32,
    pub height: u32,
    /// Which of several, where that matters.
    pub index: u32,
    /// `None` where the numbers are all there is.
    pub data: Option<B>,
}

impl<B: Deref<Target = [u8]>> Part<B> {
    pub fn records(data: B) -> Self {
        Self {
            width: 0,
            height: 0,
            index: 0,
            data: Some(data),
        }
    }

    pub fn image(size: Size, data: B) -> Self {
        Self {
            data: Some(data),
            ..Self::size_only(size)
        }
    }

    pub fn size_only(size: Size) -> Self {
        Self {
            width: size.width() as u32,
            height: size.height() as u32,
            index: 0,
            data: None,
        }
    }

    pub fn with_index(self, index: usize) -> Self {
        Self {
            index: index as u32,
            ..self
        }
    }

    pub fn bytes(&self) -> &[u8] {
        self.data.as_deref().unwrap_or_default()
    }

    pub fn size(&self) -> Result<Size, Failure> {
        Ok(Size::new(self.width, self.height)?)
    }

    /// Its pixels, of `C` channels without gaps.
    pub fn raster<const C: usize>(&self) -> Result<Raster<&[u8], C>, Failure> {
        Ok(Raster::packed(self.bytes(), self.size()?)?)
    }

    /// The records that it is.
    pub fn read<T: Record>(&self) -> Result<&[T], Failure> {
        Ok(record::read(self.bytes())?)
    }
}
