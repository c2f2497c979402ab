//! Stitches the named sets (all without a name) as often as the first argument says and prints one JSON
//! object a line: error, quality, and each stage's processor time in milliseconds in the fastest round.

#[path = "../tests/judge/mod.rs"]
mod judge;

use cistern_image::{GrayMut, Rgb, Size, luma};
use cistern_panorama_testset::{Model, Set, make, names};
use cistern_stages::{Failure, Stage};
use cistern_stitch::{Stitched, stitch};
use judge::{files, heap, judge};
use serde_json::{Map, Value, json};

/// Nanoseconds that this program has had a processor for: what others run beside it does not count.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux counts them");
    let first = text.split_whitespace().next();
    first.and_then(|n| n.parse().ok()).expect("a number")
}

fn milliseconds(stitched: &Stitched, stage: Stage) -> f64 {
    stitched.spent.0[stage as usize] as f64 / 1e6
}

/// From colours to a panorama in memory, files left out; brightness, which is made while a file is
/// decoded, is not in it.
fn from_pixels(stitched: &Stitched) -> f64 {
    let stages = Stage::ALL.into_iter();
    stages
        .filter(|stage| !matches!(stage, Stage::Decode | Stage::Encode))
        .map(|stage| milliseconds(stitched, stage))
        .sum()
}

/// What brightness costs for all views.
fn brightness(set: &Set) -> f64 {
    let mut spent = 0;
    for view in &set.views {
        let size = Size::new(view.width as u32, view.height as u32).expect("a view has a size");
        let mut gray = vec![0; size.pixels()];
        let begin = processor_time();
        let colours = Rgb::packed(&view.rgb[..], size).expect("all pixels");
        let mut out = GrayMut::packed(&mut gray[..], size).expect("all pixels");
        luma(&colours, &mut out).expect("one size");
        spent += processor_time() - begin;
    }
    spent as f64 / 1e6
}

fn measure(set: &Set, rounds: usize) -> Result<Value, Failure> {
    let files = files(set);
    let mut fastest: Option<Stitched> = None;
    for _ in 0..rounds.max(1) {
        let stitched = stitch(&files, &heap(), processor_time)?;
        let better = |before: &Stitched| from_pixels(&stitched) < from_pixels(before);
        if fastest.as_ref().is_none_or(better) {
            fastest = Some(stitched);
        }
    }
    let stitched = fastest.ok_or_else(Failure::parts)?;
    let verdict = judge(set, &stitched)?;
    let stages: Map<String, Value> = Stage::ALL
        .into_iter()
        .map(|stage| (stage.name().into(), json!(milliseconds(&stitched, stage))))
        .collect();
    let pixels: usize = set.views.iter().map(|v| v.width * v.height).sum();
    let plan = stitched.scheme()?.plan;
    Ok(json!({
        "name": set.name,
        "views": set.views.len(),
        "turned": matches!(set.model, Model::Camera { .. }),
        "megapixels": pixels as f64 / 1e6,
        "milliseconds": from_pixels(&stitched) + brightness(set),
        "corner_error": verdict.corner_error,
        "psnr": verdict.psnr,
        "covered": verdict.covered,
        "model": format!("{:?}", plan.model()),
        "projection": format!("{:?}", plan.projection()),
        "stages": stages,
    }))
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut chosen: Vec<String> = arguments.collect();
    if chosen.is_empty() {
        chosen = names().into_iter().map(String::from).collect();
    }
    for name in chosen {
        let line = measure(&make(&name), rounds);
        println!(
            "{}",
            line.unwrap_or_else(|why| json!({"name": name, "failed": why.why}))
        );
    }
}
