//! The pipeline with a component a stage beside the same pipeline in this component, in the same
//! machine on the same photographs: what isolation costs, and whether anything was copied for it. And
//! what becomes of a panorama when a stage is killed ([`killed`]).

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod killed;

use alloc::vec;
use alloc::vec::Vec;

use cistern_compose::decode::{Limits, decode, probe};
use cistern_compose::encode;
use cistern_image::{Memory, Raster, Size};
use cistern_stages::{Failure, Made, Part, Runner, Stage, conduct};
use rt::abi::Error;
use rt::abi::start::StartInfo;
use rt::cbuf::{Cbuf, CbufId};
use rt::suite::Suite;
use stage::{Pool, Remote};

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// The argument of the thread that kills.
const KILLER: u64 = 1;

/// Two overlapping views are cut out of this one.
const PHOTO: &[u8] = include_bytes!("../../../../panorama/testset/photos/canyon.jpg");
const VIEW: (u32, u32) = (640, 560);
/// Between the views' left edges.
const STEP: usize = 300;
/// The same for a test that makes many panoramas.
const SMALL: (u32, u32) = (400, 360);
const SMALL_STEP: usize = 160;

type Parts = Vec<Part<Cbuf<'static>>>;

fn start(_: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(argument: u64) -> ! {
    if argument == KILLER {
        killed::execute()
    }
    let mut suite = Suite::new();
    suite.tell("isolation", compare());
    suite.tell("a stage that is killed", kill());
    suite.finish()
}

fn kill() -> Result<(), killed::Wrong> {
    let files = photographs(SMALL, SMALL_STEP).map_err(killed::Wrong::Failed)?;
    let remote = Remote::bind().map_err(|e| killed::Wrong::During("finding the stages", e))?;
    killed::all(&remote, &files)
}

/// Runs stages by `run`, and counts what they hand on.
struct Counter<F> {
    run: F,
    handed: usize,
    /// Bytes that a stage was given in another buffer than the one they were made in.
    copied: usize,
    /// The buffers that parts were made in.
    made: Vec<CbufId>,
    answers: usize,
}

impl<F> Counter<F> {
    fn new(run: F, files: &[Cbuf<'static>]) -> Self {
        Self {
            run,
            handed: 0,
            copied: 0,
            made: files.iter().map(Cbuf::id).collect(),
            answers: 0,
        }
    }
}

impl<F: FnMut(Stage, &[Part<Cbuf<'static>>]) -> Result<Parts, Failure>> Runner for Counter<F> {
    type Bytes = Cbuf<'static>;

    fn run(&mut self, stage: Stage, parts: &[Part<Cbuf<'static>>]) -> Result<Parts, Failure> {
        for data in parts.iter().filter_map(|part| part.data.as_ref()) {
            self.handed += data.len();
            if !self.made.contains(&data.id()) {
                self.copied += data.len();
            }
        }
        let made = (self.run)(stage, parts)?;
        let buffers = made.iter().filter_map(|part| part.data.as_ref());
        self.made.extend(buffers.map(Cbuf::id));
        self.answers += 1;
        Ok(made)
    }
    fn now(&mut self) -> u64 {
        rt::time::now()
    }
}

/// The files of two views.
fn photographs(view: (u32, u32), step: usize) -> Result<Vec<Cbuf<'static>>, Failure> {
    let limits = Limits {
        bytes: PHOTO.len(),
        pixels: 1 << 22,
    };
    let size = probe(PHOTO, limits)?.size;
    let mut pixels = vec![0; size.pixels() * 3];
    decode(PHOTO, limits, &mut Raster::packed(&mut pixels[..], size)?)?;
    let all = Raster::<_, 3>::packed(&pixels[..], size)?;
    let view = Size::new(view.0, view.1)?;
    let file = |n: usize| {
        let part = all
            .part(n * step, 10 * n, view)
            .ok_or_else(Failure::parts)?;
        let mut room = Pool.room(encode::bound(view.width(), view.height(), 3))?;
        let length = encode::png(&part, &mut room)?;
        Ok(Pool.finish(room, length))
    };
    (0..2).map(file).collect()
}

fn compare() -> Result<(), Failure> {
    let files = photographs(VIEW, STEP)?;
    let remote = Remote::bind().map_err(|error| Failure::new(500, error))?;
    let mut isolated = Counter::new(|stage, parts: &[Part<_>]| remote.run(stage, parts), &files);
    let first = conduct(files.clone(), &mut isolated);
    let (handed, copied, ran) = (isolated.handed, isolated.copied, isolated.answers);
    let mut alone = Counter::new(
        |stage: Stage, parts: &[Part<_>]| stage.run(&Pool, parts),
        &files,
    );
    let second = conduct(files.clone(), &mut alone);
    // Once more each: memory is there, and code has been fetched, for both alike.
    let isolated = conduct(files.clone(), &mut isolated);
    let alone = conduct(files, &mut alone);
    let picture = |made: Made<Cbuf<'static>>| made.panorama;
    let spent = [isolated.spent, alone.spent].map(|spent| spent.0.iter().sum::<u64>());
    for ((stage, with), without) in Stage::ALL.iter().zip(isolated.spent.0).zip(alone.spent.0) {
        rt::println!("BENCH {}-isolated {with}", stage.name());
        rt::println!("BENCH {}-alone {without}", stage.name());
    }
    rt::println!("BENCH isolated {}", spent[0]);
    rt::println!("BENCH alone {}", spent[1]);
    rt::println!("BENCH invocations {ran}");
    rt::println!("BENCH handed {handed}");
    rt::println!("BENCH copied {copied}");
    let pictures = [first, second, isolated, alone].map(picture);
    let [Ok(first), Ok(second), Ok(third), Ok(fourth)] = pictures else {
        let why = pictures.into_iter().find_map(Result::err);
        return Err(why.unwrap_or_else(Failure::parts));
    };
    if first[..] == second[..] && second[..] == third[..] && third[..] == fourth[..] {
        Ok(())
    } else {
        Err(Failure::new(500, "the pictures differ"))
    }
}
