//! The image pipeline from outside: photographs by HTTP and in a browser, panoramas back.

use super::web::{Served, expect, serve, serve_with};
use super::{Outcomes, load};
use crate::browser::{self, Browser};
use crate::http::{Answer, Connection, ask, get};
use crate::install;
use crate::photographs::{self, Photos, size, upload};
use crate::progress::Step;
use crate::project::Project;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Emulated, beside other work, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);
const SET: &str = "canyon-2";
const MEMORY_MIB: u32 = 256;

const MADE: &str = "two photographs become one picture";
const REFUSED: &str = "what is no set of photographs gets one sentence";
const WATCHED: &str = "pages are served while a panorama is made";
const LEFT: &str = "who leaves costs nothing";
const CAMERA: &str = "what cameras and curl send";
const BROWSER: &str = "the page in a browser";
const SHORT: &str = "too little memory is said, not waited for";

pub fn run(project: &Project, outcomes: &mut Outcomes) {
    let name = |what: &str| format!("panorama: {what}");
    let all = [MADE, REFUSED, CAMERA, WATCHED, LEFT, BROWSER, SHORT];
    if !all.iter().any(|what| outcomes.wants(&name(what))) {
        return;
    }
    let step = Step::start("booting the darkroom");
    let begun = Photographs::of(project)
        .and_then(|photos| Ok((photos, serve(project, "panorama", MEMORY_MIB)?)));
    drop(step);
    let (photos, mut served) = match begun {
        Ok(begun) => begun,
        Err(why) => return outcomes.count("panorama: boots", Err(why)),
    };
    outcomes.count("panorama: boots", Ok(()));
    let mut run = |what: &str, test: fn(&mut Served, &Photographs) -> Result<(), String>| {
        outcomes.run(&name(what), || {
            test(&mut served, &photos).map_err(|why| served.explain(&why))
        });
    };
    run(MADE, is_made);
    run(REFUSED, is_refused);
    run(CAMERA, cameras_and_curl);
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
    drop(served);
    outcomes.run(&name(SHORT), || little_memory(project, &photos));
}

/// What is uploaded: two views with known truth, pairs of JPEG files, one that is large when decoded.
struct Photographs {
    views: Photos,
    jpegs: Photos,
    small: Photos,
    deep: Vec<u8>,
}

impl Photographs {
    fn of(project: &Project) -> Result<Self, String> {
        Ok(Self {
            views: photographs::views(project, SET, 2)?,
            jpegs: photographs::jpegs(project)?,
            small: photographs::small(project)?,
            deep: photographs::deep(project)?,
        })
    }
}

fn stitch(port: u16, files: &[&[u8]]) -> Result<Answer, String> {
    let mut connection = Connection::open_within(port, PATIENCE)?;
    connection.send(&upload(files))?;
    connection.receive(false)
}

fn is_made(served: &mut Served, photos: &Photographs) -> Result<(), String> {
    let files: Vec<_> = photos.views.files.iter().map(|f| &f[..]).collect();
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
    let one = photos.views.files.first().and_then(|f| size(f));
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

fn is_refused(served: &mut Served, photos: &Photographs) -> Result<(), String> {
    let [first, second] = &photos.views.files[..] else {
        return Err("a set of two is needed".into());
    };
    let mut wide = first.clone();
    wide[16..24].copy_from_slice(&[0, 0, 0x20, 0, 0, 0, 0x20, 0]);
    let grey = fs::read(grey_file(&photos.views.paths)?).map_err(|e| e.to_string())?;
    let many: Vec<&[u8]> = vec![&first[..100]; 13];
    let cases: [(&[&[u8]], u16, &str); 9] = [
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
        (
            &[&photos.deep, first],
            507,
            "photograph 1: there is no memory",
        ),
        (&[first, &grey], 422, "not overlap"),
    ];
    for (files, status, words) in cases {
        let answer = stitch(served.port, files)?;
        expect(&answer, status).map_err(|why| format!("{why} for `{words}`"))?;
        is_a_sentence(&answer, words)?;
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

/// JPEG files, one of them on its side as its camera notes, by a browser's kind of form and by curl's.
fn cameras_and_curl(served: &mut Served, photos: &Photographs) -> Result<(), String> {
    let files: Vec<_> = photos.jpegs.files.iter().map(|f| &f[..]).collect();
    let answer = stitch(served.port, &files)?;
    expect(&answer, 200)?;
    // The two were cut out of a photograph 1000 pixels wide and 650 high.
    let (width, height) = size(&answer.body).ok_or("no PNG came back")?;
    if !(940..=1010).contains(&width) || !(580..=660).contains(&height) {
        return Err(format!("the panorama has {width} times {height} pixels"));
    }
    if !install::on_path("curl") {
        return Ok(());
    }
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--fail", "--max-time", "120"]);
    for path in &photos.jpegs.paths {
        curl.arg("-F").arg(format!("photo=@{}", path.display()));
    }
    curl.arg(format!("http://127.0.0.1:{}/stitch", served.port));
    let output = curl.output().map_err(|e| format!("curl: {e}"))?;
    if !output.status.success() || output.stdout != answer.body {
        let bytes = output.stdout.len();
        return Err(format!("curl: {}, {bytes} bytes came", output.status));
    }
    Ok(())
}

/// A stage with fewer pages than two photographs need; the next request, for less, is served.
fn little_memory(project: &Project, photos: &Photographs) -> Result<(), String> {
    let sizes = "darkroom=8192,decode=4096,features=256,pairs=256,seams=256,blend=4096,encode=4096";
    // Both photographs would fit, but not with the page that the second one is handed on with.
    let append = format!("cbuf-policy.policy=static cbuf-policy.sizes={sizes},warp=1024");
    let mut served = serve_with(project, "panorama", MEMORY_MIB, &append)?;
    let check = || {
        let views: Vec<_> = photos.views.files.iter().map(|f| &f[..]).collect();
        let begun = Instant::now();
        let answer = stitch(served.port, &views)?;
        expect(&answer, 507)?;
        is_a_sentence(&answer, "no memory")?;
        if begun.elapsed() > PATIENCE / 2 {
            return Err(format!("it took {:?}", begun.elapsed()));
        }
        let small: Vec<_> = photos.small.files.iter().map(|f| &f[..]).collect();
        expect(&stitch(served.port, &small)?, 200)
    };
    check().map_err(|why| served.explain(&why))
}

/// An error unless the answer is one sentence with these words.
fn is_a_sentence(answer: &Answer, words: &str) -> Result<(), String> {
    let said = String::from_utf8_lossy(&answer.body);
    if said.ends_with('\n') && said.lines().count() == 1 && said.contains(words) {
        return Ok(());
    }
    Err(format!("`{words}` was expected, and said was `{said}`"))
}

fn others_are_served(served: &mut Served, photos: &Photographs) -> Result<(), String> {
    let port = served.port;
    let files: Vec<_> = photos.views.files.iter().map(|f| &f[..]).collect();
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

fn leaving_costs_nothing(served: &mut Served, photos: &Photographs) -> Result<(), String> {
    let port = served.port;
    let files: Vec<_> = photos.views.files.iter().map(|f| &f[..]).collect();
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

fn walk(port: u16, photos: &Photographs, folder: &Path) -> Result<(), String> {
    let program = browser::program().ok_or("there is no Chromium")?;
    let mut page = Browser::start(program, folder)?;
    page.looks(1280, false)?;
    page.open(&format!("http://127.0.0.1:{port}/stitch"))?;
    let said = "document.querySelector('#said').textContent";
    let chosen = "document.querySelectorAll('#chosen img').length";
    page.choose("#files", &photos.views.paths[..1])?;
    page.until(&format!("{chosen} === 1"), PATIENCE, chosen)?;
    page.until("document.querySelector('#go').disabled", PATIENCE, said)?;
    page.choose("#files", &photos.views.paths[1..])?;
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
