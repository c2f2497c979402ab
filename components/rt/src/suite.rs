//! What a component prints that tests the system from inside: `TEST name ok` or
//! `TEST name FAILED why`, a line a test, as `cargo xtask test` reads them; then it ends the
//! machine.

use core::fmt::Display;

use abi::start::slot;

/// Counts failures while the tests run. Needs the rights `console` and `kernel`.
#[derive(Default)]
pub struct Suite {
    failed: u64,
}

impl Suite {
    pub const fn new() -> Self {
        Self { failed: 0 }
    }

    /// Tells what came of a test.
    pub fn tell<E: Display>(&mut self, name: impl Display, result: Result<(), E>) {
        match result {
            Ok(()) => crate::println!("TEST {name} ok"),
            Err(why) => {
                self.failed += 1;
                crate::println!("TEST {name} FAILED {why}");
            }
        }
    }

    /// Ends the machine; its exit code is the number of tests that failed.
    pub fn finish(self) -> ! {
        if let Err(error) = crate::cap::kernel::shutdown(slot::KERNEL, self.failed) {
            crate::println!("TEST shutdown FAILED {error}");
        }
        crate::component::stop()
    }
}
