//! Every set with known truth, stitched: no set fails, no corner is a pixel off in the mean, and the
//! panorama is the original to 30 dB or better.

mod judge;

use cistern_panorama_testset::{make, names};
use cistern_stages::Failure;
use cistern_stitch::stitch;
use judge::{Verdict, files, heap, judge};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

fn verdict(name: &str) -> Result<Verdict, Failure> {
    let set = make(name);
    judge(&set, &stitch(&files(&set), &heap(), || 0)?)
}

#[test]
fn no_set_fails() {
    let names = names();
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = verdict(name);
                    verdicts.lock().unwrap().push((name, verdict));
                }
            });
        }
    });
    let verdicts = verdicts.into_inner().unwrap();
    assert_eq!(verdicts.len(), names.len());
    assert!(verdicts.len() >= 12);
    let mut bad = Vec::new();
    for (name, verdict) in verdicts {
        println!("{name}: {verdict:?}");
        match verdict {
            Ok(v) if v.corner_error <= 1.0 && v.psnr >= 30.0 && v.covered >= 0.99 => {}
            _ => bad.push((name, verdict)),
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
}
