//! The observer: asks everybody for their figures, at most four times a second however many look,
//! and tells them as text; and hands a choice of policy on. It has no thread, and alone holds the
//! rights to see all that; who may ask it is told nothing but these texts.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

mod collect;

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use cbuf_policy::plan::TARGETS;
use cbuf_policy::settings::Problem;
use observe::choice::{BYTES_MAX, Choice, Refusal};
use observe::figures::Figures;
use observe::served::{MOST, Served};
use observe::{json, prometheus};
use rt::abi;
use rt::cbuf::{Buffer, Cbuf, Incoming};
use rt::sync::Mutex;
use stubs::observe::{Figure, INTERFACE, Server, serve};

use crate::collect::Collector;

rt::component! {
    start: start,
    serve: { INTERFACE => answer }
}

/// For so long a look at the machine is new enough.
const FRESH: Duration = Duration::from_millis(250);

/// Numbers of media types, as the interface `content` lists them.
const PROMETHEUS: u32 = 8;
const JSON: u32 = 7;

type Write = fn(&Figures, &Served) -> String;

/// What can be asked for, by number from 1: its media number, and who writes it.
const REPORTS: [(u32, Write); 2] = [(PROMETHEUS, prometheus::write), (JSON, json::write)];

/// What was looked at and told last.
struct Desk {
    collector: Collector,
    looked: Option<u64>,
    figures: Figures,
    /// Of each report, when it was made and what it says.
    told: [Option<(u64, Cbuf<'static>)>; REPORTS.len()],
}

static DESK: Mutex<Option<Desk>> = Mutex::new(None);

fn start(_: &'static StartInfo) -> Result<(), Error> {
    let collector = Collector::new().inspect_err(|error| {
        rt::println!("cannot see the image: {error}");
    })?;
    *DESK.lock() = Some(Desk {
        collector,
        looked: None,
        figures: Figures::default(),
        told: [const { None }; REPORTS.len()],
    });
    Ok(())
}

fn answer(call: rt::Call) -> rt::Reply {
    serve(&Observer, call)
}

struct Observer;

fn is_fresh(since: u64) -> bool {
    rt::time::now() < since.saturating_add(rt::time::ticks(FRESH))
}

impl Desk {
    fn report(
        &mut self,
        what: u32,
        own: Incoming<'static, Figure>,
    ) -> Result<(u32, Cbuf<'static>), Error> {
        let at = (what as usize).wrapping_sub(1);
        let (media, write) = *REPORTS.get(at).ok_or(Error::BadArgument)?;
        if let Some(Some((since, body))) = self.told.get(at)
            && is_fresh(*since)
        {
            return Ok((media, body.clone()));
        }
        let mut served = Served::default();
        // A record too many is nobody's, like one with an unknown number.
        for figure in own.take(MOST).flatten() {
            served.take(figure.which, figure.value);
        }
        let now = rt::time::now();
        if !self.looked.is_some_and(is_fresh) {
            self.figures = self.collector.look();
            self.looked = Some(now);
        }
        let text = write(&self.figures, &served);
        let body = buffer(text.as_bytes())?;
        if let Some(place) = self.told.get_mut(at) {
            *place = Some((now, body.clone()));
        }
        Ok((media, body))
    }
}

/// The text in a buffer of its own.
fn buffer(text: &[u8]) -> Result<Cbuf<'static>, Error> {
    let mut buffer = Buffer::try_alloc(rt::cbuf::client(), text.len())?;
    buffer[..text.len()].copy_from_slice(text);
    Ok(buffer.freeze(text.len()))
}

impl Server for Observer {
    fn report(
        &self,
        _caller: ComponentId,
        what: u32,
        own: Incoming<'static, Figure>,
    ) -> Result<(u32, Cbuf<'static>), Error> {
        let mut desk = DESK.lock();
        desk.as_mut().ok_or(Error::BadState)?.report(what, own)
    }

    fn choose(
        &self,
        _caller: ComponentId,
        words: Cbuf<'static>,
    ) -> Result<(u32, Cbuf<'static>), Error> {
        let mut desk = DESK.lock();
        let desk = desk.as_mut().ok_or(Error::BadState)?;
        // A copy: who sent it could write it meanwhile.
        let words: Vec<u8> = words[..words.len().min(BYTES_MAX)].to_vec();
        let (status, mut sentence) = match choose(&desk.collector, &words) {
            Ok(()) => (200, String::from("chosen")),
            Err((status, why)) => (status, why),
        };
        sentence.push('\n');
        // What was told before the choice is old.
        desk.looked = None;
        desk.told = [const { None }; REPORTS.len()];
        Ok((status, buffer(sentence.as_bytes())?))
    }
}

/// Status and sentence.
type Refused = (u32, String);

const BAD: u32 = 400;
const CONFLICT: u32 = 409;

/// Changes what the words say, in an order in which the later steps cannot fail once an earlier one
/// has changed something.
fn choose(collector: &Collector, words: &[u8]) -> Result<(), Refused> {
    let choice = Choice::parse(words).map_err(|why| (BAD, why.to_string()))?;
    let policy = stubs::policy::Client::bind().map_err(|error| (CONFLICT, error.to_string()))?;
    let failed = |error: Error| (CONFLICT, error.to_string());
    let mut targets = Vec::new();
    for (name, share) in &choice.targets {
        let component = collector
            .with_pool(name)
            .ok_or_else(|| unknown(collector, name))?;
        targets.push((component, *share));
    }
    let mut with_target = collector.targets(&policy);
    for (component, _) in &targets {
        with_target |= 1 << component;
    }
    if with_target.count_ones() as usize > TARGETS {
        return Err((CONFLICT, Problem::TooManyTargets.to_string()));
    }
    for (component, share) in targets {
        policy.set_target(component, share as u32).map_err(failed)?;
    }
    if let Some(wanted) = choice.policy {
        let [first, second] = wanted.words();
        policy
            .set_policy(first, second)
            .map_err(|error| match error {
                Error::BadState => (CONFLICT, Problem::NoTarget.to_string()),
                error => failed(error),
            })?;
    }
    if let Some(limit) = choice.limit {
        policy.set_limit(limit.unwrap_or(0)).map_err(failed)?;
    }
    Ok(())
}

/// The sentence for a name that has no pool, with those that have.
fn unknown(collector: &Collector, name: &str) -> Refused {
    let mut why = Refusal::Setting(Problem::Component(name)).to_string();
    for (n, name) in collector.pools().enumerate() {
        // A `String` takes everything.
        let _ = write!(why, "{} {name}", if n == 0 { ":" } else { "," });
    }
    (BAD, why)
}
