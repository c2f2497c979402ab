//! Stitches the named sets (all without a name) as often as the first argument says and prints one JSON
//! object a line: error, quality, and each stage's processor time in milliseconds in the fastest round.

#[path = "../tests/judge/mod.rs"]
mod judge;

use cistern_panorama_testset::{make, names};
use cistern_stitch::Stage;
use serde_json::json;

/// Nanoseconds that this program has had a processor for: what others run beside it does not count.
fn processor_time() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux counts them");
    let first = text.split_whitespace().next();
    first.and_then(|n| n.parse().ok()).expect("a number")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    let mut chosen: Vec<String> = arguments.collect();
    if chosen.is_empty() {
        chosen = names().into_iter().map(String::from).collect();
    }
    for name in chosen {
        let set = make(&name);
        let runs: Vec<_> = (0..rounds)
            .map(|_| judge::judge(&set, &mut processor_time))
            .collect();
        let best = runs.iter().flatten().min_by_key(|(_, p)| p.times.total());
        let line = match (best, runs.first()) {
            (Some((verdict, panorama)), _) => {
                let times = &panorama.times;
                let stages: serde_json::Map<_, _> = Stage::ALL
                    .iter()
                    .map(|s| (s.name().into(), json!(times.of(*s) as f64 / 1e6)))
                    .collect();
                json!({
                    "name": name,
                    "views": set.views.len(),
                    "megapixels": set.views.iter().map(|v| v.width * v.height).sum::<usize>() as f64 / 1e6,
                    "milliseconds": times.total() as f64 / 1e6,
                    "corner_error": verdict.corner_error,
                    "psnr": verdict.psnr,
                    "covered": verdict.covered,
                    "model": format!("{:?}", panorama.plan.model()),
                    "projection": format!("{:?}", panorama.plan.projection()),
                    "stages": stages,
                })
            }
            (None, Some(Err(why))) => json!({ "name": name, "failed": why }),
            _ => json!({ "name": name, "failed": "no round was asked for" }),
        };
        println!("{line}");
    }
}
