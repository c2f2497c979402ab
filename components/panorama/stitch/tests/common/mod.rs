//! A set as the stitcher takes it.

use cistern_compose::decode;
use cistern_image::Size;
use cistern_panorama_testset::Set;
use cistern_stitch::{Limits, Photograph};

pub const LIMITS: Limits = Limits {
    file: decode::Limits {
        bytes: 16 << 20,
        pixels: 1 << 22,
    },
    panorama: 1 << 24,
};

pub fn photographs(set: &Set) -> Vec<Photograph> {
    let views = set.views.iter();
    views
        .map(|view| Photograph {
            size: Size::new(view.width as u32, view.height as u32).unwrap(),
            rgb: view.rgb.clone(),
        })
        .collect()
}
