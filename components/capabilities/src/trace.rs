//! System calls that are remembered: which operation of which type had which outcome. In the end
//! that must be what the table of operations says, no less and no more.

use abi::op::{INTERFACES, Interface, Operation};
use abi::start::slot::{CSPACE, KERNEL};
use abi::{CPtr, CapType, Error, op};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;

/// Outcomes that cannot be brought about here: success of SHUTDOWN is how the test ends; and the
/// processor of the test machine has 1 GiB pages (host tests have one without).
const ELSEWHERE: [(&str, &str, Option<Error>); 2] = [
    ("kernel", "SHUTDOWN", None),
    ("table", "MAP", Some(Error::NotSupported)),
];

/// Operation numbers that are tried of each type.
const NUMBERS: u64 = 24;

/// In place of a type: the address `OWN`, whose operations are of no type.
const OWN: u8 = u8::MAX;

/// What happened: type, operation, error (0 for success).
#[derive(Default)]
pub struct Trace(BTreeSet<(u8, u64, u64)>);

impl Trace {
    /// Invokes a kernel object.
    pub fn call(&mut self, object: CPtr, op: u64, args: [u64; 5]) -> Result<[u64; 4], Error> {
        let captype = rt::cap::identify(CSPACE, object).map(|found| found.captype);
        let result = rt::syscall(object, op, args);
        if let Ok(captype) = captype {
            let error = result.err().map_or(0, |error| error as u64);
            self.0.insert((captype as u8, op, error));
        }
        result
    }

    /// A component was told so of an operation on itself.
    pub fn own<T>(&mut self, op: u64, result: Result<T, Error>) {
        let error = result.err().map_or(0, |error| error as u64);
        self.0.insert((OWN, op, error));
    }

    fn saw(&self, interface: &Interface, op: &Operation, error: u64) -> bool {
        if interface.types.is_empty() {
            return self.0.contains(&(OWN, op.number, error));
        }
        let mut types = interface.types.iter();
        types.any(|ty| self.0.contains(&(*ty as u8, op.number, error)))
    }

    /// Compares all that happened with the table.
    pub fn compare(&self) -> Result<(), String> {
        for interface in INTERFACES {
            for op in interface.operations {
                let listed = op.errors.iter().map(|(error, _)| Some(*error));
                for outcome in listed.chain([None]) {
                    let number = outcome.map_or(0, |error| error as u64);
                    let elsewhere = ELSEWHERE.contains(&(interface.name, op.name, outcome));
                    if self.saw(interface, op, number) == elsewhere {
                        let what = outcome.map_or("success", Error::text);
                        let now = if elsewhere {
                            "now happened"
                        } else {
                            "never happened"
                        };
                        return Err(format!("{} {}: '{what}' {now}", interface.name, op.name));
                    }
                }
            }
        }
        for (captype, number, error) in &self.0 {
            let found = match *captype {
                OWN => described_own(*number),
                ty => CapType::from_raw(u64::from(ty)).and_then(|ty| described(ty, *number)),
            };
            let allowed = match found {
                Some((_, op)) => {
                    *error == 0 || op.errors.iter().any(|(listed, _)| *listed as u64 == *error)
                }
                None => *error == Error::BadOperation as u64,
            };
            if !allowed {
                return Err(format!("type {captype}, operation {number}: error {error}"));
            }
        }
        Ok(())
    }
}

/// The operation of a type that has a number, and whose it is.
pub fn described(
    captype: CapType,
    number: u64,
) -> Option<(&'static Interface, &'static Operation)> {
    let mut interfaces = INTERFACES.iter();
    let interface = interfaces.find(|interface| interface.types.contains(&captype))?;
    let mut operations = interface.operations.iter();
    let found = operations.find(|op| op.number == number)?;
    Some((interface, found))
}

/// The operation on a component itself that has a number.
fn described_own(number: u64) -> Option<(&'static Interface, &'static Operation)> {
    let interface = INTERFACES.iter().find(|found| found.types.is_empty())?;
    let mut operations = interface.operations.iter();
    let found = operations.find(|op| op.number == number)?;
    Some((interface, found))
}

/// Numbers that are no operation on a component itself.
pub fn unknown_own() -> impl Iterator<Item = u64> {
    (0..NUMBERS).filter(|number| described_own(*number).is_none())
}

/// Every number that the table does not give to a type is refused as such.
pub fn unknown_operations(trace: &mut Trace, object: CPtr) -> Result<(), Error> {
    let captype = rt::cap::identify(CSPACE, object)?.captype;
    for number in 0..NUMBERS {
        if described(captype, number).is_none()
            && trace.call(object, number, [0; 5]) != Err(Error::BadOperation)
        {
            return Err(Error::Unknown);
        }
    }
    Ok(())
}

/// Capabilities in the kernel's database.
pub fn capabilities() -> Result<u64, Error> {
    rt::cap::kernel::stat(KERNEL, op::kernel::stat::CAPABILITIES)
}
