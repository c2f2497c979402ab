//! The manager behind its one lock, which counts how often it is taken and waited for. It is never held
//! while a thread blocks, and opened between the parts of what takes long.

use crate::system::System;
use abi::Error;
use cbuf_mgr::Manager;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use rt::sync::{Guard, Mutex};
use rt::time;

/// Since boot. Ticks of the time-stamp counter.
pub struct Figures {
    /// How often the lock was taken.
    pub taken: u64,
    /// Of these, after another thread had it.
    pub waits: u64,
    pub waited_ticks: u64,
}

static MANAGER: Mutex<Option<Manager<System>>> = Mutex::new(None);

/// Changed under the lock, read without it. Relaxed: nothing else follows from them.
static TAKEN: AtomicU64 = AtomicU64::new(0);
static WAITS: AtomicU64 = AtomicU64::new(0);
static WAITED: AtomicU64 = AtomicU64::new(0);

fn add(to: &AtomicU64, more: u64) {
    to.store(to.load(Relaxed).wrapping_add(more), Relaxed);
}

/// Before the first call of a client.
pub fn install(manager: Manager<System>) {
    *MANAGER.lock() = Some(manager);
}

pub fn figures() -> Figures {
    Figures {
        taken: TAKEN.load(Relaxed),
        waits: WAITS.load(Relaxed),
        waited_ticks: WAITED.load(Relaxed),
    }
}

/// Counts, and stays out of what is done under the lock.
#[inline(never)]
fn enter() -> Guard<'static, Option<Manager<System>>> {
    let guard = MANAGER.try_lock().unwrap_or_else(wait);
    add(&TAKEN, 1);
    guard
}

#[cold]
#[inline(never)]
fn wait() -> Guard<'static, Option<Manager<System>>> {
    let begun = time::now();
    let guard = MANAGER.lock();
    add(&WAITS, 1);
    add(&WAITED, time::now().saturating_sub(begun));
    guard
}

/// Does something under the lock, then wakes whom it concerns. [`Error::BadState`]: it is not set up.
pub fn with<R>(action: impl FnOnce(&mut Manager<System>) -> Result<R, Error>) -> Result<R, Error> {
    let mut guard = enter();
    let manager = guard.as_mut().ok_or(Error::BadState)?;
    let result = action(manager);
    if manager.has_wakes() {
        wake(guard);
    }
    result
}

/// Opens the lock and wakes who is to be told. Not part of [`with`], for what it needs is large.
#[cold]
#[inline(never)]
fn wake(mut guard: Guard<'_, Option<Manager<System>>>) {
    let wakes = guard.as_mut().and_then(Manager::take_wakes);
    drop(guard);
    // One that the scheduler does not know is gone, and not woken below.
    let priority = |thread| rt::sched::priority(thread).unwrap_or(0);
    for thread in wakes.into_iter().flat_map(|w| w.by_priority(priority)) {
        let _ = rt::sched::wake(thread);
    }
}

/// Does something that takes long, with the lock open between its parts: who waits for the lock
/// and is more urgent has it then.
pub fn in_parts<R>(
    mut part: impl FnMut(&mut Manager<System>) -> Result<Option<R>, Error>,
) -> Result<R, Error> {
    loop {
        if let Some(done) = with(&mut part)? {
            return Ok(done);
        }
    }
}
