//! What people send: photographs in any order and any way up, of several sizes, the same one twice, and
//! ones that do not belong. The photographs are parts of one that is known, so what comes out is too.

use cistern_compose::decode::{Limits, decode, probe};
use cistern_compose::encode;
use cistern_image::{Raster, RgbMut, Size};
use cistern_panorama_testset::Photo;
use cistern_stages::{Failure, Heap};
use cistern_stitch::stitch;

#[derive(Clone, PartialEq)]
struct Picture {
    width: usize,
    height: usize,
    rgb: Vec<[u8; 3]>,
}

impl Picture {
    fn filled(
        (width, height): (usize, usize),
        mut colour: impl FnMut(usize, usize) -> [u8; 3],
    ) -> Self {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let rgb = places.map(|(x, y)| colour(x, y)).collect();
        Self { width, height, rgb }
    }

    fn photo(name: &str) -> Self {
        let photo = Photo::read(name);
        Self {
            width: photo.width,
            height: photo.height,
            rgb: photo.rgb.as_chunks::<3>().0.to_vec(),
        }
    }

    fn at(&self, x: usize, y: usize) -> [u8; 3] {
        self.rgb[y * self.width + x]
    }

    fn part(&self, left: usize, top: usize, size: (usize, usize)) -> Self {
        Self::filled(size, |x, y| self.at(left + x, top + y))
    }

    /// Turned clockwise by so many quarters.
    fn turned(&self, quarters: usize) -> Self {
        let once = |p: Self| {
            let size = (p.height, p.width);
            Self::filled(size, |x, y| p.at(y, p.height - 1 - x))
        };
        (0..quarters).fold(self.clone(), |p, _| once(p))
    }

    /// Each two by two pixels become one.
    fn halved(&self) -> Self {
        Self::filled((self.width / 2, self.height / 2), |x, y| {
            let four = [(0, 0), (1, 0), (0, 1), (1, 1)];
            let four = four.map(|(dx, dy)| self.at(2 * x + dx, 2 * y + dy));
            [0, 1, 2].map(|c| (four.iter().map(|p| u16::from(p[c])).sum::<u16>() / 4) as u8)
        })
    }

    fn png(&self) -> Vec<u8> {
        let size = Size::new(self.width as u32, self.height as u32).unwrap();
        let image = Raster::<_, 3>::packed(self.rgb.as_flattened(), size).unwrap();
        let mut file = vec![0; encode::bound(self.width, self.height, 3)];
        let length = encode::png(&image, &mut file).unwrap();
        file.truncate(length);
        file
    }

    fn read(file: &[u8]) -> Self {
        let limits = Limits {
            bytes: 1 << 26,
            pixels: 1 << 24,
        };
        let size = probe(file, limits).unwrap().size;
        let mut rgb = vec![[0; 3]; size.pixels()];
        let mut out = RgbMut::packed(rgb.as_flattened_mut(), size).unwrap();
        decode(file, limits, &mut out).unwrap();
        Self {
            width: size.width(),
            height: size.height(),
            rgb,
        }
    }
}

fn panorama(photos: &[&Picture]) -> Result<Picture, Failure> {
    let files: Vec<Vec<u8>> = photos.iter().map(|photo| photo.png()).collect();
    let heap = Heap::new(64 << 20);
    let stitched = stitch(&files, &heap, || 0)?;
    let picture = Picture::read(&stitched.file);
    drop(stitched);
    assert_eq!(heap.used(), 0);
    Ok(picture)
}

/// Mean difference of two pictures in grey levels, where they lie best on each other of all shifts by a
/// few pixels; sizes may differ by as much.
fn difference(found: &Picture, truth: &Picture) -> f64 {
    const SHIFT: usize = 3;
    assert!(
        found.width.abs_diff(truth.width) <= SHIFT,
        "{}",
        found.width
    );
    assert!(
        found.height.abs_diff(truth.height) <= SHIFT,
        "{}",
        found.height
    );
    let width = found.width.min(truth.width) - SHIFT;
    let height = found.height.min(truth.height) - SHIFT;
    let shifts = (0..=SHIFT).flat_map(|y| (0..=SHIFT).map(move |x| (x, y)));
    let pairs = shifts.flat_map(|(x, y)| [((x, y), (0, 0)), ((0, 0), (x, y))]);
    let differ = |((a, b), (c, d)): ((usize, usize), (usize, usize))| {
        let (mut sum, mut count) = (0, 0);
        for y in (0..height).step_by(3) {
            for x in (0..width).step_by(3) {
                let (p, q) = (found.at(a + x, b + y), truth.at(c + x, d + y));
                sum += (0..3).map(|k| u32::from(p[k].abs_diff(q[k]))).sum::<u32>();
                count += 3;
            }
        }
        f64::from(sum) / f64::from(count)
    };
    pairs.map(differ).fold(f64::INFINITY, f64::min)
}

/// Three parts of a photograph, from left to right, and what all of them show throughout.
fn raccoon() -> ([Picture; 3], Picture) {
    let whole = Picture::photo("raccoon.jpg");
    let parts = [
        whole.part(0, 0, (500, 700)),
        whole.part(330, 40, (470, 720)),
        whole.part(600, 0, (424, 700)),
    ];
    (parts, whole.part(0, 40, (1024, 660)))
}

#[test]
fn any_order_gives_the_same_picture() {
    let ([a, b, c], truth) = raccoon();
    for order in [[&a, &b, &c], [&c, &a, &b], [&b, &c, &a]] {
        let found = panorama(&order).unwrap();
        let off = difference(&found, &truth);
        assert!(off < 0.5, "{off}");
    }
}

#[test]
fn a_photograph_may_lie_on_its_side_or_on_its_head() {
    let ([a, b, _], whole) = raccoon();
    let truth = whole.part(0, 0, (800, 660));
    for quarters in 1..4 {
        let turned = b.turned(quarters);
        let found = panorama(&[&a, &turned]).unwrap();
        // It is upright as one of the two is, and neither is wrong.
        let offs = [0, quarters].map(|up| {
            let truth = truth.turned(up);
            let alike = found.width.abs_diff(truth.width) < 4;
            if alike {
                difference(&found, &truth)
            } else {
                f64::INFINITY
            }
        });
        assert!(offs.iter().any(|off| *off < 0.5), "{quarters}: {offs:?}");
    }
}

#[test]
fn photographs_may_have_several_sizes() {
    let ([a, b, c], truth) = raccoon();
    let found = panorama(&[&a, &b.halved(), &c]).unwrap();
    // As large as the one that is the reference. A half has half the detail, so it is not the same.
    let truth = if found.width < 700 {
        truth.halved()
    } else {
        truth
    };
    let off = difference(&found, &truth);
    assert!(off < 3.0, "{off}");
}

#[test]
fn the_same_photograph_again_changes_nothing() {
    let ([a, b, _], whole) = raccoon();
    for photos in [&[&a, &a][..], &[&a; 6]] {
        let off = difference(&panorama(photos).unwrap(), &a);
        assert!(off < 0.5, "{off}");
    }
    let found = panorama(&[&a, &b, &a, &b, &b]).unwrap();
    let off = difference(&found, &whole.part(0, 0, (800, 660)));
    assert!(off < 0.5, "{off}");
}

#[test]
fn a_photograph_within_another_adds_nothing() {
    let ([a, _, _], _) = raccoon();
    let off = difference(&panorama(&[&a.part(150, 150, (250, 350)), &a]).unwrap(), &a);
    assert!(off < 0.5, "{off}");
}

#[test]
fn what_does_not_belong_is_named_wherever_it_stands() {
    let ([a, b, _], _) = raccoon();
    let stranger = Picture::photo("hubble.jpg").part(100, 100, (600, 600));
    let mut state = 1u32;
    let sky = Picture::filled((640, 480), |_, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let grain = (state >> 30) as u8;
        let light = (90 + y / 4) as u8 + grain;
        [light, light, light + 20]
    });
    let black = Picture::filled((640, 480), |_, _| [0; 3]);
    let dot = Picture::filled((1, 1), |_, _| [9; 3]);
    let thread = Picture::filled((4000, 3), |x, y| [(x * y) as u8, x as u8, y as u8]);
    for other in [&stranger, &sky, &black, &dot, &thread] {
        for at in 0..3 {
            let mut photos = vec![&a, &b];
            photos.insert(at, other);
            let why = panorama(&photos).err().unwrap();
            let expected = format!("photograph {} does not overlap the others", at + 1);
            assert_eq!((why.status, why.why), (422, expected));
        }
        let why = panorama(&[other, other]).err();
        // The stranger overlaps itself; there is nothing to hold on to in the others.
        assert_eq!(
            why.map(|why| why.status),
            (*other != stranger).then_some(422)
        );
    }
}
