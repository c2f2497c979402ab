//! Makes a panorama on the host: the file to write, then the photographs (PNG or JPEG) in any order.

use cistern_stages::Heap;
use cistern_stitch::stitch;
use std::process::ExitCode;
use std::time::Instant;

fn run() -> Result<(), String> {
    let mut paths = std::env::args().skip(1);
    let target = paths
        .next()
        .ok_or("name the file to write, then photographs")?;
    let read = |path: String| std::fs::read(&path).map_err(|e| format!("{path}: {e}"));
    let files: Result<Vec<Vec<u8>>, String> = paths.map(read).collect();
    let begin = Instant::now();
    let clock = || begin.elapsed().as_micros() as u64;
    let stitched = stitch(&files?, &Heap::new(1 << 30), clock).map_err(|failure| failure.why)?;
    println!("{}", stitched.spent.timing(1000));
    std::fs::write(&target, &*stitched.file).map_err(|e| format!("{target}: {e}"))
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}
