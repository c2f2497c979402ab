//! Every set with known truth, stitched: no set fails, no corner is a pixel off in the mean, and the
//! panorama is the original to 30 dB or better; nor is either much worse than it was once.

mod judge;

use cistern_compose::crop::inscribed;
use cistern_compose::decode::{Limits, decode, probe};
use cistern_image::{Projection, RgbMut};
use cistern_panorama_testset::{make, names};
use cistern_stages::Failure;
use cistern_stitch::{Stitched, stitch};
use judge::{Verdict, files, heap, judge};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What was asked for: pixels and decibels.
const ASKED: (f64, f64) = (1.0, 30.0);
/// What was reached by every set, with a little room: whoever falls behind has broken something.
const REACHED: (f64, f64) = (0.25, 37.0);

/// The verdict, on what the panorama was drawn, and whether the file is its largest rectangle.
fn verdict(name: &str) -> Result<(Verdict, Projection, bool), Failure> {
    let set = make(name);
    let stitched = stitch(&files(&set), &heap(), || 0)?;
    let projection = stitched.scheme()?.plan.projection();
    let cut_out = is_cut_out(&stitched)?;
    Ok((judge(&set, &stitched)?, projection, cut_out))
}

fn is_cut_out(stitched: &Stitched) -> Result<bool, Failure> {
    let limits = Limits {
        bytes: usize::MAX,
        pixels: 1 << 24,
    };
    let size = probe(&stitched.file, limits)?.size;
    let mut rgb = vec![0; size.pixels() * 3];
    let mut picture = RgbMut::packed(&mut rgb[..], size)?;
    decode(&stitched.file, limits, &mut picture)?;
    let panorama = stitched.panorama()?;
    let region = inscribed(&panorama).ok_or_else(Failure::parts)?;
    let part = panorama.part(region.x as usize, region.y as usize, region.size()?);
    let part = part.ok_or_else(Failure::parts)?;
    let rows = part.rows().zip(rgb.chunks_exact(size.width() * 3));
    let mut same = rows.map(|(from, to)| {
        let pairs = from.as_chunks::<4>().0.iter().zip(to.as_chunks::<3>().0);
        pairs
            .into_iter()
            .all(|([r, g, b, _], rgb)| [*r, *g, *b] == *rgb)
    });
    Ok(part.size() == size && same.all(|same| same))
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
    let least = (ASKED.0.min(REACHED.0), ASKED.1.max(REACHED.1));
    let (mut bad, mut curved) = (Vec::new(), Vec::new());
    for (name, verdict) in verdicts {
        println!("{name}: {verdict:?}");
        if let Ok((_, Projection::Cylindrical, _)) = verdict {
            curved.push(*name);
        }
        match verdict {
            Ok((v, _, true))
                if v.corner_error <= least.0 && v.psnr >= least.1 && v.covered >= 0.99 => {}
            _ => bad.push((name, verdict)),
        }
    }
    assert!(bad.is_empty(), "{bad:#?}");
    // The only one that is wider than a plane can well show.
    assert_eq!(curved, ["wall-wide-6"]);
}
