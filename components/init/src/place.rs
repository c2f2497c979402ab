//! Addresses for device registers that firmware left without one.

/// The lowest multiple of `bytes` (a power of two) in `[first, end)` where so many bytes meet no
/// range of `used` (start and length).
pub fn free_range(used: &[(u64, u64)], bytes: u64, first: u64, end: u64) -> Option<u64> {
    if !bytes.is_power_of_two() {
        return None;
    }
    let mut at = first.checked_next_multiple_of(bytes)?;
    // Each range in use moves the candidate past itself at most once.
    for _ in 0..=used.len() {
        let last = at.checked_add(bytes)?;
        if last > end {
            return None;
        }
        let met = used
            .iter()
            .filter(|(start, length)| *start < last && start.saturating_add(*length) > at)
            .map(|(start, length)| start.saturating_add(*length))
            .max();
        match met {
            None => return Some(at),
            Some(past) => at = past.checked_next_multiple_of(bytes)?,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skips_what_is_in_use() {
        assert_eq!(free_range(&[], 0x1000, 0x800, 0x10000), Some(0x1000));
        let used = [(0x1000, 0x1000), (0x2800, 0x100), (0x3000, 0x10)];
        assert_eq!(free_range(&used, 0x1000, 0x1000, 0x10000), Some(0x4000));
        assert_eq!(free_range(&used, 0x1000, 0x1000, 0x4000), None);
        assert_eq!(free_range(&used, 0x3000, 0, 0x10000), None);
        assert_eq!(free_range(&[(0, u64::MAX)], 0x1000, 0, u64::MAX), None);
    }
}
