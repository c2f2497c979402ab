//! Where uploads are taken and answers given out, and the thread that works behind it.

use alloc::string::String;
use alloc::vec::Vec;

use cistern_stages::{Failure, Made, Part, Runner, Stage, conduct};
use rt::abi::layout::PAGE;
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Buffer, Cbuf, Incoming};
use rt::sync::{Mutex, Notify};
use stage::{Now, text};
use stubs::stitch::{self, Piece, Stretch};

use crate::{Answer, Body, Jobs, Key, Limits};

/// Media numbers of the interface `content`.
const TEXT: u32 = 2;
const PNG: u32 = 6;

/// Most pieces taken in one invocation.
const PIECES_MAX: usize = 1024;

type Parts = Vec<Part<Cbuf<'static>>>;

/// Shared by threads that come in and the thread that works, which is less urgent: under the lock
/// that one looks or moves a few words, and whoever waits for it lends it priority.
pub struct Desk {
    jobs: Mutex<Jobs<Now>>,
    complete: Notify,
}

/// Runs stages for one job.
struct Work<'d, F> {
    desk: &'d Desk,
    key: Key,
    run: F,
}

impl<F: FnMut(Stage, &[Part<Cbuf<'static>>]) -> Result<Parts, Failure>> Runner for Work<'_, F> {
    type Bytes = Cbuf<'static>;

    fn run(
        &mut self,
        stage: Stage,
        parts: &[Part<Cbuf<'static>>],
    ) -> Result<Vec<Part<Cbuf<'static>>>, Failure> {
        (self.run)(stage, parts)
    }
    fn now(&mut self) -> u64 {
        rt::time::now()
    }
    fn is_wanted(&mut self) -> bool {
        self.desk.jobs.lock().is_wanted(self.key)
    }
}

impl Desk {
    #[expect(clippy::new_without_default, reason = "made in statics alone")]
    pub const fn new() -> Self {
        Self {
            jobs: Mutex::new(Jobs::new(Limits::STANDARD)),
            complete: Notify::new(),
        }
    }

    /// Works on one job after the other with `run`, for ever. Waits without cost for the next one.
    pub fn work(
        &self,
        mut run: impl FnMut(Stage, &[Part<Cbuf<'static>>]) -> Result<Parts, Failure>,
    ) -> ! {
        loop {
            let next = || self.jobs.lock().next_to_do();
            let Some((key, files)) = self.complete.wait_until(u64::MAX, next) else {
                continue;
            };
            let mut work = Work {
                desk: self,
                key,
                run: &mut run,
            };
            let made = conduct(files, &mut work);
            let answer = answer(made);
            let unwanted = self.jobs.lock().done(key, answer);
            // Given back when nobody waits for the lock.
            drop(unwanted);
        }
    }
}

fn answer(made: Made<Cbuf<'static>>) -> Answer<Cbuf<'static>> {
    let timing = made.spent.timing(rt::time::hz() / 1000);
    match made.panorama {
        Ok(file) => Answer {
            status: 200,
            timing,
            body: Body::Png(file),
        },
        Err(failure) => Answer {
            status: failure.status,
            timing,
            body: Body::Text(failure.why.into()),
        },
    }
}

impl stitch::Server for Desk {
    fn exchange(
        &self,
        caller: ComponentId,
        pieces: Incoming<'static, Piece>,
    ) -> Result<Batch<'static, Stretch>, Error> {
        let client = u32::from(caller.0);
        // What names a buffer that is not the caller's to pass is not taken.
        for piece in pieces.take(PIECES_MAX).flatten() {
            let number = piece.job;
            let (key, data) = (Key { client, number }, piece.data.as_deref());
            let data = data.unwrap_or_default();
            let mut jobs = self.jobs.lock();
            if piece.kind != 5 && !jobs.knows(client) {
                return Err(Error::NotFound);
            }
            match piece.kind {
                1 if !jobs.begin(key, data, piece.argument) => return Err(Error::NoMemory),
                1 => {}
                2 => jobs.take(key, &Now, data),
                3 => {
                    jobs.end(key);
                    drop(jobs);
                    self.complete.notify();
                }
                4 => jobs.forget(key),
                5 => jobs.forget_all(client),
                _ => return Err(Error::BadArgument),
            }
        }
        let mut jobs = self.jobs.lock();
        if !jobs.knows(client) {
            return Err(Error::NotFound);
        }
        if !jobs.has_answer(client) {
            return Ok(Batch::none());
        }
        // Without a page it is told another time.
        let Ok(page) = Buffer::try_alloc(rt::cbuf::client(), PAGE) else {
            return Ok(Batch::none());
        };
        let mut batch = Batch::in_buffer(page, caller);
        while batch.len() < batch.capacity()
            && let Some((job, answer)) = jobs.answer(client)
        {
            batch.push(stretch(job, answer))?;
        }
        Ok(batch)
    }
}

/// An answer as its only stretch.
fn stretch(job: u32, answer: Answer<Cbuf<'static>>) -> Stretch {
    let (media, body) = match answer.body {
        Body::Text(why) => (TEXT, text(&(String::from(why) + "\n"))),
        Body::Png(file) => (PNG, Some(file)),
    };
    Stretch {
        job,
        status: answer.status.into(),
        media,
        more: 0,
        timing: text(&answer.timing),
        body,
    }
}
