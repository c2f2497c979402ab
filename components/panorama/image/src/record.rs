//! What one stage says to the next, as records whose bytes are the same in every component.
//!
//! A stage writes records as they are ([`bytes`]) and a later one reads them where they lie
//! ([`read`]): alignment 8, numbers in the machine's order. Received records are checked one by
//! one. What is checked here is what can be said of one record alone; an index into another array
//! is checked by whoever has that array.

use crate::{Error, MAX_SIDE, Matrix3, Point, Size};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A record that can be told from nonsense.
pub trait Record: FromBytes + IntoBytes + Immutable + KnownLayout {
    /// Whether a stage could have written this.
    fn is_sound(&self) -> bool;
}

/// The records that `bytes` are, without a copy. Fails with [`Error::Layout`] when they are not
/// whole aligned records, with [`Error::Record`] at the first unsound one.
pub fn read<T: Record>(bytes: &[u8]) -> Result<&[T], Error> {
    if bytes.is_empty() {
        // Wherever nothing lies.
        return Ok(&[]);
    }
    let records = <[T]>::ref_from_bytes(bytes).map_err(|_| Error::Layout)?;
    match records.iter().position(|r| !r.is_sound()) {
        Some(index) => Err(Error::Record { index }),
        None => Ok(records),
    }
}

/// Room for records in `bytes`, to be given to a stage. What is in them does not matter.
pub fn room<T: Record>(bytes: &mut [u8]) -> Result<&mut [T], Error> {
    <[T]>::mut_from_bytes(bytes).map_err(|_| Error::Layout)
}

/// The bytes of `records`.
pub fn bytes<T: Record>(records: &[T]) -> &[u8] {
    records.as_bytes()
}

fn inside(x: f32, y: f32) -> bool {
    let side = -1.0..=MAX_SIDE as f32;
    side.contains(&x) && side.contains(&y)
}

/// A corner of an image: where it is, which way it is turned, and 256 comparisons of brightness
/// around it.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Default)]
#[repr(C)]
pub struct Feature {
    /// In pixels of the whole image, whatever the level it was found on.
    pub x: f32,
    pub y: f32,
    /// Direction from the corner to the centroid of brightness around it: a unit vector.
    pub cosine: f32,
    pub sine: f32,
    /// Pixels of the whole image for one pixel of the level.
    pub scale: f32,
    /// Harris' response: comparable within one image.
    pub score: f32,
    pub descriptor: [u64; 4],
}

impl Record for Feature {
    fn is_sound(&self) -> bool {
        let unit = self.cosine * self.cosine + self.sine * self.sine;
        inside(self.x, self.y)
            && (0.99..=1.01).contains(&unit)
            && (1.0..=1024.0).contains(&self.scale)
            && self.score.is_finite()
    }
}

/// The same thing of the world in two images, in pixels of each.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Default)]
#[repr(C)]
pub struct Match {
    pub first: [f32; 2],
    pub second: [f32; 2],
}

impl Match {
    pub fn points(&self) -> (Point, Point) {
        let point = |p: [f32; 2]| Point {
            x: f64::from(p[0]),
            y: f64::from(p[1]),
        };
        (point(self.first), point(self.second))
    }
}

impl Record for Match {
    fn is_sound(&self) -> bool {
        inside(self.first[0], self.first[1]) && inside(self.second[0], self.second[1])
    }
}

/// Two images that overlap.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Default)]
#[repr(C)]
pub struct Pair {
    /// Sends pixels of the first image to pixels of the second.
    pub homography: Matrix3,
    /// Indices of the images; `first` is the smaller.
    pub first: u32,
    pub second: u32,
    /// Its matches, as a range in the array of all matches.
    pub begin: u32,
    pub count: u32,
}

impl Pair {
    /// Its part of `matches`; nothing if the range is not in it.
    pub fn matches<'a>(&self, matches: &'a [Match]) -> Option<&'a [Match]> {
        let begin = self.begin as usize;
        matches.get(begin..begin.checked_add(self.count as usize)?)
    }
}

impl Record for Pair {
    fn is_sound(&self) -> bool {
        self.first < self.second && self.homography.is_finite()
    }
}

/// How the images of a set hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// Something flat, or one that can be taken for it: one homography an image.
    Homography,
    /// A camera that turns about its centre: one rotation an image, and focal lengths.
    Rotation,
}

/// What the panorama should be drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Projection {
    /// The plane of the reference image.
    Planar,
    /// A cylinder about the vertical axis, unrolled.
    Cylindrical,
}

/// What holds for all images of a panorama.
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Default)]
#[repr(C)]
pub struct Plan {
    /// Radius of the cylinder in pixels; 0 without a rotation model.
    pub focal: f64,
    /// Root mean square distance of a match from where the model puts it, in pixels.
    pub error: f64,
    /// Index of the image whose pixels keep their places on the plane.
    pub reference: u32,
    model: u32,
    projection: u32,
    unused: u32,
}

impl Plan {
    pub fn new(model: Model, projection: Projection, reference: u32) -> Self {
        Self {
            focal: 0.0,
            error: 0.0,
            reference,
            model: u32::from(model == Model::Rotation),
            projection: u32::from(projection == Projection::Cylindrical),
            unused: 0,
        }
    }

    pub fn model(&self) -> Model {
        if self.model == 0 {
            Model::Homography
        } else {
            Model::Rotation
        }
    }

    pub fn projection(&self) -> Projection {
        if self.projection == 0 {
            Projection::Planar
        } else {
            Projection::Cylindrical
        }
    }
}

impl Record for Plan {
    fn is_sound(&self) -> bool {
        let curved = self.projection() == Projection::Cylindrical;
        let focal = if self.model() == Model::Rotation {
            (1.0..=1e6).contains(&self.focal)
        } else {
            self.focal == 0.0 && !curved
        };
        focal && self.model <= 1 && self.projection <= 1 && (0.0..=1e6).contains(&self.error)
    }
}

/// Where one image goes.
///
/// On the plane, a pixel goes to `plane` times itself, in pixels of the reference image. On the
/// cylinder, a pixel p looks along [`Placement::ray`] = (x, y, z) and goes to
/// `Plan::focal` * (atan2(x, z), y / hypot(x, z)); see [`Placement::on_cylinder`].
#[derive(Clone, Copy, Debug, PartialEq, FromBytes, IntoBytes, Immutable, KnownLayout, Default)]
#[repr(C)]
pub struct Placement {
    pub plane: Matrix3,
    /// From the camera's axes (right, down, forward) to those of the cylinder; the identity
    /// without a rotation model.
    pub rotation: Matrix3,
    /// In pixels; 0 without a rotation model.
    pub focal: f64,
    width: u32,
    height: u32,
}

impl Placement {
    pub fn new(size: Size, plane: Matrix3, rotation: Matrix3, focal: f64) -> Self {
        Self {
            plane,
            rotation,
            focal,
            width: size.width() as u32,
            height: size.height() as u32,
        }
    }

    /// The size of the image that is placed.
    pub fn size(&self) -> Result<Size, Error> {
        Size::new(self.width, self.height)
    }

    /// Where the pixel `point` looks, along the axes of the cylinder; not of unit length.
    pub fn ray(&self, point: Point) -> [f64; 3] {
        let centre = Point {
            x: (f64::from(self.width) - 1.0) / 2.0,
            y: (f64::from(self.height) - 1.0) / 2.0,
        };
        self.rotation
            .vector([point.x - centre.x, point.y - centre.y, self.focal])
    }

    /// Where the pixel `point` goes on a cylinder of `radius` pixels. Costs an arc tangent.
    pub fn on_cylinder(&self, radius: f64, point: Point) -> Point {
        let [x, y, z] = self.ray(point);
        Point {
            x: radius * libm::atan2(x, z),
            y: radius * y / libm::hypot(x, z).max(1e-12),
        }
    }
}

impl Record for Placement {
    fn is_sound(&self) -> bool {
        self.size().is_ok()
            && self.plane.is_finite()
            && self.rotation.is_finite()
            && (0.0..=1e6).contains(&self.focal)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    fn aligned(bytes: &[u8]) -> (Vec<u64>, usize) {
        let mut words = vec![0u64; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        (words, bytes.len())
    }

    /// Every check of every kind must answer and not panic.
    fn look(bytes: &[u8]) {
        let _ = read::<Feature>(bytes);
        let _ = read::<Pair>(bytes);
        let _ = read::<Plan>(bytes);
        if let Ok(placements) = read::<Placement>(bytes) {
            for placement in placements {
                placement.size().unwrap();
                placement.on_cylinder(100.0, Point::default());
            }
        }
        if let Ok(matches) = read::<Match>(bytes) {
            for m in matches {
                assert!(m.points().0.x.is_finite() && m.points().1.y.is_finite());
            }
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let (words, length) = aligned(&bytes);
            look(&words.as_bytes()[..length]);
            look(&words.as_bytes()[length.min(1)..length]);
        }

        #[test]
        fn a_spoilt_record_is_found(at in 0usize..3, spoil in 0usize..6, bits in prop_oneof![
            Just(f32::NAN.to_bits()), Just(f32::INFINITY.to_bits()), Just((-1e9f32).to_bits()), Just(1e9f32.to_bits())
        ]) {
            let feature = Feature { x: 3.0, y: 4.0, cosine: 1.0, sine: 0.0, scale: 2.0, score: 0.0, descriptor: [7; 4] };
            let mut features = [feature; 3];
            prop_assert_eq!(read::<Feature>(bytes(&features)).unwrap().len(), 3);
            features[at].as_mut_bytes()[spoil * 4..][..4].copy_from_slice(&bits.to_ne_bytes());
            // A score of any finite size is one.
            if spoil != 5 || !f32::from_bits(bits).is_finite() {
                prop_assert_eq!(read::<Feature>(bytes(&features)), Err(Error::Record { index: at }));
            }
        }
    }

    #[test]
    fn the_layout_is_fixed() {
        assert_eq!(size_of::<Feature>(), 56);
        assert_eq!(size_of::<Match>(), 16);
        assert_eq!(size_of::<Pair>(), 88);
        assert_eq!(size_of::<Plan>(), 32);
        assert_eq!(size_of::<Placement>(), 160);
    }

    #[test]
    fn records_must_be_whole_and_aligned() {
        let matches = [Match::default(); 3];
        let all = bytes(&matches);
        assert_eq!(read::<Match>(all).unwrap(), matches);
        assert_eq!(read::<Match>(&all[..47]), Err(Error::Layout));
        assert_eq!(read::<Match>(&all[1..17]), Err(Error::Layout));
        assert_eq!(read::<Match>(&[]).unwrap(), []);
        let mut words = [0u64; 4];
        assert_eq!(room::<Match>(words.as_mut_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn a_pair_names_only_matches_that_exist() {
        let matches = [Match::default(); 3];
        let pair = |begin, count| Pair {
            begin,
            count,
            ..Pair::default()
        };
        assert_eq!(pair(1, 2).matches(&matches).unwrap().len(), 2);
        assert!(pair(2, 2).matches(&matches).is_none());
        assert!(pair(u32::MAX, u32::MAX).matches(&matches).is_none());
        assert!(!pair(0, 0).is_sound(), "an image does not overlap itself");
    }

    #[test]
    fn the_axis_of_a_camera_meets_the_cylinder_where_it_is_turned_to() {
        let turn = Matrix3::rotation([0.0, 0.5, 0.0]);
        let size = Size::new(101, 51).unwrap();
        let placement = Placement::new(size, Matrix3::IDENTITY, turn, 80.0);
        let at = placement.on_cylinder(200.0, size.centre());
        assert!((at.x - 100.0).abs() < 1e-9 && at.y.abs() < 1e-9);
    }

    #[test]
    fn a_cylinder_needs_a_rotation_model() {
        let mut plan = Plan::new(Model::Homography, Projection::Cylindrical, 0);
        assert!(!plan.is_sound());
        plan = Plan::new(Model::Rotation, Projection::Cylindrical, 0);
        assert!(!plan.is_sound());
        plan.focal = 500.0;
        assert!(plan.is_sound());
        assert_eq!(plan.model(), Model::Rotation);
    }
}
