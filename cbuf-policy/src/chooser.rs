//! Tests the choice at run time: who was given `policy` chooses by the names of the command line,
//! nonsense is refused, and who was not given it finds no way. The argument `role=stranger` makes
//! it the one who was not.

#![no_std]
#![no_main]

use abi::start::StartInfo;
use abi::{CPtr, Error};
use cbuf_policy::Policy;
use core::fmt;
use core::time::Duration;
use rt::suite::Suite;
use stubs::policy::{Client, method};

rt::component! {
    start: start,
    thread: main,
    serve: {}
}

/// What a stranger tries to choose; nobody else does.
const STRANGE: u64 = 7_777;
/// Places of capabilities that it tries: all that a component of its kind has, and many more.
const PLACES: u32 = 2_048;
const WAIT: Duration = Duration::from_millis(100);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

/// Why a test failed.
enum Wrong {
    During(&'static str, Error),
    Answer(Result<(), Error>),
    Chosen([u64; 3]),
    Way(u32),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::During(what, error) => write!(f, "{what}: {error}"),
            Self::Answer(answer) => write!(f, "the answer was {answer:?}"),
            Self::Chosen(words) => write!(f, "now chosen is {words:x?}"),
            Self::Way(place) => write!(f, "place {place} leads to the policy"),
        }
    }
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    if rt::info::argument("role") == Some("stranger") {
        suite.tell("who was not given the policy finds no way to it", stray());
        // The chooser, less urgent, looks what came of it and ends the machine.
        loop {
            let _ = rt::sched::block(rt::time::NEVER);
        }
    }
    let policy = Client::bind();
    suite.tell("a stranger changed nothing", untouched(&policy));
    suite.tell("every policy is chosen by its name", by_name(&policy));
    suite.tell("nonsense is refused and changes nothing", nonsense(&policy));
    suite.finish()
}

/// Invokes whatever there is with what would choose a policy.
fn stray() -> Result<(), Wrong> {
    if Client::bind().is_ok() {
        return Err(Wrong::Way(0));
    }
    for place in 0..PLACES {
        let chosen = rt::invoke(CPtr(place), method::CHOSEN, [0; 4]);
        let named = chosen.is_ok_and(|words| Policy::from_words([words[0], words[1]]).is_some());
        if named {
            return Err(Wrong::Way(place));
        }
        let _ = rt::invoke(CPtr(place), method::SET_LIMIT, [STRANGE, 0, 0, 0]);
    }
    Ok(())
}

type Bound = Result<Client, Error>;

fn bound(policy: &Bound) -> Result<&Client, Wrong> {
    policy
        .as_ref()
        .map_err(|e| Wrong::During("finding the policy", *e))
}

fn chosen(policy: &Bound) -> Result<[u64; 3], Wrong> {
    let chosen = bound(policy)?.chosen();
    let (first, second, limit) = chosen.map_err(|e| Wrong::During("asking", e))?;
    Ok([first, second, limit])
}

fn expect(policy: &Bound, what: Policy, limit: u64) -> Result<(), Wrong> {
    let [first, second] = what.words();
    let now = chosen(policy)?;
    if now == [first, second, limit] {
        Ok(())
    } else {
        Err(Wrong::Chosen(now))
    }
}

fn untouched(policy: &Bound) -> Result<(), Wrong> {
    // Periods pass.
    rt::sched::block(rt::time::after(WAIT)).map_err(|e| Wrong::During("waiting", e))?;
    expect(policy, Policy::Throughput, 0)
}

fn by_name(policy: &Bound) -> Result<(), Wrong> {
    let client = bound(policy)?;
    let own = u32::from(rt::info().id.0);
    let take = |answer: Result<(), Error>| answer.map_err(|e| Wrong::During("choosing", e));
    take(client.set_limit(300))?;
    take(client.set_target(own, 100_000))?;
    for what in Policy::ALL {
        let [first, second] = what.words();
        take(client.set_policy(first, second))?;
        expect(policy, what, 300)?;
    }
    take(client.set_limit(0))?;
    let [first, second] = Policy::Throughput.words();
    take(client.set_policy(first, second))?;
    expect(policy, Policy::Throughput, 0)
}

fn nonsense(policy: &Bound) -> Result<(), Wrong> {
    let client = bound(policy)?;
    let own = u32::from(rt::info().id.0);
    let bad = Err(Error::BadArgument);
    let word = u64::from_le_bytes(*b"fairness");
    for (answer, expected) in [
        (client.set_policy(word, 0), bad),
        (client.set_policy(0, 0), bad),
        (client.set_policy(u64::MAX, u64::MAX), bad),
        (client.set_target(own, 0), bad),
        (client.set_target(own, 999), bad),
        (client.set_target(own, 900_001), bad),
        (client.set_target(own, u32::MAX), bad),
        (client.set_target(63, 100_000), Err(Error::NotFound)),
        (client.set_target(u32::MAX, 100_000), Err(Error::NotFound)),
    ] {
        if answer != expected {
            return Err(Wrong::Answer(answer));
        }
    }
    expect(policy, Policy::Throughput, 0)
}
