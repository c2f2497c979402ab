//! What a camera sees: the original resampled, darkened and made noisy.

use crate::geometry::{Homography, apply};
use crate::photo::Photo;

/// Steps between two pixels for which kernel weights are kept.
const PHASES: usize = 512;
const TAPS: usize = 6;

/// Pixels repeated outwards beyond each border, so that no tap needs a check.
const MARGIN: usize = 3;

/// A photograph that can be asked between its pixels: a Lanczos kernel of three lobes, tabulated.
pub struct Sampler {
    weights: Vec<[f32; TAPS]>,
    /// With its margin, a fourth channel of zeroes.
    pixels: Vec<[f32; 4]>,
    width: usize,
    height: usize,
}

impl Sampler {
    pub fn new(photo: &Photo) -> Self {
        let sinc = |x: f64| {
            if x == 0.0 {
                1.0
            } else {
                let t = std::f64::consts::PI * x;
                t.sin() / t
            }
        };
        let weights = (0..=PHASES).map(|phase| {
            let fraction = phase as f64 / PHASES as f64;
            let raw: [f64; TAPS] = std::array::from_fn(|tap| {
                let x = tap as f64 - 2.0 - fraction;
                if x.abs() < 3.0 {
                    sinc(x) * sinc(x / 3.0)
                } else {
                    0.0
                }
            });
            let sum: f64 = raw.iter().sum();
            raw.map(|weight| (weight / sum) as f32)
        });
        let (width, height) = (photo.width + 2 * MARGIN, photo.height + 2 * MARGIN);
        let inner = |i: usize, len: usize| i.saturating_sub(MARGIN).min(len - 1);
        let mut pixels = Vec::with_capacity(width * height);
        for y in 0..height {
            let row = inner(y, photo.height) * photo.width;
            for x in 0..width {
                let at = (row + inner(x, photo.width)) * 3;
                let [r, g, b] = [0, 1, 2].map(|c| f32::from(photo.rgb[at + c]));
                pixels.push([r, g, b, 0.0]);
            }
        }
        Self {
            weights: weights.collect(),
            pixels,
            width,
            height,
        }
    }

    /// The colour between pixels; a place beyond the border counts as on it.
    pub fn sample(&self, x: f64, y: f64) -> [f32; 3] {
        let x = x.clamp(0.0, (self.width - 2 * MARGIN - 1) as f64);
        let y = y.clamp(0.0, (self.height - 2 * MARGIN - 1) as f64);
        let (left, top) = (x as usize, y as usize);
        let phase = |fraction: f64| &self.weights[(fraction * PHASES as f64 + 0.5) as usize];
        let (across, down) = (phase(x - left as f64), phase(y - top as f64));
        let mut colour = [0.0f32; 4];
        for (j, weight_y) in down.iter().enumerate() {
            let from = (top + 1 + j) * self.width + left + 1;
            let mut line = [0.0f32; 4];
            for (pixel, weight_x) in self.pixels[from..from + TAPS].iter().zip(across) {
                for (sum, value) in line.iter_mut().zip(pixel) {
                    *sum += weight_x * value;
                }
            }
            for (sum, line) in colour.iter_mut().zip(line) {
                *sum += weight_y * line;
            }
        }
        [colour[0], colour[1], colour[2]]
    }
}

/// Numbers that look random and never change.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// At least 0, less than 1.
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// Between -1 and 1.
    pub fn signed(&mut self) -> f64 {
        2.0 * self.unit() - 1.0
    }
}

/// Gaussian values of deviation 1, drawn from a table of 4096 quantiles: fast and exact enough for noise.
struct Noise(Vec<f32>);

impl Noise {
    fn new(random: &mut Random) -> Self {
        let pair = |random: &mut Random| {
            let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
            (radius * (std::f64::consts::TAU * random.unit()).cos()) as f32
        };
        Self((0..4096).map(|_| pair(random)).collect())
    }
}

/// Renders one view.
pub fn view(
    original: &Sampler,
    (width, height): (usize, usize),
    to_original: &Homography,
    gain: [f64; 3],
    deviation: f64,
    random: &mut Random,
) -> Vec<u8> {
    let noise = Noise::new(random);
    let mut rgb = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = apply(to_original, (x as f64, y as f64));
            let mut bits = random.bits();
            for (colour, gain) in original.sample(u, v).into_iter().zip(gain) {
                let grain = noise.0[bits as usize % 4096] * deviation as f32;
                bits >>= 12;
                // The cast clips.
                rgb.push((colour * gain as f32 + grain + 0.5) as u8);
            }
        }
    }
    rgb
}
