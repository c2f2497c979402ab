//! Measures capability operations while the mapping database grows, prints a line for each figure,
//! takes everything apart again, and stops the machine. It takes the scheduler's place, so that
//! nothing runs beside it: `init` waits in `block`. With QEMU's `-icount shift=0` its figures are
//! instructions. Source: Barrelfish, chapter 4.7 (one core's part of it).

#![no_std]
#![no_main]

mod database;
mod measure;
mod slots;

use abi::op::kernel::stat;
use abi::start::StartInfo;
use abi::start::slot::{CSPACE, KERNEL};
use abi::{CPtr, CapType, Error};
use bench::stock::Stock;
use rt::alone;
use rt::cap;
use rt::suite::Suite;

use crate::database::Database;

rt::component! {
    start: start,
    thread: main,
    serve: { stubs::sched::INTERFACE => alone::sched, stubs::sched_control::INTERFACE => alone::control }
}

/// log2 of the capabilities that the database is filled with, one size after another, as far as
/// there is memory for them.
const SIZES: core::ops::RangeInclusive<u32> = 12..=16;

/// A slot that `init` leaves empty and nothing else here uses.
const WHOLE: CPtr = CPtr::new(0, 255);

fn start(_info: &'static StartInfo) -> Result<(), Error> {
    Ok(())
}

fn main(_argument: u64) -> ! {
    let mut suite = Suite::new();
    match before() {
        Ok((ram, capabilities)) => {
            suite.tell("measurements", measurements());
            suite.tell("everything comes back", comes_back(ram, capabilities));
        }
        Err(error) => suite.tell("memory", Err(error)),
    }
    suite.finish()
}

/// Capabilities in the kernel's database.
fn capabilities() -> Result<u64, Error> {
    cap::kernel::stat(KERNEL, stat::CAPABILITIES)
}

/// The memory that will be used, and the capabilities that there are before.
fn before() -> Result<(CPtr, u64), Error> {
    Ok((Stock::ram().ok_or(Error::NotFound)?.cap, capabilities()?))
}

fn measurements() -> Result<(), Error> {
    let base = capabilities()?;
    let mut database = Database::new(&mut Stock::new()?)?;
    for log2 in SIZES {
        match database.fill(1 << log2) {
            // The smallest size must fit.
            Err(Error::NoMemory) if log2 > *SIZES.start() => break,
            result => result?,
        }
        if capabilities()? - base < 1 << log2 {
            return Err(Error::BadState);
        }
        measure::everything(&mut database, log2)?;
    }
    Ok(())
}

/// One revocation takes the whole database apart, and then the memory is free.
fn comes_back(ram: CPtr, capabilities_before: u64) -> Result<(), Error> {
    cap::revoke(CSPACE, ram)?;
    if capabilities()? > capabilities_before {
        return Err(Error::BadState);
    }
    let bytes = cap::identify(CSPACE, ram)?.bytes;
    cap::retype(CSPACE, WHOLE, ram, CapType::Frame, 1, 0, bytes)?;
    cap::delete(CSPACE, WHOLE)
}
