//! How a camera was held: a tag in the EXIF block of a JPEG, one of eight.

use cistern_image::RgbMut;

/// The eight values of EXIF 2.3, section 4.6.4, as three steps done in this order: transpose, mirror
/// left to right, flip top to bottom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Orientation {
    transpose: bool,
    mirror: bool,
    flip: bool,
}

impl Orientation {
    fn from_tag(tag: u16) -> Option<Self> {
        let (transpose, mirror, flip) = match tag {
            1 => (false, false, false),
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, true, false),
            7 => (true, true, true),
            8 => (true, false, true),
            _ => return None,
        };
        Some(Self {
            transpose,
            mirror,
            flip,
        })
    }

    /// Whether width and height change places.
    pub fn is_turned(self) -> bool {
        self.transpose
    }

    /// Writes the packed pixels `raw`, as they lie in the file, into `out` as they should be seen.
    /// `raw` has as many pixels as `out`.
    pub fn apply(self, raw: &[u8], out: &mut RgbMut<'_>) {
        let (width, height) = (out.width(), out.height());
        let raw = raw.as_chunks::<3>().0;
        for (y, row) in out.rows_mut().enumerate() {
            let y = if self.flip { height - 1 - y } else { y };
            for (x, pixel) in row.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                let x = if self.mirror { width - 1 - x } else { x };
                *pixel = raw[if self.transpose {
                    x * height + y
                } else {
                    y * width + x
                }];
            }
        }
    }
}

/// The orientation in an EXIF block (a TIFF file); nothing if there is none that makes sense.
pub fn read(exif: &[u8]) -> Option<Orientation> {
    let little = match exif.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let short = |at: usize| {
        let bytes: [u8; 2] = exif.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little {
            u16::from_le_bytes(bytes)
        } else {
            u16::from_be_bytes(bytes)
        })
    };
    let (high, low) = if little { (6, 4) } else { (4, 6) };
    let directory = usize::from(short(high)?) << 16 | usize::from(short(low)?);
    let count = usize::from(short(directory)?);
    // An entry is 12 bytes: tag, type (3 is a short), count, value.
    let entries = (0..count).map(|i| directory + 2 + i * 12);
    let mut found = entries.take_while(|&at| at < exif.len());
    let entry = found.find(|&at| short(at) == Some(0x0112))?;
    if short(entry + 2)? != 3 {
        return None;
    }
    Orientation::from_tag(short(entry + 8)?)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use cistern_image::Size;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn block(little: bool, tag: u16) -> Vec<u8> {
        let short = |n: u16| {
            if little {
                n.to_le_bytes()
            } else {
                n.to_be_bytes()
            }
        };
        let long = |n: u32| {
            if little {
                n.to_le_bytes()
            } else {
                n.to_be_bytes()
            }
        };
        let mut out = if little { b"II*\0" } else { b"MM\0*" }.to_vec();
        out.extend(long(8));
        out.extend(short(2));
        out.extend([short(0x0100), short(3)].concat());
        out.extend([long(1), long(9)].concat());
        out.extend([short(0x0112), short(3)].concat());
        out.extend(long(1));
        out.extend([short(tag), short(0)].concat());
        out
    }

    /// The file's pixels are 1 2 3 above 4 5 6.
    fn seen(tag: u16) -> Vec<u8> {
        let raw: Vec<u8> = (1..=6).flat_map(|n| [n; 3]).collect();
        let orientation = Orientation::from_tag(tag).unwrap();
        let (width, height) = if orientation.is_turned() {
            (2, 3)
        } else {
            (3, 2)
        };
        let mut pixels = [0; 18];
        let size = Size::new(width, height).unwrap();
        orientation.apply(&raw, &mut RgbMut::packed(&mut pixels, size).unwrap());
        pixels.iter().step_by(3).copied().collect()
    }

    #[test]
    fn all_eight_are_right() {
        assert_eq!(seen(1), [1, 2, 3, 4, 5, 6]);
        assert_eq!(seen(2), [3, 2, 1, 6, 5, 4]);
        assert_eq!(seen(3), [6, 5, 4, 3, 2, 1]);
        assert_eq!(seen(4), [4, 5, 6, 1, 2, 3]);
        assert_eq!(seen(5), [1, 4, 2, 5, 3, 6]);
        // Turned clockwise by a quarter: the left column becomes the top row.
        assert_eq!(seen(6), [4, 1, 5, 2, 6, 3]);
        assert_eq!(seen(7), [6, 3, 5, 2, 4, 1]);
        assert_eq!(seen(8), [3, 6, 2, 5, 1, 4]);
    }

    #[test]
    fn a_block_of_either_order_is_read_and_nonsense_is_not() {
        for tag in 1..=8 {
            assert_eq!(read(&block(true, tag)), Orientation::from_tag(tag));
            assert_eq!(read(&block(false, tag)), Orientation::from_tag(tag));
        }
        assert_eq!(read(&block(true, 9)), None);
        assert_eq!(read(b"II*\0\xff\xff\xff\xff"), None);
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), head in any::<bool>()) {
            if head && bytes.len() > 8 {
                bytes[..8].copy_from_slice(b"II*\0\x08\0\0\0");
            }
            let _ = read(&bytes);
        }
    }
}
