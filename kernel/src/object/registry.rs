//! The configured objects of one kind on a core. A core takes a fixed number of them, as many as
//! one image can have, so that whatever looks at all of them does bounded work.

use abi::Error;
use core::ptr;

/// Up to `MOST` objects, in no order.
pub struct Registry<T, const MOST: usize>([*mut T; MOST]);

impl<T, const MOST: usize> Registry<T, MOST> {
    pub const fn new() -> Self {
        Registry([ptr::null_mut(); MOST])
    }

    /// Errors: `Busy` when all places are taken. Looks at up to `MOST` words.
    pub fn place(&mut self) -> Result<&mut *mut T, Error> {
        let mut places = self.0.iter_mut();
        places.find(|place| place.is_null()).ok_or(Error::Busy)
    }

    /// Forgets an object; whether it was there.
    pub fn remove(&mut self, object: *mut T) -> bool {
        let place = self.0.iter_mut().find(|place| **place == object);
        place.map(|place| *place = ptr::null_mut()).is_some()
    }

    /// The object in a place, or null.
    pub fn get(&self, place: usize) -> *mut T {
        self.0.get(place).copied().unwrap_or(ptr::null_mut())
    }
}
