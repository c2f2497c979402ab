//! Long random sequences of everything that a space can do, against plain lists: what a word holds,
//! who may write it, which pages are dirty, and that nothing is lost when the kernel refuses.

mod board;

use board::{Model, PAGE, load, store};
use memory::{
    Access, Colours, Content, Error, Kind, Mapped, ObjectId, Outcome, PageSize, Space, Store, Trace,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const BYTES: u64 = 20 << 20;
const P: usize = PAGE as usize;

#[derive(Default)]
struct Shelf(BTreeMap<usize, Vec<u8>>);

impl Store for Shelf {
    fn read(&mut self, page: usize, into: &mut [u8]) -> Result<(), Error> {
        into.copy_from_slice(self.0.get(&page).ok_or(Error::Store)?);
        Ok(())
    }
    fn write(&mut self, page: usize, from: &[u8]) -> Result<(), Error> {
        self.0.insert(page, from.to_vec());
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Step {
    Pinned(usize, PageSize, u64),
    Lazy(usize, PageSize, u64),
    Paged(usize, PageSize, usize),
    /// The frame behind a pinned object, as an object.
    Fixed(usize),
    Release(usize),
    Map(usize, usize, usize, PageSize, Access),
    Unmap(usize),
    Protect(usize, usize, usize, Access),
    Load(usize, usize),
    Store(usize, usize, u64),
    ClearDirty(usize, usize, usize),
    Resize(usize, usize),
    /// So many calls that make something succeed, then none, for one step.
    Refuse(u64),
}

fn any_page() -> impl Strategy<Value = PageSize> + Clone {
    prop_oneof![3 => Just(PageSize::Small), 1 => Just(PageSize::Large)]
}

fn any_access() -> impl Strategy<Value = Access> + Clone {
    prop_oneof![
        2 => Just(Access::ReadWrite),
        1 => Just(Access::Read),
        1 => Just(Access::ReadExecute)
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    let n = || any::<usize>();
    let colours = || prop_oneof![3 => Just(u64::MAX), 1 => 1u64..256];
    prop_oneof![
        2 => (1usize..1300, any_page(), colours()).prop_map(|(b, p, c)| Step::Pinned(b, p, c)),
        2 => (1usize..1300, any_page(), colours()).prop_map(|(b, p, c)| Step::Lazy(b, p, c)),
        2 => (1usize..60, any_page(), 1usize..6).prop_map(|(b, p, r)| Step::Paged(b, p, r)),
        1 => n().prop_map(Step::Fixed),
        3 => n().prop_map(Step::Release),
        5 => (n(), n(), n(), any_page(), any_access())
            .prop_map(|(o, f, b, p, a)| Step::Map(o, f, b, p, a)),
        4 => n().prop_map(Step::Unmap),
        4 => (n(), n(), n(), any_access()).prop_map(|(r, f, b, a)| Step::Protect(r, f, b, a)),
        8 => (n(), n()).prop_map(|(r, p)| Step::Load(r, p)),
        12 => (n(), n(), any::<u64>()).prop_map(|(r, p, v)| Step::Store(r, p, v)),
        2 => (n(), n(), n()).prop_map(|(r, f, b)| Step::ClearDirty(r, f, b)),
        1 => (n(), 1usize..8).prop_map(|(o, r)| Step::Resize(o, r)),
        1 => (0u64..12).prop_map(Step::Refuse),
    ]
}

#[derive(Clone)]
struct Object {
    id: ObjectId,
    bytes: usize,
    /// Page size that it must be mapped with, if there is one, else the largest.
    page: PageSize,
    demand: bool,
    paged: bool,
    /// Whose words these are, and from which page on.
    words: (usize, usize),
}

struct Region {
    mapped: Mapped,
    object: usize,
    /// By page of the region's size.
    access: Vec<Access>,
    dirty: BTreeSet<usize>,
}

struct World {
    space: Space<Model>,
    objects: Vec<Object>,
    regions: Vec<Region>,
    /// By object number at its making, and page: what its first word is, if not zero.
    words: BTreeMap<(usize, usize), u64>,
    made: usize,
    refuse: Option<u64>,
}

/// Errors that only say that something has run out.
fn short(error: Error) -> bool {
    matches!(
        error,
        Error::NoMemory | Error::TooMany | Error::Kernel(abi::Error::NoMemory) | Error::NoSlots
    )
}

impl World {
    fn add(
        &mut self,
        made: Result<ObjectId, Error>,
        bytes: usize,
        page: PageSize,
        demand: bool,
        paged: bool,
    ) {
        match made {
            Ok(id) => {
                let words = (self.made, 0);
                self.made += 1;
                self.objects.push(Object {
                    id,
                    bytes,
                    page,
                    demand,
                    paged,
                    words,
                });
            }
            Err(error) => assert!(short(error) || error == Error::BadColours, "{error:?}"),
        }
    }

    fn used(&self, object: usize) -> bool {
        self.regions.iter().any(|region| region.object == object)
    }

    /// A whole-page range of a region, from two numbers.
    fn range(region: &Region, first: usize, count: usize) -> (usize, usize) {
        let pages = region.access.len();
        let first = first % pages;
        (first, 1 + count % (pages - first))
    }

    fn step(&mut self, step: &Step) {
        let usage = self.space.usage();
        let space = &mut self.space;
        match *step {
            Step::Pinned(pages, page, colours) => {
                let (bytes, colours) = size(pages, page, colours);
                let made = space.pinned(bytes as u64, page, colours);
                self.add(made, bytes, page, false, false);
            }
            Step::Lazy(pages, page, colours) => {
                let (bytes, colours) = size(pages, page, colours);
                let made = space.lazy(bytes as u64, page, colours);
                self.add(made, bytes, page, true, false);
            }
            Step::Paged(pages, page, resident) => {
                let bytes = (pages % 9 + 1) * page.bytes();
                let shelf = Box::new(Shelf::default());
                let (any, zeros) = (Colours::ANY, Content::Zeros);
                let made = space.paged(bytes as u64, page, any, resident, zeros, shelf);
                self.add(made, bytes, page, true, true);
            }
            Step::Fixed(which) => {
                let Some(of) = pick(&self.objects, which).map(|n| self.objects[n].clone()) else {
                    return;
                };
                // As long as the frame's object is there, so are its words; so it is kept.
                if of.demand
                    || of.words.1 != 0
                    || self
                        .objects
                        .iter()
                        .any(|o| o.words.0 == of.words.0 && o.id != of.id)
                {
                    return;
                }
                let at = of.bytes / 2 / P;
                if let Ok((frame, offset, bytes)) = space.frame(of.id, (at * P) as u64) {
                    let made = space.fixed(frame, offset, bytes);
                    if let Ok(id) = made {
                        self.objects.push(Object {
                            id,
                            bytes: bytes as usize,
                            page: PageSize::Small,
                            demand: false,
                            paged: false,
                            words: (of.words.0, at),
                        });
                    }
                }
            }
            Step::Release(which) => {
                let Some(n) = pick(&self.objects, which) else {
                    return;
                };
                let words = self.objects[n].words;
                let lent = self.objects.iter().filter(|o| o.words.0 == words.0).count() > 1;
                if lent && words.1 == 0 {
                    return;
                }
                let released = space.release(self.objects[n].id);
                if self.used(n) {
                    assert_eq!(released, Err(Error::InUse));
                } else {
                    assert_eq!(released, Ok(()));
                    self.objects.remove(n);
                    self.regions
                        .iter_mut()
                        .filter(|region| region.object > n)
                        .for_each(|region| region.object -= 1);
                }
            }
            Step::Map(which, first, count, page, access) => {
                let Some(n) = pick(&self.objects, which) else {
                    return;
                };
                let object = self.objects[n].clone();
                let page = match object.demand {
                    true => object.page,
                    false => page.min(object.page),
                };
                let pages = object.bytes / page.bytes();
                if pages == 0 {
                    return;
                }
                let first = first % pages;
                let bytes = (1 + count % (pages - first)) * page.bytes();
                let offset = (first * page.bytes()) as u64;
                let used = self.used(n);
                match self.space.map(object.id, offset, bytes, page, access, None) {
                    Ok(mapped) => {
                        assert!(!(object.paged && used));
                        self.regions.push(Region {
                            mapped,
                            object: n,
                            access: vec![access; bytes / page.bytes()],
                            dirty: BTreeSet::new(),
                        });
                    }
                    Err(Error::InUse) => assert!(object.paged && used),
                    Err(error) => {
                        assert!(short(error), "{error:?}");
                        assert_eq!(self.space.usage().regions, usage.regions);
                    }
                }
            }
            Step::Unmap(which) => {
                if let Some(n) = pick(&self.regions, which) {
                    let region = self.regions.swap_remove(n);
                    assert_eq!(space.unmap(region.mapped.id), Ok(()));
                    assert_eq!(space.unmap(region.mapped.id), Err(Error::NoRegion));
                }
            }
            Step::Protect(which, first, count, access) => {
                let Some(n) = pick(&self.regions, which) else {
                    return;
                };
                let region = &mut self.regions[n];
                let (first, count) = World::range(region, first, count);
                let size = region.mapped.page.bytes();
                let at = region.mapped.address + first * size;
                assert_eq!(space.protect(at, count * size, access), Ok(()));
                region.access[first..first + count].fill(access);
            }
            Step::ClearDirty(which, first, count) => {
                let Some(n) = pick(&self.regions, which) else {
                    return;
                };
                let region = &mut self.regions[n];
                let (first, count) = World::range(region, first, count);
                let size = region.mapped.page.bytes();
                let at = region.mapped.address + first * size;
                assert_eq!(space.clear_dirty(at, count * size), Ok(()));
                region
                    .dirty
                    .retain(|page| !(first..first + count).contains(page));
            }
            Step::Load(which, page) => {
                if let Some(n) = pick(&self.regions, which) {
                    let (at, key) = self.word(n, page);
                    match load(&mut self.space, at) {
                        Ok(value) => {
                            let expected = self.words.get(&key).copied().unwrap_or(0);
                            assert_eq!(value, expected);
                        }
                        Err(Outcome::Failed(error)) => assert!(short(error), "{error:?}"),
                        Err(outcome) => panic!("{outcome:?}"),
                    }
                }
            }
            Step::Store(which, page, value) => {
                if let Some(n) = pick(&self.regions, which) {
                    let (at, key) = self.word(n, page);
                    let region = &mut self.regions[n];
                    let page = (at - region.mapped.address) / region.mapped.page.bytes();
                    let allowed = region.access[page] == Access::ReadWrite;
                    match store(&mut self.space, at, value) {
                        Ok(()) => {
                            assert!(allowed);
                            self.words.insert(key, value);
                            region.dirty.insert(page);
                        }
                        Err(Outcome::Denied(id)) => assert!(!allowed && id == region.mapped.id),
                        Err(Outcome::Failed(error)) => assert!(short(error) && allowed),
                        Err(outcome) => panic!("{outcome:?}"),
                    }
                }
            }
            Step::Resize(which, resident) => {
                let paged: Vec<_> = self.objects.iter().filter(|o| o.paged).collect();
                if let Some(n) = pick(&paged, which) {
                    let id = paged[n].id;
                    if let Err(error) = space.resize(id, resident) {
                        assert!(short(error), "{error:?}");
                    }
                }
            }
            Step::Refuse(patience) => self.refuse = Some(patience),
        }
    }

    /// A word of a region: its address, and whose it is.
    fn word(&self, region: usize, page: usize) -> (usize, (usize, usize)) {
        let Region { mapped, object, .. } = &self.regions[region];
        // Mostly the first few, so that the same pages are used again and again.
        let page = if page.is_multiple_of(4) {
            page
        } else {
            page / 4 % 5
        };
        let page = page % (mapped.bytes / P);
        let (number, first) = self.objects[*object].words;
        let index = first + mapped.offset as usize / P + page;
        (mapped.address + page * P, (number, index))
    }

    fn check(&mut self) {
        let usage = self.space.usage();
        assert_eq!(usage.regions, self.regions.len());
        assert_eq!(usage.objects, self.objects.len());
        for region in &self.regions {
            let Mapped {
                address,
                bytes,
                page,
                ..
            } = region.mapped;
            for at in [address, address + bytes / 2, address + bytes - 1] {
                assert_eq!(self.space.region_at(at), Some(region.mapped));
            }
            assert_ne!(self.space.region_at(address + bytes), Some(region.mapped));
            // What the pager unmaps meanwhile is not dirty any more.
            if !self.objects[region.object].paged {
                let mut dirty = BTreeSet::new();
                let note = |at: usize| {
                    dirty.insert((at - address) / page.bytes());
                };
                let traced = self.space.traced(address, bytes, Trace::Dirty, note);
                assert_eq!(traced, Ok(()));
                assert_eq!(dirty, region.dirty);
            }
            let end = region.mapped.address + bytes;
            let outside = self.space.fault(end, Kind::Read);
            let beside = self.regions.iter().any(|other| other.mapped.address == end);
            assert!(beside || outside == Outcome::Elsewhere);
        }
    }
}

/// Bytes of so many pages (of that size: fewer), and colours where they are allowed.
fn size(pages: usize, page: PageSize, colours: u64) -> (usize, Colours) {
    match page {
        PageSize::Small => (pages * P, Colours(colours)),
        _ => ((pages % 3 + 1) * page.bytes(), Colours::ANY),
    }
}

fn pick<T>(from: &[T], which: usize) -> Option<usize> {
    (!from.is_empty()).then(|| which % from.len())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 64 } else { 2000 }))]

    #[test]
    fn agrees_with_plain_lists(steps in prop::collection::vec(any_step(), 1..300)) {
        let model = Model::new(BYTES);
        let count = model.caps.count();
        let mut settings = Model::settings(BYTES);
        settings.colours = 8;
        (settings.regions, settings.objects) = (5, 4);
        let mut world = World {
            space: Space::new(model, &settings).unwrap(),
            objects: Vec::new(),
            regions: Vec::new(),
            words: BTreeMap::new(),
            made: 0,
            refuse: None,
        };
        for step in &steps {
            let patience = world.refuse.take().unwrap_or(u64::MAX);
            world.space.machine().patience = patience;
            world.step(step);
            world.space.machine().patience = u64::MAX;
            world.check();
        }
        // Each word once more, and everything back.
        for n in 0..world.regions.len() {
            for page in (0..world.regions[n].mapped.bytes / P).step_by(7) {
                world.step(&Step::Load(n, page));
            }
        }
        let model = world.space.close();
        prop_assert_eq!(model.caps.count(), count);
    }
}
