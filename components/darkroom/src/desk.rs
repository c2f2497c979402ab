//! Where uploads are taken and answers given out, and the thread that works behind it.

use alloc::string::String;
use alloc::vec::Vec;

use cistern_stages::{Failure, Made, Part, Runner, Stage, conduct};
use rt::abi::{ComponentId, Error};
use rt::cbuf::{Batch, Cbuf, Incoming};
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
            self.jobs.lock().done(key, answer(made));
        }
    }
}

fn answer(made: Made<Cbuf<'static>>) -> Answer<Cbuf<'static>> {
    let timing = made.spent.timing(rt::time::hz() / 1000);
    match made.panorama {
        Ok(file) => Answer {
            status: 200,
            timing,
            body: Body::Png(alloc::vec![file]),
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
        let mut answers = Vec::new();
        // What names a buffer that is not the caller's to pass is not taken.
        for piece in pieces.take(PIECES_MAX).flatten() {
            let number = piece.job;
            let (key, data) = (Key { client, number }, piece.data.as_deref());
            let data = data.unwrap_or_default();
            let mut jobs = self.jobs.lock();
            match piece.kind {
                1 => {
                    if let Err(refusal) = jobs.begin(key, data, piece.argument) {
                        answers.push((number, refusal.into()));
                    }
                }
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
        while let Some(answer) = jobs.answer(client) {
            answers.push(answer);
        }
        drop(jobs);
        told(answers, caller)
    }
}

/// Answers as stretches. The caller is told of each once.
fn told(
    answers: Vec<(u32, Answer<Cbuf<'static>>)>,
    to: ComponentId,
) -> Result<Batch<'static, Stretch>, Error> {
    let stretches = |body: &Body<_>| match body {
        Body::Text(_) => 1,
        Body::Png(parts) => parts.len(),
    };
    let count = answers.iter().map(|(_, a)| stretches(&a.body)).sum();
    if count == 0 {
        return Ok(Batch::none());
    }
    let mut batch = Batch::with_capacity(rt::cbuf::client(), to, count)?;
    for (job, answer) in answers {
        let media = match answer.body {
            Body::Text(_) => TEXT,
            Body::Png(_) => PNG,
        };
        let parts = match answer.body {
            Body::Text(why) => alloc::vec![text(&(String::from(why) + "\n"))],
            Body::Png(parts) => parts.into_iter().map(Some).collect(),
        };
        let mut timing = text(&answer.timing);
        let last = parts.len() - 1;
        for (n, body) in parts.into_iter().enumerate() {
            batch.push(Stretch {
                job,
                status: answer.status.into(),
                media,
                more: (last - n) as u32,
                timing: timing.take(),
                body,
            })?;
        }
    }
    Ok(batch)
}
