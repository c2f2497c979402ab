//! Init's own thread after boot: it starts every component, and starts anew those that died.

use alloc::vec::Vec;
use core::time::Duration;

use abi::op::lifecycle;
use abi::{ComponentId, Error};
use init::trials::Trials;
use manifest::Image;
use rt::cap;

use crate::built::{Built, Kind};
use crate::device;
use crate::space::Window;
use crate::supervise;
use crate::trouble::{Doing, Result, Trouble};

/// Milliseconds between the first two looks at a dead component that a thread is still to come
/// back to; doubled so many times.
const STILL_IN_USE_MS: u64 = 2;
const DOUBLINGS: u32 = 6;
/// Between two looks for components that the kernel had to kill by itself.
const PATROL: Duration = Duration::from_secs(1);

/// A component in the keeper's care.
struct Ward<'a> {
    built: Built<'a>,
    trials: Trials,
    /// When START last succeeded; `None` until then and after a failure.
    started: Option<u64>,
    /// When to start it anew, where it is dead and to be.
    due: Option<u64>,
    /// How often in a row it was found in use then.
    looks: u32,
}

pub struct Keeper<'a> {
    /// In the order in which they are started: providers first.
    wards: Vec<Ward<'a>>,
    window: Window,
    sched: stubs::sched_control::Client,
}

/// What became of an attempt.
enum Attempt {
    Done,
    /// A thread has still to come back to it.
    InUse,
}

impl<'a> Keeper<'a> {
    pub fn new(image: &Image, mut built: Vec<Built<'a>>, window: Window) -> Result<Self> {
        let rank = |id: ComponentId| image.start_order.iter().position(|o| *o == id.0);
        built.sort_by_key(|b| rank(b.id));
        let ward = |built| Ward {
            built,
            trials: Trials::default(),
            started: None,
            due: None,
            looks: 0,
        };
        Ok(Self {
            wards: built.into_iter().map(ward).collect(),
            window,
            sched: stubs::sched_control::Client::bind().doing("reach the scheduler")?,
        })
    }

    /// Starts every component, then every thread. One that dies at START and may be started anew
    /// does not hinder the others.
    /// `used_pages`: of all memory that components and init have.
    pub fn start(&mut self, used_pages: u64) -> Result<()> {
        for ward in &mut self.wards {
            let name = &ward.built.component.name;
            match rt::invoke(ward.built.lifecycle, lifecycle::START, [0; 4]) {
                Ok(_) => ward.started = Some(rt::time::now()),
                Err(Error::Dead) if ward.built.component.restart => {
                    rt::println!("component {name} died when it was started");
                    ward.ended();
                }
                Err(error) => {
                    return Err(Trouble(alloc::format!(
                        "component {name}: cannot start it: {error}"
                    )));
                }
            }
        }
        self.tell_manager(used_pages).doing("account for memory")?;
        // Those of a component that is dead already run and exit.
        let mut threads: Vec<_> = self.wards.iter().flat_map(|w| &w.built.threads).collect();
        threads.sort_by_key(|(_, id, _)| id.0);
        for (_, id, _) in threads {
            self.sched
                .start_thread(u32::from(id.0))
                .doing("start a thread")?;
        }
        Ok(())
    }

    /// Tells the CBUF manager, if there is one, of all memory that is in no pool, buffer by buffer.
    fn tell_manager(&self, used_pages: u64) -> core::result::Result<(), Error> {
        let Ok(manager) = stubs::cbuf_policy::Client::bind() else {
            return Ok(());
        };
        let mut own = used_pages;
        for ward in &self.wards {
            for entry in ward.built.account().filter(|e| e.pages > 0) {
                let (id, kind) = (u32::from(ward.built.id.0), entry.kind);
                match manager.register(id, kind as u32, entry.address, entry.pages) {
                    Ok(_) => {}
                    // One that knows of nothing but its pools.
                    Err(Error::BadMethod) => return Ok(()),
                    Err(error) => return Err(error),
                }
                if kind != Kind::Text {
                    own = own.saturating_sub(entry.pages);
                }
            }
        }
        let init = u32::from(ComponentId::INIT.0);
        manager.register(init, Kind::Static as u32, 0, own)?;
        Ok(())
    }

    /// Comes back only when there is no scheduler any more.
    pub fn watch(&mut self) -> Error {
        let mut patrol = rt::time::after(PATROL);
        loop {
            let news = supervise::take_news();
            for ward in &mut self.wards {
                if news >> ward.built.id.0 & 1 == 1 {
                    ward.plan();
                }
            }
            for n in 0..self.wards.len() {
                if self.wards[n].due.is_some_and(|due| due <= rt::time::now()) {
                    self.attend(n);
                }
            }
            if patrol <= rt::time::now() {
                patrol = rt::time::after(PATROL);
                for ward in &self.wards {
                    supervise::look_for_dead(&ward.built);
                }
            }
            let next = self
                .wards
                .iter()
                .filter_map(|w| w.due)
                .fold(patrol, u64::min);
            if let Err(error) = rt::sched::block(next) {
                return error;
            }
        }
    }

    /// Starts one anew, or sees that it is not the time yet.
    fn attend(&mut self, n: usize) {
        self.wards[n].due = None;
        match self.revive(n) {
            Ok(Attempt::Done) => self.wards[n].looks = 0,
            Ok(Attempt::InUse) => {
                let ward = &mut self.wards[n];
                let pause = Duration::from_millis(STILL_IN_USE_MS << ward.looks);
                ward.due = Some(rt::time::after(pause));
                ward.looks = (ward.looks + 1).min(DOUBLINGS);
            }
            Err(Trouble(sentence)) => {
                let ward = &self.wards[n];
                rt::println!("component {}: {sentence}", ward.built.component.name);
                ward.ended();
            }
        }
    }

    fn revive(&mut self, n: usize) -> Result<Attempt> {
        let ward = &mut self.wards[n];
        let built = &ward.built;
        // Dead already, unless whoever killed it was overtaken by another who found it dead.
        let _ = cap::component::kill(built.object);
        let (_, in_use) = cap::component::identify(built.object).doing("look at it")?;
        if in_use {
            return Ok(Attempt::InUse);
        }
        ward.started = None;
        supervise::revived(built.id);
        built.renew(&self.window)?;
        release_buffers(built.id).doing("have its buffers released")?;
        if let Some(at) = built.device {
            device::admit(at);
        }
        cap::component::revive(built.object).doing("revive it")?;
        rt::invoke(built.lifecycle, lifecycle::START, [0; 4]).doing("start it anew")?;
        built.rewind()?;
        for (_, id, _) in &built.threads {
            self.sched
                .start_thread(u32::from(id.0))
                .doing("start a thread")?;
        }
        ward.started = Some(rt::time::now());
        ward.trials.started();
        rt::println!("component {} is started anew", built.component.name);
        Ok(Attempt::Done)
    }
}

impl Ward<'_> {
    /// Its START did not succeed. Where it faulted, that is known already.
    fn ended(&self) {
        if !supervise::is_dead(self.built.id) {
            supervise::faulted(self.built.id);
        }
    }

    /// It died: when is it started anew, if at all?
    fn plan(&mut self) {
        let now = rt::time::now();
        let by_fault = supervise::take_faulted(self.built.id);
        let pause = match self.started {
            None => self.trials.failed(),
            Some(since) if by_fault => {
                let lived = rt::time::duration(now.saturating_sub(since)).as_millis();
                Some(self.trials.died(u64::try_from(lived).unwrap_or(u64::MAX)))
            }
            // On purpose, which is no fault of its own.
            Some(_) => Some(0),
        };
        self.due = pause.map(|ms| now.saturating_add(rt::time::ticks(Duration::from_millis(ms))));
        if self.due.is_none() {
            supervise::given_up(self.built.id);
            rt::println!(
                "component {} does not get through its start: it stays dead",
                self.built.component.name
            );
        }
    }
}

/// The CBUF manager lets it begin anew; if it could not release everything at its death, now.
fn release_buffers(id: ComponentId) -> core::result::Result<(), Error> {
    let number = u32::from(id.0);
    let Ok(manager) = stubs::cbuf_policy::Client::bind() else {
        return Ok(());
    };
    match manager.component_restarted(number) {
        Err(Error::BadState) => {
            manager.component_died(number)?;
            manager.component_restarted(number)
        }
        // It has no pool.
        Err(Error::NotFound) => Ok(()),
        other => other,
    }
}
