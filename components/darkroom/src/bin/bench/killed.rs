//! Each stage killed in the midst of its work: the one who invoked it is told, the next panorama is
//! made, and every page is where it was.

use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use cistern_stages::{Failure, Part, Runner, Stage, conduct};
use rt::abi::layout::PAGE;
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Buffer, Cbuf};
use rt::sync::{Mutex, Notify};
use stage::Remote;
use stubs::supervisor_control::Client as Killer;

use crate::Parts;

/// A stage that was killed before it began, or after it was done, is tried again.
const TRIES: usize = 50;
/// What died is back within so many looks, a millisecond apart.
const LOOKS: usize = 2000;
/// What a stage had sent when it died, and nobody was told of, counts as lost after five seconds; a
/// second lies between two panoramas.
const ROUNDS: usize = 12;
const LARGE: usize = 1 << 20;

/// Who is to be killed, and when.
static SENTENCE: Mutex<Option<(ComponentId, u64)>> = Mutex::new(None);
static PASSED: Notify = Notify::new();
/// When somebody was killed, for whoever waits for that.
static DEATH: Mutex<Option<u64>> = Mutex::new(None);
static EXECUTED: Notify = Notify::new();

pub enum Wrong {
    During(&'static str, Error),
    /// No panorama where there should be one.
    Failed(Failure),
    /// The stage died, and this was said of it.
    Told(Stage, Failure),
    Lived(Stage),
    OtherPicture,
    /// Pages in use, and with nobody, before and after.
    Leaks([u64; 2], [u64; 2]),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::During(what, error) => write!(f, "{what}: {error}"),
            Self::Failed(why) => write!(f, "{why}"),
            Self::Told(stage, why) => write!(f, "{} was killed, and told was {why}", stage.name()),
            Self::Lived(stage) => write!(f, "{} was killed, and worked on", stage.name()),
            Self::OtherPicture => write!(f, "the next panorama is another one"),
            Self::Leaks(before, after) => write!(f, "pages {before:?} became {after:?}"),
        }
    }
}

/// The thread that kills. More urgent than whoever works, so it comes in time.
pub fn execute() -> ! {
    loop {
        let passed = || SENTENCE.lock().take();
        let Some((component, at)) = PASSED.wait_until(u64::MAX, passed) else {
            continue;
        };
        while rt::time::now() < at && rt::sched::block(at).is_ok() {}
        if let Err(error) = Killer::bind().and_then(|k| k.kill(u32::from(component.0))) {
            rt::println!("component {} cannot be killed: {error}", component.0);
        }
        *DEATH.lock() = Some(rt::time::now());
        EXECUTED.notify();
    }
}

/// Has a component killed at a time.
fn sentence(component: ComponentId, at: u64) {
    *SENTENCE.lock() = Some((component, at));
    PASSED.notify();
}

/// Runs stages, and has one killed at work.
struct Doomed<'r> {
    remote: &'r Remote,
    doomed: Option<Stage>,
}

impl Runner for Doomed<'_> {
    type Bytes = Cbuf<'static>;

    fn run(&mut self, stage: Stage, parts: &[Part<Cbuf<'static>>]) -> Result<Parts, Failure> {
        let begun = rt::time::now();
        let made = self.remote.run(stage, parts);
        if self.doomed.take_if(|doomed| *doomed == stage).is_none() {
            return made;
        }
        // How long it takes is known now; in between lies a moment when it works.
        let (mut early, mut late) = (0u64, rt::time::now() - begun);
        for _ in 0..TRIES {
            let after = early.midpoint(late);
            let begun = rt::time::now();
            sentence(self.remote.component(stage), begun + after);
            let made = self.remote.run(stage, parts);
            let returned = rt::time::now();
            let death = EXECUTED.wait_until(u64::MAX, || DEATH.lock().take());
            is_back(self.remote, stage)?;
            made?;
            if death.is_some_and(|death| death < returned) {
                early = after;
            } else {
                late = after;
            }
            if late - early < 2 {
                (early, late) = (0, returned - begun);
            }
        }
        Err(Failure::new(500, "it could not be killed at work"))
    }
    fn now(&mut self) -> u64 {
        rt::time::now()
    }
}

/// Pages in use by somebody, and pages that nobody was given.
fn pages() -> Result<[u64; 2], Wrong> {
    let wrong = |error| Wrong::During("counting pages", error);
    let manager = stubs::cbuf::Client::bind().map_err(wrong)?;
    let supervisor = stubs::supervisor::Client::bind().map_err(wrong)?;
    let (_, _, live, _) = manager.memory().map_err(wrong)?;
    Ok([live, supervisor.free_pages().map_err(wrong)?])
}

/// Takes all that this component's pool may have, so that what is garbage in it is found.
fn collect() {
    let mut all = Vec::new();
    for bytes in [LARGE, PAGE] {
        while let Ok(buffer) = Buffer::try_alloc(rt::cbuf::client(), bytes) {
            all.push(buffer);
        }
    }
}

fn is_back(remote: &Remote, stage: Stage) -> Result<(), Failure> {
    for _ in 0..LOOKS {
        if remote.is_there(stage) {
            return Ok(());
        }
        let soon = rt::time::after(Duration::from_millis(1));
        rt::sched::block(soon).map_err(|error| Failure::new(500, error))?;
    }
    Err(Failure::new(500, "it does not come back"))
}

/// Every stage, one after the other.
pub fn all(remote: &Remote, files: &[Cbuf<'static>]) -> Result<(), Wrong> {
    let mut runner = Doomed {
        remote,
        doomed: None,
    };
    let panorama = conduct(files.to_vec(), &mut runner).panorama;
    let panorama = panorama.map_err(Wrong::Failed)?;
    let before = pages()?;
    for stage in Stage::ALL {
        runner.doomed = Some(stage);
        match conduct(files.to_vec(), &mut runner).panorama {
            Err(why) if why.status == 502 => {}
            Err(why) => return Err(Wrong::Told(stage, why)),
            Ok(_) => return Err(Wrong::Lived(stage)),
        }
    }
    let mut after = before;
    for _ in 0..ROUNDS {
        let next = conduct(files.to_vec(), &mut runner).panorama;
        if next.map_err(Wrong::Failed)?[..] != panorama[..] {
            return Err(Wrong::OtherPicture);
        }
        collect();
        after = pages()?;
        if after == before {
            return Ok(());
        }
        let soon = rt::time::after(Duration::from_secs(1));
        rt::sched::block(soon).map_err(|error| Wrong::During("waiting", error))?;
    }
    Err(Wrong::Leaks(before, after))
}
