//! The battery-backed clock: registers to seconds since 1970.

/// Registers of the clock, in the order of [`REGISTERS`].
pub type Reading = [u8; 7];

/// Seconds, minutes, hours, day, month, year, format.
pub const REGISTERS: [u8; 7] = [0x00, 0x02, 0x04, 0x07, 0x08, 0x09, 0x0b];
/// Register whose top bit says that the others are about to change.
pub const UPDATING: u8 = 0x0a;

const FORMAT_BINARY: u8 = 1 << 2;
const FORMAT_24_HOURS: u8 = 1 << 1;
const AFTERNOON: u8 = 1 << 7;

/// Seconds since 1970, taking the year to be in this century; `None` for what is no date.
pub fn seconds(reading: Reading) -> Option<u64> {
    let [second, minute, hour, day, month, year, format] = reading;
    let number = |raw: u8| {
        if format & FORMAT_BINARY != 0 {
            u64::from(raw)
        } else {
            u64::from(raw >> 4) * 10 + u64::from(raw & 0xf)
        }
    };
    let hour = if format & FORMAT_24_HOURS != 0 {
        number(hour)
    } else {
        let half = if hour & AFTERNOON != 0 { 12 } else { 0 };
        number(hour & !AFTERNOON) % 12 + half
    };
    let (second, minute, day) = (number(second), number(minute), number(day));
    let (month, year) = (number(month), 2000 + number(year));
    let valid = second < 61
        && minute < 60
        && hour < 24
        && (1..=31).contains(&day)
        && (1..=12).contains(&month)
        && year < 2100;
    valid.then(|| ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second)
}

/// Days from 1970-01-01 to a date of the years 2000 to 2099: every fourth is a leap year.
fn days(year: u64, month: u64, day: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    const TO_2000: u64 = 10957;
    let years = year - 2000;
    let leap = u64::from(years.is_multiple_of(4) && month > 2);
    let before = BEFORE.get(month as usize - 1).copied().unwrap_or(0);
    TO_2000 + years * 365 + years.div_ceil(4) + before + leap + day - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        // 2000-01-01 00:00:00, binary, 24 hours.
        assert_eq!(seconds([0, 0, 0, 1, 1, 0, 6]), Some(946_684_800));
        // 2024-02-29 12:34:56, packed decimal, 24 hours.
        assert_eq!(
            seconds([0x56, 0x34, 0x12, 0x29, 0x02, 0x24, 2]),
            Some(1_709_210_096)
        );
        // 2025-12-31 23:59:59 as 11 in the afternoon.
        let reading = [0x59, 0x59, 0x11 | 0x80, 0x31, 0x12, 0x25, 0];
        assert_eq!(seconds(reading), Some(1_767_225_599));
        // Twelve in the afternoon is noon, twelve in the morning midnight.
        assert_eq!(seconds([0, 0, 0x12, 1, 1, 0, 0]), Some(946_684_800));
        assert_eq!(seconds([0, 0, 0x92, 1, 1, 0, 0]), Some(946_728_000));
    }

    #[test]
    fn nonsense_is_no_date() {
        assert_eq!(seconds([0xff; 7]), None);
        assert_eq!(seconds([0, 0, 0, 0, 1, 0, 6]), None);
        assert_eq!(seconds([0, 0, 0, 1, 13, 0, 6]), None);
        assert_eq!(seconds([0, 0, 24, 1, 1, 0, 6]), None);
    }
}
