//! From an address to its region, which a fault handler asks first: it takes as long whether there are
//! few regions or many.

use abi::layout::PAGE;
use bench::{BATCHES, Random};
use memory::component::Kernel;
use memory::{Access, Error, Mapped, ObjectId, PageSize, Space};
use rt::time;

use crate::print;

/// Regions that there are at a time.
const REGIONS: [usize; 3] = [1, 16, MOST];
const MOST: usize = 200;
/// Times that is asked in a batch.
const ASKED: u64 = 400;

pub fn measure(space: &mut Space<Kernel>, object: ObjectId) -> Result<(), Error> {
    let mut shown: [Option<Mapped>; MOST] = [None; MOST];
    let mut random = Random::new();
    for count in REGIONS {
        for place in shown.iter_mut().take(count).filter(|place| place.is_none()) {
            let size = PageSize::Small;
            *place = Some(space.map(object, 0, PAGE, size, Access::Read, None)?);
        }
        let mut ticks = [0; BATCHES];
        for batch in &mut ticks {
            *batch = asked(space, &shown[..count], &mut random)?;
        }
        print("region-of", count as u64, ASKED, ticks);
    }
    for region in shown.into_iter().flatten() {
        space.unmap(region.id)?;
    }
    Ok(())
}

/// Ticks of all the questions, without those of the looks at the counter.
fn asked(
    space: &Space<Kernel>,
    shown: &[Option<Mapped>],
    random: &mut Random,
) -> Result<u64, Error> {
    let mut ticks = 0;
    for _ in 0..ASKED {
        let n = random.below(shown.len() as u64) as usize;
        let region = shown[n].ok_or(Error::NoRegion)?;
        let address = region.address + random.below(PAGE as u64) as usize;
        let before = time::now();
        let begun = time::now();
        let found = space.region_at(address);
        ticks += time::now() - begun - (begun - before);
        if found.is_none_or(|found| found.id != region.id) {
            return Err(Error::NoRegion);
        }
    }
    Ok(ticks)
}
