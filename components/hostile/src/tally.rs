//! How often each operation had which result: what a fuzzer really tried.

use abi::op::{INTERFACES, Interface, Operation};
use abi::{CapType, Error};
use core::fmt;

/// Room for every operation there is, and behind them for invocations of Entries and for numbers that
/// are no operation of the type that they were tried on.
const PLACES: usize = 48;
const INVOKED: usize = PLACES - 2;
const NO_OPERATION: usize = PLACES - 1;
/// Room for success and every error.
const RESULTS: usize = Error::Unknown as usize + 1;

/// An operation, by its interface's name and its own, and a result of it.
pub type Outcome = (&'static str, &'static str, Result<(), Error>);

pub struct Tally([[u32; RESULTS]; PLACES]);

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Tally {
    pub const fn new() -> Self {
        Self([[0; RESULTS]; PLACES])
    }

    /// A call of operation `number` on a capability of a type (`None` where there was none) ended with
    /// `status`. Errors of whoever an Entry leads to are counted as they are.
    pub fn count(&mut self, captype: Option<CapType>, number: u64, status: u64) {
        let place = match captype {
            Some(CapType::Entry) => INVOKED,
            Some(captype) => operations()
                .position(|(of, operation)| {
                    of.types.contains(&captype) && operation.number == number
                })
                .unwrap_or(NO_OPERATION),
            None => NO_OPERATION,
        };
        let result = Error::check(status).map_or_else(|error| error as usize, |()| 0);
        if let Some(count) = self.0.get_mut(place).and_then(|row| row.get_mut(result)) {
            *count = count.saturating_add(1);
        }
    }

    pub fn of(&self, (interface, name, result): Outcome) -> u32 {
        let place = operations().position(|(of, op)| of.name == interface && op.name == name);
        let result = result.map_or_else(|error| error as usize, |()| 0);
        let row = place.and_then(|place| self.0.get(place));
        row.and_then(|row| row.get(result)).copied().unwrap_or(0)
    }

    /// The first that never happened.
    pub fn missing(&self, required: &[Outcome]) -> Option<Outcome> {
        required
            .iter()
            .copied()
            .find(|outcome| self.of(*outcome) == 0)
    }
}

fn operations() -> impl Iterator<Item = (&'static Interface, &'static Operation)> {
    let each = |of: &'static Interface| of.operations.iter().map(move |operation| (of, operation));
    INTERFACES.iter().flat_map(each)
}

impl fmt::Display for Tally {
    /// A line for each operation that was tried, after whatever came before.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = operations().map(|(of, operation)| (of.name, operation.name));
        let others = [
            (INVOKED, ("an", "Entry")),
            (NO_OPERATION, ("no", "operation")),
        ];
        for (place, (of, name)) in named.enumerate().chain(others) {
            let row = self.0.get(place).into_iter().flatten();
            let mut counts = row.enumerate().filter(|(_, count)| **count > 0).peekable();
            if counts.peek().is_none() {
                continue;
            }
            write!(f, "\n{of} {name}:")?;
            for (result, count) in counts {
                match Error::check(result as u64) {
                    Ok(()) => write!(f, " {count} done")?,
                    Err(error) => write!(f, " {count} {error:?}")?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use abi::op::{cspace, kernel};
    use std::string::ToString;

    #[test]
    fn every_operation_has_a_place() {
        assert!(operations().count() <= INVOKED);
    }

    #[test]
    fn what_happened_is_counted_and_shown() {
        let mut tally = Tally::new();
        let done = ("cspace", "COPY", Ok(()));
        let full = ("kernel", "CLAIM", Err(Error::SlotInUse));
        assert_eq!(tally.missing(&[done, full]), Some(done));
        tally.count(Some(CapType::L1CNode), cspace::COPY, 0);
        assert_eq!(tally.missing(&[done, full]), Some(full));
        for _ in 0..2 {
            tally.count(
                Some(CapType::Kernel),
                kernel::CLAIM,
                Error::SlotInUse as u64,
            );
        }
        assert_eq!(tally.missing(&[done, full]), None);
        assert_eq!((tally.of(done), tally.of(full)), (1, 2));
        tally.count(Some(CapType::Entry), 99, 1000);
        tally.count(Some(CapType::Frame), 1, Error::BadOperation as u64);
        tally.count(None, 1, Error::NoCapability as u64);
        let shown = "\ncspace COPY: 1 done\nkernel CLAIM: 2 SlotInUse\nan Entry: 1 Unknown\n\
                     no operation: 1 NoCapability 1 BadOperation";
        assert_eq!(tally.to_string(), shown);
    }
}
