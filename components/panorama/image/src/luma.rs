//! Brightness of colours.

use crate::{Error, GrayMut, Rgb};

/// Writes the luma of `colours` (BT.601 weights in 15-bit integers, rounded) into `out`, which has
/// the same size. About one instruction a byte.
pub fn luma(colours: &Rgb<'_>, out: &mut GrayMut<'_>) -> Result<(), Error> {
    if colours.size() != out.size() {
        return Err(Error::Sizes);
    }
    for (from, to) in colours.rows().zip(out.rows_mut()) {
        for (rgb, gray) in from.as_chunks::<3>().0.iter().zip(to) {
            let [r, g, b] = rgb.map(u32::from);
            *gray = ((r * 9_798 + g * 19_235 + b * 3_735 + (1 << 14)) >> 15) as u8;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Size;

    #[test]
    fn white_is_white_and_green_is_brighter_than_blue() {
        let colours = [255, 255, 255, 0, 255, 0, 0, 0, 255, 0, 0, 0];
        let size = Size::new(4, 1).unwrap();
        let mut gray = [9u8; 4];
        let mut out = GrayMut::packed(&mut gray, size).unwrap();
        luma(&Rgb::packed(&colours, size).unwrap(), &mut out).unwrap();
        assert_eq!(gray, [255, 150, 29, 0]);
    }

    #[test]
    fn sizes_must_agree() {
        let colours = [0; 6];
        let mut gray = [0u8; 2];
        let mut out = GrayMut::packed(&mut gray, Size::new(1, 2).unwrap()).unwrap();
        let colours = Rgb::packed(&colours, Size::new(2, 1).unwrap()).unwrap();
        assert_eq!(luma(&colours, &mut out), Err(Error::Sizes));
    }
}
