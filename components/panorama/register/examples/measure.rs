//! Registers sets of the test collection and prints what each stage costs and how far off the
//! result is: `cargo run --release -p cistern-register --example measure [SET...]`.

use cistern_image::{Feature, Gray, GrayMut, Match, Matrix3, Pair, Placement, Rgb, Size, luma};
use cistern_panorama_testset::{Set, corner_error, make, names};
use cistern_register::{MAX_FEATURES, MAX_MATCHES, Source, estimate, features, pairs};
use std::time::Instant;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    println!(
        "set           images pairs matches  features    match estimate  model  error  corners"
    );
    for name in names() {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            report(&make(name));
        }
    }
}

fn report(set: &Set) {
    let sizes: Vec<Size> = set
        .views
        .iter()
        .map(|v| Size::new(v.width as u32, v.height as u32).expect("a view"))
        .collect();
    let grays: Vec<Vec<u8>> = set
        .views
        .iter()
        .zip(&sizes)
        .map(|(view, &size)| {
            let mut gray = vec![0; size.pixels()];
            let colours = Rgb::packed(&view.rgb[..], size).expect("all pixels");
            luma(
                &colours,
                &mut GrayMut::packed(&mut gray[..], size).expect("room"),
            )
            .expect("luma");
            gray
        })
        .collect();
    let begin = Instant::now();
    let found: Vec<Vec<Feature>> = grays
        .iter()
        .zip(&sizes)
        .map(|(gray, &size)| {
            let mut found = vec![Feature::default(); MAX_FEATURES];
            let image = Gray::packed(&gray[..], size).expect("all pixels");
            let count = features(&image, &mut found).expect("room");
            found.truncate(count);
            found
        })
        .collect();
    let features_ms = milliseconds(begin);
    let begin = Instant::now();
    let sources: Vec<Source<'_>> = grays
        .iter()
        .zip(&sizes)
        .zip(&found)
        .map(|((gray, &size), features)| Source {
            image: Gray::packed(&gray[..], size).expect("all pixels"),
            features,
        })
        .collect();
    let most = sources.len() * (sources.len() - 1) / 2;
    let mut pair_room = vec![Pair::default(); most];
    let mut match_room = vec![Match::default(); most * MAX_MATCHES];
    let (p, m) = pairs(&sources, &mut pair_room, &mut match_room).expect("room");
    let match_ms = milliseconds(begin);
    let begin = Instant::now();
    let mut placements = vec![Placement::default(); sizes.len()];
    let plan = estimate(&sizes, &pair_room[..p], &match_room[..m], &mut placements);
    let estimate_ms = milliseconds(begin);
    print!(
        "{:<14}{:>6}{p:>6}{m:>8}{features_ms:>10.1}{match_ms:>9.1}{estimate_ms:>9.1}",
        set.name,
        sizes.len()
    );
    match plan {
        Ok(plan) => {
            let planes: Vec<[f64; 9]> = placements
                .iter()
                .map(|p| p.plane)
                .map(|Matrix3(m)| m)
                .collect();
            let corners = corner_error(set, plan.reference as usize, &planes);
            println!(
                "  {:?} {:?} {:.3} {corners:>8.3} f {:.1} truth {:?}",
                plan.model(),
                plan.projection(),
                plan.error,
                plan.focal,
                set.model
            );
        }
        Err(error) => println!("  {error}"),
    }
}

fn milliseconds(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1e3
}
