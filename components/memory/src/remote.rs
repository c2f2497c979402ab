//! A backing store in another component, reached through the interface `store`: each page travels
//! in a buffer, and is kept there for this component alone.

use crate::{Error, Store};
use rt::cbuf::Buffer;
use stubs::store::Client;

/// The store that the image names: for a component that invokes `store` and `cbuf` and has a pool, of
/// a few times its largest page.
///
/// It works from a fault handler: it uses no heap, and waits for nothing but the store and, when the
/// pool is empty, the CBUF manager.
pub struct Remote(Client);

impl Remote {
    /// Errors: `NotGranted` where the image has no such import.
    pub fn bind() -> Result<Remote, Error> {
        Client::bind().map(Remote).map_err(|_| Error::NotGranted)
    }
}

impl Store for Remote {
    fn read(&mut self, page: usize, into: &mut [u8]) -> Result<(), Error> {
        let page = u32::try_from(page).map_err(|_| Error::Store)?;
        let data = self.0.read(page).map_err(|_| Error::Store)?;
        if data.len() != into.len() {
            return Err(Error::Store);
        }
        into.copy_from_slice(&data);
        Ok(())
    }

    fn write(&mut self, page: usize, from: &[u8]) -> Result<(), Error> {
        let page = u32::try_from(page).map_err(|_| Error::Store)?;
        let buffer = Buffer::alloc(rt::cbuf::client(), from.len());
        let mut buffer = buffer.map_err(|_| Error::Store)?;
        buffer[..from.len()].copy_from_slice(from);
        let data = buffer.freeze(from.len());
        self.0.write(page, &data).map_err(|_| Error::Store)
    }
}
