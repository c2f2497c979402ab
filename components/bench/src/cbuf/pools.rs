//! What an allocation costs with all that follows from it, by the size of the pool and the number
//! of components that each buffer was sent to. Source: CBUFs, section 5.1 and figure 7.

use crate::calls::{nothing, timed_alloc};
use crate::ensure;
use abi::Error;
use abi::layout::PAGE;
use rt::Import;
use rt::cbuf::{CbufId, CbufRef};
use stubs::cbuf_policy::Client as Policy;

/// Buffers of a page that the pool holds at most.
const POOLS: [u64; 6] = [8, 32, 128, 512, 2048, LARGEST as u64];
const LARGEST: usize = 4096;
/// Components that each buffer is sent to.
const SHARERS: [usize; 3] = [1, 2, 4];
/// Fewer allocations than this say little of a small pool.
const FEWEST: u64 = 4096;

/// The sinks that a buffer is sent to, in the order of the image's description.
pub struct Sinks([Import; 4]);

impl Sinks {
    pub fn find() -> Result<Self, Error> {
        let info = rt::info();
        let all = info.imports.get(..usize::from(info.imports_len));
        let mut found = all.unwrap_or(&[]).iter().filter_map(|import| {
            (import.interface.as_str() == stubs::pipe::NAME).then_some(Import {
                entry: import.entry,
                peer: import.peer,
            })
        });
        let mut next = || found.next().ok_or(Error::NotFound);
        Ok(Self([next()?, next()?, next()?, next()?]))
    }

    /// Has as many as are wanted receive and free a buffer of ours, then frees it here.
    pub fn share(&self, id: CbufId, sharers: usize) -> Result<(), Error> {
        let client = rt::cbuf::client();
        let whole = CbufRef {
            id: id.0,
            offset: 0,
            len: PAGE as u32,
        };
        let [low, high] = whole.to_words();
        for sink in self.0.iter().take(sharers) {
            // SAFETY: the caller's, and referenced until the end.
            unsafe { client.cbuf_send(id, sink.peer) };
            let take = stubs::pipe::method::TAKE;
            rt::invoke(sink.entry, take, [low, high, 0, 0])?;
        }
        // SAFETY: given up by the caller.
        unsafe { client.cbuf_free(id) };
        Ok(())
    }
}

/// Our own number, as policies name us.
pub fn own() -> u32 {
    u32::from(rt::info().id.0)
}

pub fn measure() -> Result<(), Error> {
    let policy = Policy::bind()?;
    let sinks = Sinks::find()?;
    let (before, ..) = policy.usage(own())?;
    for pages in POOLS {
        for sharers in SHARERS {
            amortised(&policy, &sinks, pages, sharers)?;
        }
    }
    policy.set_pool(own(), before)
}

/// One pool from nothing: what was sent to more stays mapped there.
fn amortised(policy: &Policy, sinks: &Sinks, pages: u64, sharers: usize) -> Result<(), Error> {
    policy.set_pool(own(), 0)?;
    policy.set_pool(own(), pages)?;
    fill(sinks, sharers, pages)?;
    allocate(sinks, sharers, 2 * pages)?;
    let (limit, held, ..) = policy.usage(own())?;
    ensure(limit == pages && held == pages)?;
    let (_, collecting, collections, _) = policy.timing(own())?;
    let count = FEWEST.max(4 * pages);
    let ticks = allocate(sinks, sharers, count)?;
    let (_, collected_in, collected, _) = policy.timing(own())?;
    let name = |what: &str, value: u64| {
        rt::println!("BENCH {what}-{pages}-{sharers} {}", value / count);
    };
    name("amortised", ticks);
    name("collecting", collected_in - collecting);
    rt::println!(
        "BENCH collections-{pages}-{sharers} {}",
        collected - collections
    );
    Ok(())
}

/// Has a pool hold so many buffers, all of them garbage that others have mapped.
pub fn fill(sinks: &Sinks, sharers: usize, pages: u64) -> Result<(), Error> {
    let mut ids = [CbufId::NONE; LARGEST];
    let ids = ids.get_mut(..pages as usize).ok_or(Error::BadSize)?;
    for id in ids.iter_mut() {
        *id = rt::cbuf::client().try_alloc(PAGE)?.1;
    }
    ids.iter().try_for_each(|id| sinks.share(*id, sharers))
}

/// Ticks of so many allocations, each sent around and freed by all before the next.
fn allocate(sinks: &Sinks, sharers: usize, count: u64) -> Result<u64, Error> {
    let (client, nothing) = (rt::cbuf::client(), nothing());
    let mut sum = 0;
    for _ in 0..count {
        let ((_, id), ticks) = timed_alloc(client, PAGE)?;
        sum += ticks.saturating_sub(nothing);
        sinks.share(id, sharers)?;
    }
    Ok(sum)
}
