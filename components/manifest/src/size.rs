//! Sizes as people write them.

use abi::layout::PAGE;

/// Bytes of a size like `64KiB`; `None` for anything else, zero allowed.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Bytes of a size that is whole pages.
pub(crate) fn page_bytes(text: &str) -> Option<u64> {
    bytes(text).filter(|b| b.is_multiple_of(PAGE as u64))
}
