//! Registers sets of the test collection and prints what each stage costs in milliseconds of one
//! processor, the mean of several runs, and how far off the result is:
//! `cargo run --release -p cistern-register --example registration [SET...]`.

use cistern_image::{
    Feature, Gray, GrayMut, Match, Matrix3, Pair, Placement, Plan, Rgb, Size, luma,
};
use cistern_panorama_testset::{Set, corner_error, make, names};
use cistern_register::{Error, MAX_FEATURES, MAX_MATCHES, Source, estimate, features, pairs};

/// Linux counts a thread's time in ticks of some milliseconds: the mean is finer.
const RUNS: usize = 5;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "set          images  features   match  estimate | pairs matches  model       fit  corners"
    );
    for name in names() {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            report(&make(name));
        }
    }
}

/// What the stages hand to each other.
struct Registered {
    pairs: usize,
    matches: usize,
    result: Result<(Plan, Vec<Placement>), Error>,
    milliseconds: [f64; 3],
}

fn report(set: &Set) {
    let images: Vec<(Vec<u8>, Size)> = set.views.iter().map(gray).collect();
    let mut runs: Vec<Registered> = (0..RUNS).map(|_| register(&images)).collect();
    let mean = |stage: usize| {
        let times = runs.iter().map(|r| r.milliseconds[stage]);
        times.sum::<f64>() / RUNS as f64
    };
    let [a, b, c] = [0, 1, 2].map(mean);
    print!(
        "{:<13}{:>6}{a:>10.1}{b:>8.1}{c:>10.1} |",
        set.name,
        images.len()
    );
    let Registered {
        pairs,
        matches,
        result,
        ..
    } = runs.remove(0);
    print!("{pairs:>6}{matches:>8}");
    match result {
        Ok((plan, placements)) => {
            let planes = placements.iter().map(|p| p.plane);
            let planes: Vec<[f64; 9]> = planes.map(|Matrix3(m)| m).collect();
            let corners = corner_error(set, plan.reference as usize, &planes);
            let model = format!("{:?}", plan.model());
            println!("  {model:<11}{:.3}  {corners:.3}", plan.error);
        }
        Err(error) => println!("  {error}"),
    }
}

fn gray(view: &cistern_panorama_testset::View) -> (Vec<u8>, Size) {
    let size = Size::new(view.width as u32, view.height as u32).expect("a view");
    let mut gray = vec![0; size.pixels()];
    let colours = Rgb::packed(&view.rgb[..], size).expect("all pixels");
    let mut out = GrayMut::packed(&mut gray[..], size).expect("room");
    luma(&colours, &mut out).expect("one size");
    (gray, size)
}

fn register(images: &[(Vec<u8>, Size)]) -> Registered {
    let sizes: Vec<Size> = images.iter().map(|(_, size)| *size).collect();
    let begin = cpu_milliseconds();
    let found: Vec<Vec<Feature>> = images
        .iter()
        .map(|(gray, size)| {
            let mut found = vec![Feature::default(); MAX_FEATURES];
            let image = Gray::packed(&gray[..], *size).expect("all pixels");
            let count = features(&image, &mut found).expect("room");
            found.truncate(count);
            found
        })
        .collect();
    let with_features = cpu_milliseconds();
    let sources: Vec<Source<'_>> = images
        .iter()
        .zip(&found)
        .map(|((gray, size), features)| Source {
            image: Gray::packed(&gray[..], *size).expect("all pixels"),
            features,
        })
        .collect();
    let most = images.len() * (images.len() - 1) / 2;
    let mut pair_room = vec![Pair::default(); most];
    let mut match_room = vec![Match::default(); most * MAX_MATCHES];
    let (p, m) = pairs(&sources, &mut pair_room, &mut match_room).expect("room");
    let with_pairs = cpu_milliseconds();
    let mut placements = vec![Placement::default(); sizes.len()];
    let plan = estimate(&sizes, &pair_room[..p], &match_room[..m], &mut placements);
    let end = cpu_milliseconds();
    Registered {
        pairs: p,
        matches: m,
        result: plan.map(|plan| (plan, placements)),
        milliseconds: [
            with_features - begin,
            with_pairs - with_features,
            end - with_pairs,
        ],
    }
}

/// What this thread has had of a processor, whatever else runs.
fn cpu_milliseconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split(' ').next().and_then(|n| n.parse::<f64>().ok());
    first.expect("Linux with scheduler statistics") / 1e6
}
