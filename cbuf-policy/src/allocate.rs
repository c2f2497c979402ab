//! Sharing what there is among what is wanted. Each function fills `sizes` from the smallest
//! sizes up and never gives out more than `budget` pages beyond them.

use crate::Wish;

/// Raises sizes towards `goals` by the same level: whoever asks for little gets all of it, and
/// what asks for much gets what is left, however much it asks for. Answers the pages left over.
pub fn max_min(sizes: &mut [u64], goal: impl Fn(usize) -> u64, mut budget: u64) -> u64 {
    loop {
        let short = |i: usize, size: u64| size < goal(i);
        let open = |sizes: &[u64]| (0..sizes.len()).filter(|i| short(*i, sizes[*i])).count();
        let count = open(sizes) as u64;
        if count == 0 || budget == 0 {
            return budget;
        }
        // The lowest rise to the next, or to the nearest goal; each round ends a step of one.
        let lowest = (0..sizes.len()).filter(|i| short(*i, sizes[*i]));
        let Some(level) = lowest.map(|i| sizes[i]).min() else {
            return budget;
        };
        let at_level = |i: usize, sizes: &[u64]| sizes[i] == level && short(i, sizes[i]);
        let members = (0..sizes.len()).filter(|i| at_level(*i, sizes)).count() as u64;
        let next = (0..sizes.len())
            .filter(|i| short(*i, sizes[*i]))
            .map(|i| if sizes[i] > level { sizes[i] } else { goal(i) })
            .min()
            .unwrap_or(level);
        let rise = (next - level).min(budget / members);
        if rise == 0 {
            // Less than a page each: the first get one.
            for i in 0..sizes.len() {
                if budget > 0 && at_level(i, sizes) {
                    sizes[i] += 1;
                    budget -= 1;
                }
            }
            return budget;
        }
        for i in 0..sizes.len() {
            if at_level(i, sizes) {
                sizes[i] += rise;
                budget -= rise;
            }
        }
    }
}

/// Gives `budget` pages out in proportion to `weight`, none more than to its `goal`. Answers the
/// pages left over.
pub fn weighted(
    sizes: &mut [u64],
    goal: impl Fn(usize) -> u64,
    weight: impl Fn(usize) -> u64,
    mut budget: u64,
) -> u64 {
    // Each round fills one up at least, or gives everything out.
    for _ in 0..=sizes.len() {
        let open = |i: usize, size: u64| size < goal(i) && weight(i) > 0;
        let total: u128 = (0..sizes.len())
            .filter(|i| open(*i, sizes[*i]))
            .map(|i| u128::from(weight(i)))
            .sum();
        if total == 0 || budget == 0 {
            break;
        }
        let part =
            |i: usize, budget: u64| (u128::from(weight(i)) * u128::from(budget) / total) as u64;
        let full = (0..sizes.len()).filter(|i| open(*i, sizes[*i]));
        let filled = full.clone().any(|i| part(i, budget) >= goal(i) - sizes[i]);
        let before = budget;
        for (i, size) in sizes.iter_mut().enumerate() {
            if !open(i, *size) {
                continue;
            }
            let (room, part) = (goal(i) - *size, part(i, before));
            if !filled || part >= room {
                let given = part.min(room);
                *size += given;
                budget -= given;
            }
        }
        if !filled {
            break;
        }
    }
    // What the divisions left over.
    for (i, size) in sizes.iter_mut().enumerate() {
        if budget > 0 && *size < goal(i) && weight(i) > 0 {
            *size += 1;
            budget -= 1;
        }
    }
    budget
}

/// Cuts the wishes to what `free` pages, and those that shrinking pools give back, can satisfy:
/// where it is not enough, each gets the same part of its growth.
pub fn proportional(wishes: &mut [Wish], free: u64) {
    let returned = |w: &Wish| w.now.saturating_sub(w.wanted);
    let growth = |w: &Wish| w.wanted.saturating_sub(w.now);
    let there: u64 = wishes.iter().map(returned).fold(free, u64::saturating_add);
    let wanted: u64 = wishes.iter().map(growth).fold(0, u64::saturating_add);
    if wanted <= there {
        return;
    }
    for wish in wishes.iter_mut().filter(|w| growth(w) > 0) {
        let part = u128::from(growth(wish)) * u128::from(there) / u128::from(wanted);
        wish.wanted = wish.now + part as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn enough_for_all_changes_nothing() {
        let wish = |now, wanted| Wish {
            component: 1,
            now,
            wanted,
        };
        let mut wishes = [wish(10, 30), wish(50, 20), wish(5, 5)];
        proportional(&mut wishes, 0);
        assert_eq!(wishes.map(|w| w.wanted), [30, 20, 5]);
        let mut wishes = [wish(10, 30), wish(10, 50), wish(9, 5)];
        proportional(&mut wishes, 11);
        assert_eq!(wishes.map(|w| w.wanted), [15, 20, 5]);
    }

    #[test]
    fn the_modest_get_all_they_ask_for() {
        let goals = [10, 1000, 40];
        let mut sizes = [5, 5, 5];
        assert_eq!(max_min(&mut sizes, |i| goals[i], 100), 0);
        assert_eq!(sizes, [10, 65, 40]);
        let mut sizes = [5, 5, 5];
        assert_eq!(max_min(&mut sizes, |i| goals[i], 2000), 2000 - 1035);
        assert_eq!(sizes, goals);
        let mut sizes = [0, 0, 0];
        assert_eq!(max_min(&mut sizes, |i| goals[i], 2), 0);
        assert_eq!(sizes, [1, 1, 0]);
    }

    #[test]
    fn weights_share_what_goals_leave() {
        let goals = [100, 100, 12];
        let mut sizes = [10, 10, 10];
        assert_eq!(weighted(&mut sizes, |i| goals[i], |i| [3, 1, 4][i], 50), 0);
        assert_eq!(sizes, [46, 22, 12]);
    }

    proptest! {
        #[test]
        fn never_gives_more_than_there_is(
            sizes in prop::collection::vec((0u64..10_000, 0u64..10_000), 0..64),
            free in 0u64..10_000,
        ) {
            let mut wishes: Vec<Wish> = sizes
                .iter()
                .map(|&(now, wanted)| Wish { component: 0, now, wanted })
                .collect();
            proportional(&mut wishes, free);
            let before: u64 = sizes.iter().map(|s| s.0).sum();
            let after: u64 = wishes.iter().map(|w| w.wanted).sum();
            prop_assert!(after <= before + free);
            for (wish, (now, wanted)) in wishes.iter().zip(sizes) {
                prop_assert!(wish.wanted >= now.min(wanted) && wish.wanted <= now.max(wanted));
            }
        }

        #[test]
        fn both_fills_give_out_the_budget_or_meet_all_goals(
            pools in prop::collection::vec((0u64..500, 0u64..1000, 0u64..50), 0..64),
            budget in 0u64..20_000,
        ) {
            let goal = |i: usize| pools[i].1;
            let start: Vec<u64> = pools.iter().map(|p| p.0).collect();
            for by_weight in [false, true] {
                let mut sizes = start.clone();
                let left = if by_weight {
                    weighted(&mut sizes, goal, |i| pools[i].2, budget)
                } else {
                    max_min(&mut sizes, goal, budget)
                };
                let given: u64 = sizes.iter().zip(&start).map(|(now, was)| now - was).sum();
                prop_assert_eq!(given + left, budget);
                for i in 0..sizes.len() {
                    prop_assert!(sizes[i] == start[i] || sizes[i] <= goal(i));
                    let weightless = by_weight && pools[i].2 == 0;
                    prop_assert!(left == 0 || sizes[i] >= goal(i) || weightless);
                }
            }
        }
    }
}
