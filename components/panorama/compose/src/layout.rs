//! Where each photograph lies on the panorama, and how large that is.

use crate::Error;
use cistern_image::record::Record;
use cistern_image::{MAX_SIDE, Placement, Plan, Point, Projection, Size};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A rectangle of the panorama. (`x`, `y`) is its first pixel in the coordinates of the projection,
/// whose origin is wherever the reference put it, so they may be negative.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Region {
    pub x: i32,
    pub y: i32,
    pub width: u32,
    pub height: u32,
}

impl Region {
    pub fn size(&self) -> Result<Size, cistern_image::Error> {
        Size::new(self.width, self.height)
    }

    /// The column after the last. A sound region's does not overflow.
    pub fn right(&self) -> i32 {
        self.x.saturating_add_unsigned(self.width)
    }

    /// The row after the last.
    pub fn bottom(&self) -> i32 {
        self.y.saturating_add_unsigned(self.height)
    }

    /// Whether `inner` lies in this.
    pub fn contains(&self, inner: &Self) -> bool {
        self.x <= inner.x
            && self.y <= inner.y
            && inner.right() <= self.right()
            && inner.bottom() <= self.bottom()
    }

    /// What both have in common: columns and rows, either of which may be empty.
    pub fn common(&self, other: &Self) -> (core::ops::Range<i32>, core::ops::Range<i32>) {
        (
            self.x.max(other.x)..self.right().min(other.right()),
            self.y.max(other.y)..self.bottom().min(other.bottom()),
        )
    }
}

/// Farthest from the origin that a region may begin.
const REACH: i32 = 1 << 20;

impl Record for Region {
    fn is_sound(&self) -> bool {
        let near = -REACH..=REACH;
        self.size().is_ok() && near.contains(&self.x) && near.contains(&self.y)
    }
}

/// Pixels between two points of a border that are looked at. The border of a photograph of 10 degrees
/// or more bulges between them by less than a hundredth of a pixel.
const STEP: usize = 8;

/// Bounds, growing.
#[derive(Clone, Copy)]
struct Bounds {
    low: Point,
    high: Point,
}

impl Bounds {
    const NONE: Self = Self {
        low: Point {
            x: f64::INFINITY,
            y: f64::INFINITY,
        },
        high: Point {
            x: f64::NEG_INFINITY,
            y: f64::NEG_INFINITY,
        },
    };

    fn include(&mut self, p: Point) {
        self.low.x = self.low.x.min(p.x);
        self.low.y = self.low.y.min(p.y);
        self.high.x = self.high.x.max(p.x);
        self.high.y = self.high.y.max(p.y);
    }

    /// The pixels within, if they are not too many.
    fn region(&self, pixels: usize) -> Result<Region, Error> {
        let (left, top) = (libm::floor(self.low.x), libm::floor(self.low.y));
        let width = libm::ceil(self.high.x) - left + 1.0;
        let height = libm::ceil(self.high.y) - top + 1.0;
        let side = 1.0..=f64::from(MAX_SIDE);
        let near = -f64::from(REACH)..=f64::from(REACH);
        let sound = side.contains(&width)
            && side.contains(&height)
            && near.contains(&left)
            && near.contains(&top)
            && width * height <= pixels as f64;
        if !sound {
            // The cast is defined for all numbers, too large ones and none included.
            return Err(Error::Panorama {
                width: width as u32,
                height: height as u32,
            });
        }
        Ok(Region {
            x: left as i32,
            y: top as i32,
            width: width as u32,
            height: height as u32,
        })
    }
}

/// Writes the region of each image into `out` and returns that of the panorama, which holds them all.
/// `pixels` is the most that the panorama may have; each image's region is within it too.
///
/// Cost: an arc tangent or a division for every eighth pixel of the images' borders.
pub fn layout(
    plan: &Plan,
    placements: &[Placement],
    pixels: usize,
    out: &mut [Region],
) -> Result<Region, Error> {
    if placements.is_empty() || placements.len() != out.len() {
        return Err(Error::Mismatch);
    }
    let mut all = Bounds::NONE;
    for (placement, region) in placements.iter().zip(out) {
        let bounds = bounds(plan, placement)?;
        *region = bounds.region(pixels)?;
        all.include(bounds.low);
        all.include(bounds.high);
    }
    all.region(pixels)
}

fn bounds(plan: &Plan, placement: &Placement) -> Result<Bounds, Error> {
    let size = placement.size()?;
    let (right, bottom) = (size.width() - 1, size.height() - 1);
    let mut bounds = Bounds::NONE;
    let mut look = |x: usize, y: usize| {
        let point = Point {
            x: x as f64,
            y: y as f64,
        };
        let place = match plan.projection() {
            Projection::Planar => placement.plane.point(point).ok_or(Error::Panorama {
                width: u32::MAX,
                height: u32::MAX,
            })?,
            Projection::Cylindrical => placement.on_cylinder(plan.focal, point),
        };
        bounds.include(place);
        Ok::<(), Error>(())
    };
    for x in (0..right).step_by(STEP).chain([right]) {
        look(x, 0)?;
        look(x, bottom)?;
    }
    for y in (0..bottom).step_by(STEP).chain([bottom]) {
        look(0, y)?;
        look(right, y)?;
    }
    Ok(bounds)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use cistern_image::{Matrix3, Model};
    use std::vec::Vec;

    fn placed(plane: Matrix3) -> Placement {
        let size = Size::new(100, 80).unwrap();
        Placement::new(size, plane, Matrix3::IDENTITY, 0.0)
    }

    fn flat() -> Plan {
        Plan::new(Model::Homography, Projection::Planar, 0)
    }

    #[test]
    fn two_shifted_images_make_their_union() {
        let placements = [
            placed(Matrix3::IDENTITY),
            placed(Matrix3::translation(-30.0, 10.5)),
        ];
        let mut regions = [Region::default(); 2];
        let all = layout(&flat(), &placements, 1 << 20, &mut regions).unwrap();
        let region = |x, y, width, height| Region {
            x,
            y,
            width,
            height,
        };
        assert_eq!(regions, [region(0, 0, 100, 80), region(-30, 10, 100, 81)]);
        assert_eq!(all, region(-30, 0, 130, 91));
        assert!(regions.iter().all(|r| all.contains(r)));
    }

    #[test]
    fn a_turned_camera_moves_on_the_cylinder() {
        let mut plan = Plan::new(Model::Rotation, Projection::Cylindrical, 0);
        plan.focal = 200.0;
        let size = Size::new(101, 81).unwrap();
        let turned = Matrix3::rotation([0.0, 0.5, 0.0]);
        let placements: Vec<Placement> = [Matrix3::IDENTITY, turned]
            .into_iter()
            .map(|rotation| Placement::new(size, Matrix3::IDENTITY, rotation, 200.0))
            .collect();
        let mut regions = [Region::default(); 2];
        layout(&plan, &placements, 1 << 20, &mut regions).unwrap();
        assert_eq!(regions[1].x - regions[0].x, 100);
        assert_eq!(regions[0].y, regions[1].y);
    }

    #[test]
    fn what_would_be_too_large_or_endless_is_refused() {
        let mut regions = [Region::default(); 1];
        let mut lay = |plane, pixels| layout(&flat(), &[placed(plane)], pixels, &mut regions);
        assert!(lay(Matrix3::IDENTITY, 8000).is_ok());
        assert!(matches!(
            lay(Matrix3::IDENTITY, 7999),
            Err(Error::Panorama {
                width: 100,
                height: 80
            })
        ));
        let steep = Matrix3([1.0, 0.0, 0.0, 0.0, 1.0, 0.0, -0.02, 0.0, 1.0]);
        assert!(lay(steep, 1 << 26).is_err());
        assert!(lay(Matrix3([f64::NAN; 9]), 1 << 26).is_err());
        assert!(lay(Matrix3::translation(1e12, 0.0), 1 << 26).is_err());
        assert_eq!(layout(&flat(), &[], 1000, &mut []), Err(Error::Mismatch));
    }
}
