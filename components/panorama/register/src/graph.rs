//! Which images hang together, and through which pairs best.

use crate::error::Error;
use alloc::vec;
use alloc::vec::Vec;
use cistern_image::Pair;

/// A tree that joins all images by the pairs with the most matches, from the image in its middle.
#[derive(Debug, PartialEq)]
pub(crate) struct Tree {
    pub(crate) root: usize,
    /// Each other image after the one that it hangs on: (image, that one, index of the pair).
    pub(crate) branches: Vec<(usize, usize, usize)>,
}

/// The tree of `images` images. If they do not hang together, the error names those outside the
/// largest group (of equal ones, that of the first image).
pub(crate) fn tree(images: usize, pairs: &[Pair]) -> Result<Tree, Error> {
    let mut order: Vec<usize> = (0..pairs.len()).collect();
    // Stable, so equal pairs keep their order.
    order.sort_by_key(|&i| core::cmp::Reverse(pairs[i].count));
    let mut group: Vec<usize> = (0..images).collect();
    let mut near: Vec<Vec<(usize, usize)>> = vec![Vec::new(); images];
    for index in order {
        let [a, b] = [pairs[index].first, pairs[index].second].map(|i| i as usize);
        let (ga, gb) = (group[a], group[b]);
        if ga == gb {
            continue;
        }
        group.iter_mut().filter(|g| **g == gb).for_each(|g| *g = ga);
        near[a].push((b, index));
        near[b].push((a, index));
    }
    let members = |g: usize| group.iter().filter(|x| **x == g).count();
    let largest = (0..images).rev().max_by_key(|&i| members(group[i]));
    let largest = largest.map(|i| group[i]).ok_or(Error::TooFew)?;
    let outside = (0..images).filter(|&i| group[i] != largest);
    let outside = outside.fold(0u32, |mask, i| mask | 1 << i);
    if outside != 0 {
        return Err(Error::Apart { images: outside });
    }
    // Few images: each is tried as the root. The tree with the shortest way to the farthest image,
    // then with the least sum of ways, adds up the least error.
    let from = |root: usize| {
        let mut branches = Vec::new();
        let mut depth = vec![usize::MAX; images];
        depth[root] = 0;
        let mut queue = vec![root];
        let mut next = 0;
        while let Some(&parent) = queue.get(next) {
            next += 1;
            for &(child, pair) in &near[parent] {
                if depth[child] == usize::MAX {
                    depth[child] = depth[parent] + 1;
                    branches.push((child, parent, pair));
                    queue.push(child);
                }
            }
        }
        let farthest = depth.iter().copied().max().unwrap_or(0);
        let sum: usize = depth.iter().sum();
        ((farthest, sum), Tree { root, branches })
    };
    let best = (0..images).map(from).min_by_key(|(depth, _)| *depth);
    best.map(|(_, tree)| tree).ok_or(Error::TooFew)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(first: u32, second: u32, count: u32) -> Pair {
        Pair {
            first,
            second,
            count,
            ..Pair::default()
        }
    }

    #[test]
    fn the_root_is_in_the_middle_and_strong_pairs_are_taken() {
        let pairs = [
            pair(0, 1, 50),
            pair(1, 2, 60),
            pair(2, 3, 70),
            pair(3, 4, 80),
            pair(0, 2, 20),
        ];
        let tree = tree(5, &pairs).unwrap();
        assert_eq!(tree.root, 2);
        assert_eq!(tree.branches.len(), 4);
        let used = tree.branches.iter().map(|b| b.2);
        assert!(
            used.clone().all(|i| i != 4),
            "the weak pair closes a circle"
        );
        // Parents come before their children.
        let mut known = vec![2];
        for (child, parent, _) in tree.branches {
            assert!(known.contains(&parent));
            known.push(child);
        }
    }

    #[test]
    fn those_outside_the_largest_group_are_named() {
        let pairs = [pair(0, 3, 50), pair(1, 4, 50), pair(2, 4, 40)];
        assert_eq!(tree(6, &pairs), Err(Error::Apart { images: 0b101001 }));
        assert_eq!(tree(2, &[]), Err(Error::Apart { images: 0b10 }));
        assert_eq!(tree(0, &[]), Err(Error::TooFew));
    }
}
