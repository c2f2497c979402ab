//! The policy component: a thread that wakes four times a second, reads the manager's figures and
//! sets the pools' sizes.

#![no_std]
#![no_main]

extern crate alloc;

use abi::Error;
use abi::start::StartInfo;
use cbuf_policy::Sample;
use cbuf_policy::throughput::EnoughMemory;
use core::time::Duration;
use stubs::cbuf_policy::Client;

rt::component! {
    start: start,
    thread: periods,
    serve: {}
}

const PERIOD: Duration = Duration::from_millis(250);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Client::bind().map(drop)
}

/// Waits for the next period, through wake-ups that were meant for a lock.
fn sleep_until(deadline: u64) {
    // Without a scheduler there are no periods; without blocking this would take the processor.
    while rt::time::now() < deadline {
        if rt::sched::block(deadline).is_err() {
            rt::println!("no scheduler: pools keep their sizes");
            rt::component::stop();
        }
    }
}

fn periods(_argument: u64) -> ! {
    let mut policy = match EnoughMemory::new() {
        Ok(policy) => policy,
        Err(error) => {
            rt::println!("pools keep their sizes: {error}");
            rt::component::stop()
        }
    };
    let mut last = rt::time::now();
    let mut refused = None;
    loop {
        sleep_until(rt::time::after(PERIOD));
        let now = rt::time::now();
        let result = period(&mut policy, now.saturating_sub(last));
        // Once for each kind of trouble, not four times a second.
        if let Err(error) = result
            && refused != Some(error)
        {
            rt::println!("pools keep their sizes: {error}");
        }
        refused = result.err();
        last = now;
    }
}

/// Reads, decides, sets.
fn period(policy: &mut EnoughMemory, elapsed: u64) -> Result<(), Error> {
    let manager = Client::bind()?;
    let clients = manager.clients()?;
    let (free, _total) = manager.memory()?;
    let samples = (0..64)
        .filter(|component| clients >> component & 1 != 0)
        // A component that went away since is left out.
        .filter_map(|component| Some((component, sample(&manager, component).ok()?)));
    for wish in policy.step(samples, free, elapsed) {
        match manager.set_pool(wish.component, wish.wanted) {
            // It went away, or others were faster: the next period sees it.
            Ok(()) | Err(Error::NotFound | Error::NoMemory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn sample(manager: &Client, component: u32) -> Result<Sample, Error> {
    let (limit, held, calls, blocked) = manager.usage(component)?;
    let (blocked_ticks, collecting_ticks, _, _) = manager.timing(component)?;
    Ok(Sample {
        limit,
        held,
        calls,
        blocked,
        blocked_ticks,
        collecting_ticks,
    })
}
