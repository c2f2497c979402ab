//! The sets: which original, how many views, how they are disturbed.

use crate::geometry::{Homography, Model, apply, camera, product, rotation};
use crate::photo::Photo;
use crate::render::{self, Random, Sampler};
use crate::{Set, View};

#[derive(Clone, Copy)]
enum Source {
    File(&'static str),
    Wall,
}

struct Recipe {
    name: &'static str,
    source: Source,
    model: Model,
    /// Views are spread over the original in columns and rows.
    grid: (usize, usize),
    /// A view's size in pixels.
    size: (usize, usize),
    /// Largest roll in degrees.
    roll: f64,
    /// The darkest exposure; the lightest is 1.
    darkest: f64,
    /// Deviation of the noise in grey levels.
    noise: f64,
}

const fn flat(
    name: &'static str,
    file: &'static str,
    grid: (usize, usize),
    size: (usize, usize),
) -> Recipe {
    Recipe {
        name,
        source: Source::File(file),
        model: Model::Plane,
        grid,
        size,
        roll: 3.0,
        darkest: 0.75,
        noise: 2.0,
    }
}

const fn turned(
    name: &'static str,
    file: &'static str,
    focal: f64,
    grid: (usize, usize),
    size: (usize, usize),
) -> Recipe {
    Recipe {
        model: Model::Camera { focal },
        ..flat(name, file, grid, size)
    }
}

const fn on_the_wall(recipe: Recipe) -> Recipe {
    Recipe {
        source: Source::Wall,
        ..recipe
    }
}

const RECIPES: [Recipe; 18] = [
    flat("canyon-2", "canyon.jpg", (2, 1), (680, 720)),
    turned("raccoon-2", "raccoon.jpg", 900.0, (2, 1), (660, 730)),
    turned("airplane-2", "airplane.jpg", 1100.0, (2, 1), (690, 680)),
    flat("hubble-2", "hubble.jpg", (2, 1), (640, 820)),
    flat("retina-2", "retina.jpg", (2, 1), (900, 1340)),
    turned("canyon-3", "canyon.jpg", 1000.0, (3, 1), (660, 700)),
    turned("hubble-3", "hubble.jpg", 1200.0, (3, 1), (600, 830)),
    turned("retina-3", "retina.jpg", 1600.0, (3, 1), (700, 1300)),
    turned("retina-4", "retina.jpg", 1500.0, (2, 2), (880, 880)),
    flat("retina-6", "retina.jpg", (3, 2), (640, 800)),
    on_the_wall(turned("wall-2", "", 2200.0, (2, 1), (1680, 1180))),
    on_the_wall(flat("wall-3", "", (3, 1), (1300, 1380))),
    on_the_wall(turned("wall-4", "", 2400.0, (2, 2), (1640, 860))),
    on_the_wall(turned("wall-5", "", 2600.0, (5, 1), (880, 1240))),
    on_the_wall(flat("wall-6", "", (3, 2), (1240, 900))),
    on_the_wall(turned("wall-row-6", "", 2600.0, (6, 1), (780, 1100))),
    // Some ninety degrees wide. The outer views see the wall at a slant, larger than it is.
    on_the_wall(turned("wall-wide-6", "", 1450.0, (6, 1), (780, 720))),
    // Six of two megapixels: the largest set, for figures of memory too.
    on_the_wall(flat("wall-large-6", "", (3, 2), (1632, 1224))),
];

/// The names of all sets.
pub fn names() -> Vec<&'static str> {
    RECIPES.iter().map(|recipe| recipe.name).collect()
}

/// Makes a set: some tenths of a second for each megapixel of its views, optimised.
///
/// # Panics
/// When no set has this name.
pub fn make(name: &str) -> Set {
    let index = RECIPES.iter().position(|recipe| recipe.name == name);
    let index = index.unwrap_or_else(|| panic!("no set is called {name}"));
    let recipe = &RECIPES[index];
    let original = match recipe.source {
        Source::File(file) => Photo::read(file),
        Source::Wall => Photo::wall(),
    };
    let sampler = Sampler::new(&original);
    let mut random = Random::new(0x5e7 + index as u64);
    let (columns, rows) = recipe.grid;
    let mut views: Vec<View> = (0..columns * rows)
        .map(|i| {
            let place = (spread(i % columns, columns), spread(i / columns, rows));
            view(recipe, &original, &sampler, place, &mut random)
        })
        .collect();
    for i in (1..views.len()).rev() {
        views.swap(i, random.bits() as usize % (i + 1));
    }
    Set {
        name: recipe.name,
        model: recipe.model,
        original,
        views,
    }
}

/// From -1 for the first of several to 1 for the last.
fn spread(i: usize, of: usize) -> f64 {
    if of == 1 {
        0.0
    } else {
        2.0 * i as f64 / (of - 1) as f64 - 1.0
    }
}

/// One view near its place on the grid, disturbed as much as keeps it inside the original.
fn view(
    recipe: &Recipe,
    original: &Photo,
    sampler: &Sampler,
    place: (f64, f64),
    random: &mut Random,
) -> View {
    let (width, height) = recipe.size;
    let disturbance: [f64; 6] = std::array::from_fn(|_| random.signed());
    let mut strength = 1.0;
    let mut reach = 1.0;
    let mut to_original = homography(recipe, original, place, &disturbance, strength, reach);
    while !inside(original, recipe.size, &to_original) {
        strength *= 0.9;
        reach *= 0.99;
        assert!(reach > 0.5, "{}: the views are too large", recipe.name);
        to_original = homography(recipe, original, place, &disturbance, strength, reach);
    }
    let exposure = 1.0 - (1.0 - recipe.darkest) * random.unit();
    let gain = [(); 3].map(|()| exposure * (1.0 + 0.03 * random.signed()));
    View {
        width,
        height,
        rgb: render::view(
            sampler,
            recipe.size,
            &to_original,
            gain,
            recipe.noise,
            random,
        ),
        to_original,
        gain,
    }
}

/// From the view to the original. `strength` scales the disturbance, `reach` the distance from the middle.
fn homography(
    recipe: &Recipe,
    original: &Photo,
    place: (f64, f64),
    disturbance: &[f64; 6],
    strength: f64,
    reach: f64,
) -> Homography {
    let (width, height) = recipe.size;
    let free = |whole: usize, part: usize| (whole - part) as f64 / 2.0 * reach;
    let dx = place.0 * free(original.width, width);
    let dy = place.1 * free(original.height, height);
    let [a, b, c, d, e, f] = disturbance.map(|value| value * strength);
    let roll = (a * recipe.roll).to_radians();
    match recipe.model {
        Model::Camera { focal } => {
            let yaw = (dx / focal).atan() + 0.01 * b;
            let pitch = -(dy * yaw.cos() / focal).atan() + 0.01 * c;
            let turn = rotation(yaw, pitch, roll);
            let transposed = product(
                &camera(focal, original.width, original.height),
                &product(&turn, &unproject(focal, width, height)),
            );
            transposed.map(|value| value / transposed[8])
        }
        Model::Plane => {
            let scale = 0.96 + 0.05 * b;
            let (sin, cos) = (roll.sin() * scale, roll.cos() * scale);
            let tilt = 0.05 / width as f64;
            let centred = [
                cos + 0.01 * c,
                -sin,
                dx + 6.0 * d,
                sin,
                cos,
                dy,
                tilt * e,
                tilt * f,
                1.0,
            ];
            let m = product(
                &camera(1.0, original.width, original.height),
                &product(&centred, &unproject(1.0, width, height)),
            );
            m.map(|value| value / m[8])
        }
    }
}

/// Pixels to directions.
fn unproject(focal: f64, width: usize, height: usize) -> Homography {
    let (cx, cy) = ((width - 1) as f64 / 2.0, (height - 1) as f64 / 2.0);
    let f = 1.0 / focal;
    [f, 0.0, -cx * f, 0.0, f, -cy * f, 0.0, 0.0, 1.0]
}

/// Whether all of a view's pixels lie on the original, two pixels from its border.
fn inside(original: &Photo, (width, height): (usize, usize), to_original: &Homography) -> bool {
    let (right, bottom) = ((width - 1) as f64, (height - 1) as f64);
    let (w, h) = (original.width as f64 - 3.0, original.height as f64 - 3.0);
    [(0.0, 0.0), (right, 0.0), (0.0, bottom), (right, bottom)]
        .into_iter()
        .all(|corner| {
            let (x, y) = apply(to_original, corner);
            (2.0..=w).contains(&x) && (2.0..=h).contains(&y)
        })
}
