use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

const BASE: u64 = 64 << 20;
const BLOCKS: usize = 12;

fn physical(colours: usize) -> Physical {
    Physical::new(BASE, (BLOCKS * BLOCK) as u64, colours).unwrap()
}

fn address(page: Page) -> u64 {
    BASE + u64::from(page.0) * PAGE as u64
}

#[test]
fn bad_memory_is_refused() {
    let make = |base, bytes, colours| Physical::new(base, bytes, colours).map(drop);
    assert_eq!(make(BASE, 0, 1), Err(Error::BadSize));
    assert_eq!(make(BASE, 3 << 20, 1), Err(Error::BadSize));
    assert_eq!(make(BASE + 4096, 4 << 20, 1), Err(Error::BadAlign));
    assert_eq!(make(BASE, 4 << 20, 0), Err(Error::BadColours));
    assert_eq!(make(BASE, 4 << 20, 6), Err(Error::BadColours));
    assert_eq!(make(BASE, 4 << 20, 128), Err(Error::BadColours));
}

#[test]
fn pages_of_each_colour_partition_a_word() {
    for colours in [1, 2, 4, 8, 16, 32, 64] {
        let all = (0..colours).fold(0, |all, c| {
            assert_eq!(all & (every(colours) << c), 0);
            all | (every(colours) << c)
        });
        assert_eq!(all, u64::MAX);
    }
}

#[test]
fn a_colour_runs_out_by_itself() {
    let mut p = physical(16);
    let one = Colours::one(5);
    assert_eq!(p.take_page(one), None);
    p.open_pages().unwrap();
    let mut taken = Vec::new();
    while let Some(page) = p.take_page(one) {
        assert_eq!(address(page) / 4096 % 16, 5);
        taken.push(page);
    }
    assert_eq!(taken.len(), BLOCK_PAGES / 16);
    assert!(p.take_page(Colours(!one.0)).is_some());
    p.give_pages(taken[3], 1);
    assert_eq!(p.take_page(one), Some(taken[3]));
}

#[derive(Clone, Debug)]
enum Step {
    Run(usize, usize),
    Page(u64),
    Row(usize),
    Object(usize),
    Give(usize),
    Trim,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1usize..6, 0u32..3).prop_map(|(count, align)| Step::Run(count, 1 << align)),
        8 => (1u64..256).prop_map(Step::Page),
        3 => (1usize..512).prop_map(Step::Row),
        3 => prop_oneof![Just(1usize), Just(4)].prop_map(Step::Object),
        10 => any::<usize>().prop_map(Step::Give),
        1 => Just(Step::Trim),
    ]
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Kind {
    Run,
    Pages,
    Object,
}

proptest! {
    #[test]
    fn a_row_is_the_first_there_is(
        taken in prop::collection::btree_set(0..BLOCK_PAGES, 0..40),
        count in prop_oneof![1usize..12, 1..=BLOCK_PAGES],
        align in 0u32..4,
    ) {
        let mut block = FREE;
        taken.iter().for_each(|n| block.mark(*n, 1, false));
        let align = 1 << align;
        let naive = (0..=BLOCK_PAGES - count)
            .step_by(align)
            .find(|first| (*first..first + count).all(|n| !taken.contains(&n)));
        prop_assert_eq!(block.row(count, align), naive);
    }

    #[test]
    fn nothing_is_given_twice_and_all_comes_back(
        steps in prop::collection::vec(any_step(), 1..120),
        colours in 0u32..4,
    ) {
        let mut p = physical(1 << colours);
        // First page of what is taken: how many, and what.
        let mut taken = BTreeMap::<u32, (u32, Kind)>::new();
        let overlaps = |taken: &BTreeMap<u32, (u32, Kind)>, first: u32, count: u32| {
            let before = taken.range(..first + count).next_back();
            before.is_some_and(|(at, (n, _))| at + n > first)
        };
        for step in steps {
            let found = match step {
                Step::Run(count, align) => p.take_run(count, align).map(|block| {
                    let page = Page::of_block(block);
                    assert!(address(page).is_multiple_of((align * BLOCK) as u64));
                    assert_eq!(p.head(Page(page.0 + (count * BLOCK_PAGES) as u32 - 1)), block);
                    (page, count * BLOCK_PAGES, Kind::Run)
                }),
                Step::Page(mask) => {
                    let colours = Colours(mask);
                    let possible = mask & (u64::MAX >> (64 - p.colours())) != 0;
                    let mut page = p.take_page(colours);
                    if page.is_none() && possible && p.open_pages().is_some() {
                        page = p.take_page(colours);
                        assert!(page.is_some());
                    }
                    if let Some(page) = page {
                        let colour = address(page) / 4096 % p.colours() as u64;
                        assert_eq!(mask >> colour & 1, 1);
                    }
                    page.map(|page| (page, 1, Kind::Pages))
                }
                Step::Row(count) => p
                    .take_row(count)
                    .or_else(|| p.open_pages().and_then(|_| p.take_row(count)))
                    .map(|page| (page, count, Kind::Pages)),
                Step::Object(count) => p.take_object(count).map(|page| {
                    assert!(page.0.is_multiple_of(count as u32));
                    (page, count, Kind::Object)
                }),
                Step::Give(which) => {
                    if !taken.is_empty() {
                        let at = *taken.keys().nth(which % taken.len()).unwrap();
                        let (count, kind) = taken.remove(&at).unwrap();
                        match kind {
                            Kind::Run => p.give_run(Page(at).block()),
                            Kind::Pages => p.give_pages(Page(at), count as usize),
                            Kind::Object => p.give_object(Page(at), count as usize),
                        }
                    }
                    None
                }
                Step::Trim => {
                    while let Some(block) = p.idle(0) {
                        p.close_pages(block);
                    }
                    None
                }
            };
            if let Some((page, count, kind)) = found {
                prop_assert!(!overlaps(&taken, page.0, count as u32));
                prop_assert!(page.0 as usize + count <= BLOCKS * BLOCK_PAGES);
                taken.insert(page.0, (count as u32, kind));
            }
        }
        for (at, (count, kind)) in taken {
            match kind {
                Kind::Run => p.give_run(Page(at).block()),
                Kind::Pages => p.give_pages(Page(at), count as usize),
                Kind::Object => p.give_object(Page(at), count as usize),
            }
        }
        while let Some(block) = p.idle(0) {
            p.close_pages(block);
        }
        prop_assert_eq!(p.free_blocks(), BLOCKS);
        prop_assert_eq!(p.take_run(BLOCKS, 1), Some(0));
    }
}
