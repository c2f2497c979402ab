//! Why building the image failed, as one sentence.

use alloc::format;
use alloc::string::String;

use abi::Error;

/// What could not be done.
pub struct Trouble(pub String);

pub type Result<T> = core::result::Result<T, Trouble>;

impl Trouble {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Says what was being done when a system call was refused.
pub trait Doing<T> {
    fn doing(self, what: &str) -> Result<T>;
}

impl<T> Doing<T> for core::result::Result<T, Error> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Trouble(format!("cannot {what}: {error}")))
    }
}
