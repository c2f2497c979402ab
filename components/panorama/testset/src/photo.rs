//! The originals: files beside this crate, read once each time they are asked for.

use std::path::Path;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;

/// Three bytes a pixel, red first.
#[derive(Clone, Debug)]
pub struct Photo {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

/// The bytes of a photograph as they lie in the repository.
pub fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("photos")
        .join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

impl Photo {
    pub fn read(name: &str) -> Self {
        let bytes = ZCursor::new(file(name));
        let options = DecoderOptions::default().jpeg_set_out_colorspace(ColorSpace::RGB);
        if name.ends_with(".png") {
            let mut decoder = zune_png::PngDecoder::new_with_options(bytes, options);
            let rgb = decoder.decode_raw().expect("a photograph of ours");
            let (width, height) = decoder.dimensions().expect("decoded");
            return Self { width, height, rgb };
        }
        let mut decoder = zune_jpeg::JpegDecoder::new_with_options(bytes, options);
        let rgb = decoder.decode().expect("a photograph of ours");
        let (width, height) = decoder.dimensions().expect("decoded");
        Self { width, height, rgb }
    }

    /// Eight photographs side by side in two rows: a scene of 4.4 megapixels whose every pixel is real,
    /// for views of up to two megapixels. Each is cut to its place, none is scaled.
    pub fn wall() -> Self {
        let (width, height) = (3048, 1434);
        let mut wall = Self {
            width,
            height,
            rgb: vec![0; width * height * 3],
        };
        // Place and size on the wall, then the left top corner of the part that is shown.
        for (name, (x, y), (w, h), from) in [
            ("canyon.jpg", (0, 0), (1024, 717), (0, 33)),
            ("raccoon.jpg", (1024, 0), (1024, 717), (0, 0)),
            ("airplane.jpg", (2048, 0), (1000, 717), (12, 0)),
            ("hubble.jpg", (0, 717), (1000, 717), (0, 80)),
            ("retina.jpg", (1000, 717), (1024, 717), (40, 300)),
            ("alps.jpg", (2024, 717), (1024, 484), (0, 0)),
            ("rocket.jpg", (2024, 1201), (640, 233), (0, 194)),
            ("astronaut.png", (2664, 1201), (384, 233), (60, 0)),
        ] {
            let photo = Self::read(name);
            for row in 0..h {
                let source = ((from.1 + row) * photo.width + from.0) * 3;
                let target = ((y + row) * width + x) * 3;
                wall.rgb[target..target + w * 3]
                    .copy_from_slice(&photo.rgb[source..source + w * 3]);
            }
        }
        wall
    }
}
