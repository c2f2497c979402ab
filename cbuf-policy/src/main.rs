//! The policy component: a thread that wakes four times a second, reads the manager's figures and
//! sets the pools' sizes, and the interface by which the policy is chosen.

#![no_std]
#![no_main]

extern crate alloc;

use abi::start::StartInfo;
use abi::{ComponentId, Error};
use alloc::vec::Vec;
use cbuf_policy::settings::{Problem, Settings, sensible};
use cbuf_policy::{Controller, Plan, Policy, Sample, Target, Terms, Wish};
use core::time::Duration;
use rt::sync::Mutex;
use stubs::cbuf_policy::Client;

rt::component! {
    start: start,
    thread: periods,
    serve: { stubs::policy::INTERFACE => policy }
}

static CONTROLLER: Mutex<Option<Controller>> = Mutex::new(None);

const PERIOD: Duration = Duration::from_millis(250);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Client::bind()?;
    let settings = match Settings::parse(rt::info::arguments()) {
        Ok(settings) => settings,
        Err(problem) => return Err(refuse(problem)),
    };
    let plan = match settings.plan(component_named) {
        Ok(plan) => plan,
        Err(problem) => return Err(refuse(problem)),
    };
    let mut controller = Controller::new(plan)?;
    for (component, terms) in pools(&settings) {
        controller.set_terms(component, terms);
    }
    tell(&plan);
    let least: u64 = pools(&settings).map(|(_, terms)| terms.least).sum();
    if plan.limit.is_some_and(|limit| limit < least) {
        rt::println!("this image's pools have {least} pages at least, so that is the limit");
    }
    let now = begin(&controller);
    *CONTROLLER.lock() = Some(controller);
    // Without sizes to begin with, those of the first period do.
    now.or_else(|error| match error {
        Error::NotFound | Error::NoMemory => Ok(()),
        error => Err(error),
    })
}

/// Before those who are started later fill their pools: no more than the limit.
fn begin(controller: &Controller) -> Result<(), Error> {
    let manager = Client::bind()?;
    let clients = manager.clients()?;
    let (free, _total) = manager.memory()?;
    let mut pools = Vec::new();
    for component in (0..ComponentId::MAX as u32).filter(|c| clients >> c & 1 != 0) {
        let (limit, ..) = manager.usage(component)?;
        pools.push((component, limit));
    }
    for wish in controller.begin(&pools, free) {
        manager.set_pool(wish.component, wish.wanted)?;
    }
    Ok(())
}

/// Says what is wrong with the arguments; the machine stops.
fn refuse(problem: Problem<'_>) -> Error {
    if let Problem::Component(_) = problem {
        let names = named("pool:").map(|(name, _)| name);
        rt::println!("{problem}: {}", names.collect::<Vec<_>>().join(", "));
    } else {
        rt::println!("{problem}");
    }
    Error::BadArgument
}

fn tell(plan: &Plan) {
    match plan.limit {
        Some(pages) => rt::println!("policy {}, {pages} pages for all pools", plan.policy),
        None => rt::println!("policy {}", plan.policy),
    }
}

/// Grants by the beginning of their names, which is cut off.
fn named(prefix: &str) -> impl Iterator<Item = (&'static str, &'static abi::start::Grant)> {
    rt::info::grants()
        .iter()
        .filter_map(move |grant| Some((grant.name.as_str().strip_prefix(prefix)?, grant)))
}

fn component_named(name: &str) -> Option<u32> {
    let (_, grant) = named("pool:").find(|(other, _)| *other == name)?;
    Some(grant.base as u32)
}

/// What the image says of the pools, and the command line of their priorities.
fn pools(settings: &Settings<'_>) -> impl Iterator<Item = (u32, Terms)> {
    named("pool:").map(|(name, grant)| {
        let component = grant.base as u32;
        let said = settings.priorities().filter_map(Result::ok);
        let said = said.filter(|(name, _)| reached(name).1 >> (component % 64) & 1 == 1);
        let start = grant.bytes & 0xffff_ffff;
        let (least, reach) = reached(name);
        let sizes = settings.sizes().filter_map(Result::ok);
        let fixed = sizes.filter(|(other, _)| *other == name).last();
        let terms = Terms {
            least,
            start,
            fixed: fixed.map_or(least, |(_, pages)| u64::from(pages)),
            most: grant.bytes >> 32,
            priority: said.last().map_or((grant.base >> 32) as u32, |(_, n)| n),
            reach,
        };
        (component, terms)
    })
}

/// The least pages of the pool of `name`, and the components that its threads come to.
fn reached(name: &str) -> (u64, u64) {
    let grant = named("reach:").find(|(other, _)| *other == name);
    grant.map_or((0, 0), |(_, grant)| (grant.base >> 32, grant.bytes))
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
    let mut last = rt::time::now();
    let mut refused = None;
    loop {
        sleep_until(rt::time::after(PERIOD));
        let now = rt::time::now();
        let result = period(now.saturating_sub(last));
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
fn period(elapsed: u64) -> Result<(), Error> {
    let manager = Client::bind()?;
    let clients = manager.clients()?;
    let (free, _total) = manager.memory()?;
    let mut samples = [None; ComponentId::MAX];
    for (component, place) in (0..).zip(&mut samples) {
        if clients >> component & 1 != 0 {
            // A component that went away since is left out.
            *place = sample(&manager, component).ok().map(|s| (component, s));
        }
    }
    let mut wishes = [Wish::default(); ComponentId::MAX];
    let mut count = 0;
    if let Some(controller) = &mut *CONTROLLER.lock() {
        // Who asks for the policy meanwhile waits for arithmetic, not for the manager.
        let decided = controller.step(samples.into_iter().flatten(), free, elapsed);
        for (place, wish) in wishes.iter_mut().zip(decided) {
            *place = *wish;
            count += 1;
        }
    }
    for wish in wishes.iter().take(count) {
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
    let (blocked_ticks, collecting_ticks, collections, collected) = manager.timing(component)?;
    Ok(Sample {
        limit,
        held,
        calls,
        blocked,
        blocked_ticks,
        collecting_ticks,
        collections,
        collected,
    })
}

struct Choice;

/// Changes the plan, or nothing.
fn change(action: impl FnOnce(&Controller, &mut Plan) -> Result<(), Error>) -> Result<(), Error> {
    let mut guard = CONTROLLER.lock();
    let controller = guard.as_mut().ok_or(Error::BadState)?;
    let mut plan = controller.plan();
    action(controller, &mut plan)?;
    if plan != controller.plan() {
        controller.set_plan(plan);
        tell(&plan);
    }
    Ok(())
}

impl stubs::policy::Server for Choice {
    fn set_policy(&self, _caller: ComponentId, first: u64, second: u64) -> Result<(), Error> {
        let policy = Policy::from_words([first, second]).ok_or(Error::BadArgument)?;
        change(|_, plan| {
            if policy == Policy::Qos && plan.targets().next().is_none() {
                return Err(Error::BadState);
            }
            plan.policy = policy;
            Ok(())
        })
    }

    fn set_limit(&self, _caller: ComponentId, pages: u64) -> Result<(), Error> {
        change(|_, plan| {
            plan.limit = (pages > 0).then_some(pages);
            Ok(())
        })
    }

    fn set_target(
        &self,
        _caller: ComponentId,
        component: u32,
        millionths: u32,
    ) -> Result<(), Error> {
        let share = u64::from(millionths);
        if !sensible(share) {
            return Err(Error::BadArgument);
        }
        change(|controller, plan| {
            controller.terms(component).ok_or(Error::NotFound)?;
            let set = plan.set_target(Target { component, share });
            set.then_some(()).ok_or(Error::NoMemory)
        })
    }

    fn chosen(&self, _caller: ComponentId) -> Result<(u64, u64, u64), Error> {
        let guard = CONTROLLER.lock();
        let plan = guard.as_ref().ok_or(Error::BadState)?.plan();
        let [first, second] = plan.policy.words();
        Ok((first, second, plan.limit.unwrap_or(0)))
    }

    fn pool(&self, _caller: ComponentId, component: u32) -> Result<(u64, u64, u64, u64), Error> {
        let guard = CONTROLLER.lock();
        let controller = guard.as_ref().ok_or(Error::BadState)?;
        let mut forecasts = controller.forecasts().iter();
        let forecast = forecasts
            .find(|f| f.component == component)
            .ok_or(Error::NotFound)?;
        let target = controller
            .plan()
            .targets()
            .find(|t| t.component == component)
            .map_or(0, |t| t.share);
        let (wants, least) = (forecast.wants_bearable(), forecast.terms.least);
        Ok((wants, forecast.need, least, target))
    }
}

fn policy(call: rt::Call) -> rt::Reply {
    stubs::policy::serve(&Choice, call)
}
