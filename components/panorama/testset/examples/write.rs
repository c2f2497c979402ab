//! Writes sets as files for other programs: `NAME/I.ppm`, and `NAME/truth.json` with each view's size,
//! homography to the original and gains. Arguments: a folder, then names (none means all).

use cistern_panorama_testset::{make, names};
use std::fmt::Write as _;
use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("a folder is the first argument"));
    let mut chosen: Vec<String> = arguments.collect();
    if chosen.is_empty() {
        chosen = names().into_iter().map(String::from).collect();
    }
    for name in chosen {
        let set = make(&name);
        let place = folder.join(&name);
        std::fs::create_dir_all(&place)?;
        let ppm = |width: usize, height: usize, rgb: &[u8]| {
            let mut file = format!("P6\n{width} {height}\n255\n").into_bytes();
            file.extend_from_slice(rgb);
            file
        };
        let original = &set.original;
        let file = ppm(original.width, original.height, &original.rgb);
        std::fs::write(place.join("original.ppm"), file)?;
        let mut truth = String::from("[\n");
        for (i, view) in set.views.iter().enumerate() {
            let file = ppm(view.width, view.height, &view.rgb);
            std::fs::write(place.join(format!("{i}.ppm")), file)?;
            let _ = write!(
                truth,
                "{}{{\"width\": {}, \"height\": {}, \"to_original\": {:?}, \"gain\": {:?}}}",
                if i == 0 { "" } else { ",\n" },
                view.width,
                view.height,
                view.to_original,
                view.gain,
            );
        }
        std::fs::write(place.join("truth.json"), truth + "\n]\n")?;
    }
    Ok(())
}
