//! The image pipeline from outside: photographs by HTTP and in a browser, panoramas back.

use super::web::{Served, expect, serve};
use super::{Outcomes, load};
use crate::browser::{self, Browser};
use crate::http::{Answer, Connection, ask, get};
use crate::install;
use crate::progress::Step;
use crate::project::Project;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Emulated, beside other work, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);
const SET: &str = "canyon-2";
const MEMORY_MIB: u32 = 256;

const MADE: &str = "two photographs become one picture";
const REFUSED: &str = "what is no set of photographs gets one sentence";
const WATCHED: &str = "pages are served while a panorama is made";
const LEFT: &str = "who leaves costs nothing";
const BROWSER: &str = "the page in a browser";

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    let name = |what: &str| format!("panorama: {what}");
    let all = [MADE, REFUSED, WATCHED, LEFT, BROWSER];
    if !all.iter().any(|what| outcomes.wants(&name(what))) {
        return;
    }
    let step = Step::start("booting the darkroom");
    let begun = photographs(project)
        .and_then(|photos| Ok((photos, serve(project, "panorama", MEMORY_MIB)?)));
    drop(step);
    let (photos, mut served) = match begun {
        Ok(begun) => begun,
        Err(why) => return outcomes.count("panorama: boots", Err(why)),
    };
    outcomes.count("panorama: boots", Ok(()));
    let mut run = |what: &str, test: fn(&mut Served, &Photos) -> Result<(), String>| {
        outcomes.run(&name(what), || {
            test(&mut served, &photos).map_err(|why| served.explain(&why))
        });
    };
    run(MADE, is_made);
    run(REFUSED, is_refused);
    run(WATCHED, others_are_served);
    run(LEFT, leaving_costs_nothing);
    if outcomes.wants(&name(BROWSER)) {
        let folder = project.target().join("run");
        match install::browser() {
            Ok(()) => outcomes.run(&name(BROWSER), || {
                let walked = walk(served.port, &photos, &folder);
                walked.map_err(|why| served.explain(&why))
            }),
            Err(why) => outcomes.skip(&name(BROWSER), &why),
        }
    }
}

/// Files of a set, the same every time.
struct Photos {
    paths: Vec<PathBuf>,
    files: Vec<Vec<u8>>,
}

fn photographs(project: &Project) -> Result<Photos, String> {
    let folder = project.target().join("photographs").join(SET);
    let mut cargo = project.cargo();
    cargo.args(["run", "--quiet", "-p", "cistern-stages", "--example"]);
    cargo.args(["photographs", "--", SET]).arg(&folder);
    let status = cargo.status().map_err(|e| format!("cargo: {e}"))?;
    if !status.success() {
        return Err("the photographs cannot be made".into());
    }
    let paths: Vec<_> = (0..2).map(|n| folder.join(format!("{n}.png"))).collect();
    let read = |path: &PathBuf| fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    let files = paths.iter().map(read).collect::<Result<_, _>>()?;
    Ok(Photos { paths, files })
}

/// A request that uploads files.
fn upload(files: &[&[u8]]) -> Vec<u8> {
    let mut body = Vec::new();
    for (n, file) in files.iter().enumerate() {
        let head = format!(
            "--b0undary\r\nContent-Disposition: form-data; name=\"photo\"; filename=\"{n}.png\"\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(file);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--b0undary--\r\n");
    let head = format!(
        "POST /stitch HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\
         Content-Type: multipart/form-data; boundary=b0undary\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body].concat()
}

fn stitch(port: u16, files: &[&[u8]]) -> Result<Answer, String> {
    let mut connection = Connection::open_within(port, PATIENCE)?;
    connection.send(&upload(files))?;
    connection.receive(false)
}

/// Width and height of a PNG file that has its beginning and its end.
fn size(file: &[u8]) -> Option<(u32, u32)> {
    let side = |at: usize| Some(u32::from_be_bytes(*file.get(at..)?.first_chunk()?));
    let whole = file.starts_with(b"\x89PNG\r\n\x1a\n") && file.ends_with(b"IEND\xaeB`\x82");
    whole.then_some((side(16)?, side(20)?))
}

fn is_made(served: &mut Served, photos: &Photos) -> Result<(), String> {
    let files: Vec<_> = photos.files.iter().map(|f| &f[..]).collect();
    let first = stitch(served.port, &files)?;
    expect(&first, 200)?;
    let timing = first.field("Server-Timing").ok_or("no Server-Timing")?;
    let stages = [
        "decode", "features", "pairs", "estimate", "warp", "exposure", "seams", "blend", "encode",
    ];
    if !stages
        .iter()
        .all(|stage| timing.contains(&format!("{stage};dur=")))
    {
        return Err(format!("Server-Timing is {timing}"));
    }
    let one = photos.files.first().and_then(|f| size(f));
    let (one, all) = one.zip(size(&first.body)).ok_or("no PNG came back")?;
    if all.0 <= one.0 * 5 / 4 {
        return Err(format!("{one:?} became {all:?}"));
    }
    // The order of the photographs is found, so the other order makes as large a picture; and the
    // same again makes the same bytes.
    let again = stitch(served.port, &files)?;
    if again.body != first.body {
        return Err("the same photographs made another picture".into());
    }
    Ok(())
}

fn is_refused(served: &mut Served, photos: &Photos) -> Result<(), String> {
    let [first, second] = &photos.files[..] else {
        return Err("a set of two is needed".into());
    };
    let mut wide = first.clone();
    wide[16..24].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x20, 0]);
    let grey = fs::read(grey_file(&photos.paths)?).map_err(|e| e.to_string())?;
    let many: Vec<&[u8]> = vec![&first[..100]; 13];
    let cases: [(&[&[u8]], u16, &str); 8] = [
        (&[first], 422, "two photographs or more"),
        (&[], 422, "two photographs or more"),
        (&many, 413, "more than 12"),
        (
            &[first, &second[..second.len() / 2]],
            422,
            "photograph 2: the PNG file is damaged",
        ),
        (
            &[b"\xff\xd8\xff\xe0 no more", first],
            422,
            "photograph 1: the JPEG file is damaged",
        ),
        (
            &[first, b"GIF89a"],
            415,
            "photograph 2: the file is neither",
        ),
        (&[first, &wide], 413, "photograph 2: "),
        (&[first, &grey], 422, "not overlap"),
    ];
    for (files, status, words) in cases {
        let answer = stitch(served.port, files)?;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        let sentence = said.ends_with('\n') && said.lines().count() == 1;
        if answer.status != status || !said.contains(words) || !sentence {
            return Err(format!(
                "expected {status} `{words}`, got {} `{said}`",
                answer.status
            ));
        }
    }
    let long = "POST /stitch HTTP/1.1\r\nHost: t\r\nContent-Type: multipart/form-data; boundary=b\r\n\
                Content-Length: 60000000\r\n\r\n";
    expect(&ask(served.port, long.as_bytes())?, 413)?;
    expect(
        &ask(served.port, b"POST /stitch HTTP/1.1\r\nHost: t\r\n\r\n")?,
        411,
    )
}

/// A photograph of something else: the repository's own of a rocket.
fn grey_file(paths: &[PathBuf]) -> Result<PathBuf, String> {
    let root = paths[0].ancestors().nth(4).ok_or("no project")?;
    Ok(root.join("components/panorama/testset/photos/rocket.jpg"))
}

fn others_are_served(served: &mut Served, photos: &Photos) -> Result<(), String> {
    let port = served.port;
    let files: Vec<_> = photos.files.iter().map(|f| &f[..]).collect();
    let mut connection = Connection::open_within(port, PATIENCE)?;
    connection.send(&upload(&files))?;
    let mut answered = 0;
    let deadline = Instant::now() + PATIENCE;
    while !connection.has_come()? && Instant::now() < deadline {
        expect(&get(port, "/f1024.txt")?, 200)?;
        answered += 1;
    }
    expect(&connection.receive(false)?, 200)?;
    // Were it not for priorities, each would have waited for a stage.
    if answered < 50 {
        return Err(format!("{answered} pages were served meanwhile"));
    }
    Ok(())
}

fn leaving_costs_nothing(served: &mut Served, photos: &Photos) -> Result<(), String> {
    let port = served.port;
    let files: Vec<_> = photos.files.iter().map(|f| &f[..]).collect();
    let whole = upload(&files);
    let before = load::live(port)?;
    for part in [whole.len() / 3, whole.len() - 10, whole.len()] {
        let mut connection = Connection::open(port)?;
        connection.send(&whole[..part])?;
        std::thread::sleep(Duration::from_millis(500));
    }
    // The next one is answered, and has not to wait for those.
    expect(&stitch(port, &files)?, 200)?;
    let mut after = load::live(port)?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while after > before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(500));
        after = load::live(port)?;
    }
    if after > before {
        return Err(format!("{before} pages were in use, now {after} are"));
    }
    Ok(())
}

fn walk(port: u16, photos: &Photos, folder: &Path) -> Result<(), String> {
    let program = browser::program().ok_or("there is no Chromium")?;
    let mut page = Browser::start(program, folder)?;
    page.looks(1280, false)?;
    page.open(&format!("http://127.0.0.1:{port}/stitch"))?;
    let said = "document.querySelector('#said').textContent";
    let chosen = "document.querySelectorAll('#chosen img').length";
    page.choose("#files", &photos.paths[..1])?;
    page.until(&format!("{chosen} === 1"), PATIENCE, chosen)?;
    page.until("document.querySelector('#go').disabled", PATIENCE, said)?;
    page.choose("#files", &photos.paths[1..])?;
    page.until(&format!("{chosen} === 2"), PATIENCE, chosen)?;
    page.click("#go")?;
    let busy = "!document.querySelector('#progress').hidden";
    page.until(busy, PATIENCE, said)?;
    let done = "!document.querySelector('#result').hidden";
    page.until(done, PATIENCE, said)?;
    let wide = "document.querySelector('#picture').naturalWidth";
    page.until(&format!("{wide} > 850"), PATIENCE, wide)?;
    let stages = "document.querySelectorAll('#stages li').length";
    page.until(&format!("{stages} === 9"), PATIENCE, stages)?;
    for (width, dark) in [(375, true), (375, false), (1280, true)] {
        page.looks(width, dark)?;
        let overflow = "document.documentElement.scrollWidth";
        page.until(&format!("{overflow} <= {width}"), PATIENCE, overflow)?;
    }
    // One of them alone is refused before it is sent.
    page.click("#chosen button")?;
    page.until("document.querySelector('#go').disabled", PATIENCE, said)?;
    if page.errors.is_empty() {
        return Ok(());
    }
    Err(format!("the page complained: {}", page.errors.join("; ")))
}
