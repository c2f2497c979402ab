//! Sharing what there is among what is wanted.

use crate::Wish;

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
    }
}
