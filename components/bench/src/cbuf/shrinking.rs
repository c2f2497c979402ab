//! What it costs to take memory back from a pool, in each of the states that it can be in, and
//! how long that, a collection of another's large pool, and another's growing heap hold up a thread of
//! higher priority that needs memory. Source: CBUFs, section 3.4.

use crate::ensure;
use crate::pools::{Sinks, fill, own};
use abi::Error;
use abi::layout::PAGE;
use core::time::Duration;
use rt::cbuf::Owned;
use rt::time;
use stubs::cbuf_policy::Client as Policy;
use stubs::urgent::Client as Urgent;

/// Pages that are taken back.
const PAGES: u64 = 4000;
/// What is left of a pool.
const LEFT: u64 = 8;
/// Between two allocations of the urgent thread.
const PERIOD: Duration = Duration::from_micros(30);
/// Buffers that a pool is filled with again: more than are made at once.
const FILLED: usize = 64;
/// Components that have a collected buffer mapped.
const ALL: usize = 4;
/// Rounds through a large pool while the urgent thread allocates.
const ROUNDS: u64 = 4;

pub fn measure() -> Result<(), Error> {
    let (policy, sinks, urgent) = (Policy::bind()?, Sinks::find()?, Urgent::bind()?);
    let (before, ..) = policy.usage(own())?;
    let lock = policy.lock()?;
    // The first allocations make its buffers.
    urgent.fill(LEFT as u32, true)?;
    alone(&urgent)?;
    collection(&policy, &sinks, &urgent)?;
    owned(&urgent)?;
    for state in [State::Garbage, State::Free, State::Live] {
        returned(&policy, &sinks, &urgent, state)?;
    }
    for shared in [true, false] {
        own_pool(&policy, &urgent, shared)?;
    }
    let after = policy.lock()?;
    rt::println!("BENCH lock-taken {}", after.0 - lock.0);
    rt::println!("BENCH lock-waits {}", after.1 - lock.1);
    print("lock", "waited", after.2 - lock.2);
    policy.set_pool(own(), before)
}

/// Runs the urgent thread during an action: ticks of its longest allocation, and those of the
/// action with the thread's in between.
fn beside(urgent: &Urgent, action: impl FnOnce() -> Result<(), Error>) -> Result<[u64; 2], Error> {
    urgent.watch(PERIOD.as_nanos() as u64, true)?;
    let begun = time::now();
    let done = action();
    let took = time::now() - begun;
    let (longest, count) = urgent.watch(0, true)?;
    done?;
    ensure(count > 0)?;
    Ok([longest, took])
}

/// Ticks, and nanoseconds for where the counter counts time.
fn print(what: &str, when: &str, ticks: u64) {
    rt::println!("BENCH {what}-{when} {ticks}");
    rt::println!(
        "BENCH {what}-{when}-ns {}",
        time::duration(ticks).as_nanos()
    );
}

/// While nothing else happens.
fn alone(urgent: &Urgent) -> Result<(), Error> {
    let [longest, _] = beside(urgent, || {
        let until = time::after(Duration::from_millis(5));
        while time::now() < until {}
        Ok(())
    })?;
    print("wait", "alone", longest);
    Ok(())
}

/// While a large pool is collected that four others have mapped.
fn collection(policy: &Policy, sinks: &Sinks, urgent: &Urgent) -> Result<(), Error> {
    let client = rt::cbuf::client();
    policy.set_pool(own(), 0)?;
    policy.set_pool(own(), PAGES)?;
    fill(sinks, ALL, PAGES)?;
    let [longest, _] = beside(urgent, || {
        for _ in 0..ROUNDS * PAGES {
            let (_, id) = client.try_alloc(PAGE)?;
            sinks.share(id, ALL)?;
        }
        Ok(())
    })?;
    print("wait", "collection", longest);
    Ok(())
}

/// While memory outside of pools is made, cleared and ended.
fn owned(urgent: &Urgent) -> Result<(), Error> {
    let [longest, _] = beside(urgent, || {
        (0..ROUNDS).try_for_each(|_| Owned::alloc(rt::cbuf::client(), PAGES).map(drop))
    })?;
    print("wait", "owned", longest);
    Ok(())
}

/// Where the pages are that are taken back.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Garbage,
    Free,
    Live,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Garbage => "garbage",
            Self::Free => "free",
            Self::Live => "live",
        }
    }
}

/// Shrinks our own large pool.
fn returned(policy: &Policy, sinks: &Sinks, urgent: &Urgent, state: State) -> Result<(), Error> {
    let client = rt::cbuf::client();
    policy.set_pool(own(), 0)?;
    policy.set_pool(own(), PAGES)?;
    let (_, held, ..) = policy.usage(own())?;
    let mut ids = [rt::cbuf::CbufId::NONE; PAGES as usize];
    let wanted = (PAGES - held) as usize;
    for id in &mut ids[..wanted] {
        *id = client.try_alloc(PAGE)?.1;
    }
    let free = |ids: &[rt::cbuf::CbufId]| {
        for id in ids {
            match state {
                State::Garbage => sinks.share(*id, 1)?,
                // SAFETY: allocated above, and forgotten here.
                _ => unsafe { client.cbuf_free(*id) },
            }
        }
        Ok(())
    };
    if state != State::Live {
        free(&ids[..wanted])?;
    }
    let (_, held, ..) = policy.usage(own())?;
    let [longest, took] = beside(urgent, || {
        policy.set_pool(own(), LEFT)?;
        if state == State::Live {
            free(&ids[..wanted])?;
        }
        Ok(())
    })?;
    let (_, now, ..) = policy.usage(own())?;
    ensure(now <= LEFT && held > now)?;
    let name = state.name();
    rt::println!("BENCH returned-{name} {}", held - now);
    print("returning", name, took);
    print("wait-returning", name, longest);
    if state == State::Free {
        taken(policy)?;
    }
    Ok(())
}

/// After all that lay in the freelist was taken: the longest allocation that finds it so, of as many
/// as the pool still takes. Then the longest while the pool is filled again.
fn taken(policy: &Policy) -> Result<(), Error> {
    print("pause", "taken", longest_of(LEFT as usize)?);
    policy.set_pool(own(), PAGES)?;
    print("pause", "growing", longest_of(FILLED)?);
    Ok(())
}

/// The longest of so many allocations, [`FILLED`] at most, all held until the last.
fn longest_of(count: usize) -> Result<u64, Error> {
    let client = rt::cbuf::client();
    let mut held = [rt::cbuf::CbufId::NONE; FILLED];
    let held = held.get_mut(..count).ok_or(Error::BadSize)?;
    let mut longest = 0;
    for id in held.iter_mut() {
        let begun = time::now();
        *id = client.try_alloc(PAGE)?.1;
        longest = longest.max(time::now() - begun);
    }
    for id in held {
        // SAFETY: allocated above, and forgotten here.
        unsafe { client.cbuf_free(*id) };
    }
    Ok(longest)
}

/// Shrinks the urgent component's pool while its thread allocates: its longest allocation.
fn own_pool(policy: &Policy, urgent: &Urgent, shared: bool) -> Result<(), Error> {
    let component = u32::from(urgent.peer().0);
    policy.set_pool(component, PAGES)?;
    urgent.fill(PAGES as u32 - LEFT as u32, shared)?;
    urgent.watch(PERIOD.as_nanos() as u64, shared)?;
    policy.set_pool(component, LEFT)?;
    let until = time::after(Duration::from_millis(1));
    while time::now() < until {}
    let (longest, count) = urgent.watch(0, shared)?;
    ensure(count > 0)?;
    let (_, held, ..) = policy.usage(component)?;
    ensure(held <= LEFT)?;
    let state = if shared { State::Garbage } else { State::Free };
    print("pause", state.name(), longest);
    Ok(())
}
