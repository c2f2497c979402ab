//! Physical addresses of CBUF pages, remembered.
//!
//! The manager shows each physical page at the same virtual address in every component and at
//! no other (its `place`), so what is remembered by virtual page never becomes wrong, whichever
//! buffer lies there. A direct-mapped table: bounded, and a collision costs one call.

use alloc::vec::Vec;

const PAGE: u64 = 4096;
const PLACES: usize = 2048;

pub struct Addresses {
    /// Virtual page number (0: empty) and physical page address.
    places: Vec<(u64, u64)>,
}

impl Default for Addresses {
    fn default() -> Self {
        Addresses {
            places: alloc::vec![(0, 0); PLACES],
        }
    }
}

impl Addresses {
    /// The physical address of `address`. `ask` gives that of a whole buffer's beginning, which
    /// lies `offset` bytes before; it is called when the page is not remembered.
    pub fn physical<E>(
        &mut self,
        address: usize,
        offset: usize,
        ask: impl FnOnce() -> Result<u64, E>,
    ) -> Result<u64, E> {
        let (page, within) = (address as u64 / PAGE, address as u64 % PAGE);
        let place = &mut self.places[page as usize % PLACES];
        if place.0 != page {
            let physical = ask()?.wrapping_add(offset as u64);
            *place = (page, physical - physical % PAGE);
        }
        Ok(place.1 + within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_once_a_page() {
        let mut addresses = Addresses::default();
        let first = addresses.physical(0x8000_1010, 0x1010, || Ok::<u64, ()>(0x70_0000));
        assert_eq!(first, Ok(0x70_1010));
        let again = addresses.physical(0x8000_1800, 0x1800, || Err(()));
        assert_eq!(again, Ok(0x70_1800));
        assert_eq!(addresses.physical(0x8000_2000, 0x2000, || Err(())), Err(()));
        let far = 0x8000_1000 + PLACES * 4096;
        assert_eq!(addresses.physical(far, 0, || Ok::<u64, ()>(0)), Ok(0));
        assert_eq!(addresses.physical(0x8000_1010, 0x1010, || Err(())), Err(()));
    }
}
