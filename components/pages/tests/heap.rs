//! The collector against a plain model, and different ways to find written pages against each
//! other.

use pages::heap::{CELLS_PER_PAGE, Cell, Heap, Link, Nothing, PAGE, Watch};
use pages::trees::{Plan, Program, Trouble};
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

const PAGES: usize = 64;

fn memory() -> Vec<Cell> {
    vec![Cell::default(); PAGES * CELLS_PER_PAGE]
}

/// Finds written pages by comparing with a copy.
struct Copy(Vec<Cell>);

impl Watch for Copy {
    type Error = Infallible;
    fn take(&mut self, cells: &[Cell], pages: &mut Vec<u32>) -> Result<(), Infallible> {
        let both = cells
            .chunks(CELLS_PER_PAGE)
            .zip(self.0.chunks(CELLS_PER_PAGE));
        let differ = both.enumerate().filter(|(_, (now, then))| now != then);
        pages.extend(differ.map(|(page, _)| page as u32));
        self.0.copy_from_slice(cells);
        Ok(())
    }
}

/// Takes every page for written.
struct Everything;

impl Watch for Everything {
    type Error = Infallible;
    fn take(&mut self, cells: &[Cell], pages: &mut Vec<u32>) -> Result<(), Infallible> {
        pages.extend(0..(cells.len() / CELLS_PER_PAGE) as u32);
        Ok(())
    }
}

/// Finds nothing, which loses objects.
struct Blind;

impl Watch for Blind {
    type Error = Infallible;
    fn take(&mut self, _: &[Cell], _: &mut Vec<u32>) -> Result<(), Infallible> {
        Ok(())
    }
}

const PLAN: Plan = Plan {
    long_depth: 10,
    short_depth: 8,
    rounds: 6,
    changes: 3,
    allowance: 500,
    always_full: false,
};

fn no_clock() -> u64 {
    0
}

fn left<W: Watch>(watch: W, plan: Plan) -> Result<Vec<pages::heap::Left>, Trouble<W::Error>> {
    let mut cells = memory();
    let mut program = Program::new(&mut cells, watch, plan, no_clock).checked();
    program.run()?;
    Ok(program.left)
}

#[test]
fn a_page_holds_whole_cells() {
    assert_eq!(CELLS_PER_PAGE * size_of::<Cell>(), PAGE);
}

#[test]
fn ways_to_find_pages_agree() {
    let exact = left(Copy(memory()), PLAN).unwrap();
    assert!(exact.len() > 20);
    assert_eq!(left(Everything, PLAN).unwrap(), exact);
    // The last collection is full, so it leaves what full ones leave.
    let plan = Plan {
        always_full: true,
        ..PLAN
    };
    let full = left(Nothing, plan).unwrap();
    assert_eq!(full.len(), exact.len());
    assert_eq!(full.last().unwrap().cells, exact.last().unwrap().cells);
    // Others leave what died since it was marked.
    assert!(
        exact
            .iter()
            .zip(&full)
            .all(|(some, all)| some.cells >= all.cells)
    );
    assert_eq!(full.last().unwrap().cells, (1 << (PLAN.long_depth + 1)) - 1);
}

#[test]
fn missing_a_page_is_seen() {
    assert_eq!(left(Blind, PLAN), Err(Trouble::Lost));
}

#[test]
fn a_heap_that_is_too_small_says_so() {
    let plan = Plan {
        long_depth: 14,
        ..PLAN
    };
    assert_eq!(left(Everything, plan), Err(Trouble::OutOfMemory));
}

/// One thing that a program does with its objects.
#[derive(Clone, Debug)]
enum Step {
    New(usize, usize),
    Left(usize, usize),
    Right(usize, usize),
    Root(usize),
    Unroot(usize),
    Collect { full: bool },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let n = 0usize..1000;
    let step = prop_oneof![
        6 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::New(a, b)),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Left(a, b)),
        2 => (n.clone(), n.clone()).prop_map(|(a, b)| Step::Right(a, b)),
        1 => n.clone().prop_map(Step::Root),
        1 => n.prop_map(Step::Unroot),
        1 => any::<bool>().prop_map(|full| Step::Collect { full }),
    ];
    proptest::collection::vec(step, 1..400)
}

/// Objects as plain sets: number to children.
#[derive(Default)]
struct Model {
    objects: HashMap<u64, [Option<u64>; 2]>,
    roots: Vec<u64>,
}

impl Model {
    fn reachable(&self) -> HashSet<u64> {
        let (mut found, mut open) = (HashSet::new(), self.roots.clone());
        while let Some(object) = open.pop() {
            if found.insert(object) {
                open.extend(self.objects[&object].iter().flatten());
            }
        }
        found
    }
}

proptest! {
    #[test]
    fn what_is_reachable_stays(steps in steps()) {
        let mut cells = memory();
        let mut watch = Copy(memory());
        let mut heap = Heap::new(&mut cells, 1000);
        let mut model = Model::default();
        // Everything that can be reached now: object and its pointer.
        let mut known: Vec<(u64, Link)> = Vec::new();
        let mut next = 1;
        for step in steps {
            let pick = |n: usize| (!known.is_empty()).then(|| known[n % known.len()]);
            match step {
                Step::New(a, b) => {
                    let (a, b) = (pick(a), pick(b));
                    let link = |o: Option<(u64, Link)>| o.map_or(Link::NONE, |(_, l)| l);
                    let cell = Cell { left: link(a), right: link(b), data: [next, 7] };
                    let new = heap.allocate(cell).unwrap();
                    model.objects.insert(next, [a.map(|o| o.0), b.map(|o| o.0)]);
                    model.roots.push(next);
                    heap.roots.push(new);
                    known.push((next, new));
                    next += 1;
                }
                Step::Left(a, b) | Step::Right(a, b) => {
                    if let (Some(from), Some(to)) = (pick(a), pick(b)) {
                        let side = usize::from(matches!(step, Step::Right(..)));
                        model.objects.get_mut(&from.0).unwrap()[side] = Some(to.0);
                        let cell = heap.get_mut(from.1).unwrap();
                        *[&mut cell.left, &mut cell.right][side] = to.1;
                    }
                }
                Step::Root(a) => {
                    if let Some((object, link)) = pick(a) {
                        model.roots.push(object);
                        heap.roots.push(link);
                    }
                }
                Step::Unroot(a) => {
                    if !model.roots.is_empty() {
                        let at = a % model.roots.len();
                        model.roots.swap_remove(at);
                        heap.roots.swap_remove(at);
                    }
                }
                Step::Collect { full } => {
                    heap.find_written(&mut watch).unwrap();
                    if full {
                        heap.forget();
                    }
                    heap.mark();
                    let left = heap.sweep();
                    let count = model.reachable().len() as u64;
                    if full {
                        prop_assert_eq!(left.cells, count);
                    } else {
                        prop_assert!(left.cells >= count);
                    }
                    prop_assert_eq!(heap.reachable().map(|l| l.cells), Ok(count));
                }
            }
            let reachable = model.reachable();
            known.retain(|(object, _)| reachable.contains(object));
            for (object, link) in &known {
                prop_assert_eq!(heap.get(*link).data, [*object, 7]);
            }
        }
    }
}
