//! Dates as HTTP writes them (RFC 9110, section 5.6.7), from and to seconds since 1970.

const DAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];
const DAY_SECONDS: u64 = 86_400;

/// Length of [`format`]'s text.
pub const DATE_BYTES: usize = 29;

/// `Sun, 06 Nov 1994 08:49:37 GMT`. Years past 9999 wrap, since the form has four digits.
#[inline(never)]
pub fn format(seconds: u64) -> [u8; DATE_BYTES] {
    let (days, time) = (seconds / DAY_SECONDS, seconds % DAY_SECONDS);
    let (year, month, day) = civil(days);
    let mut out = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    out[..3].copy_from_slice(DAYS[(days % 7) as usize]);
    out[8..11].copy_from_slice(MONTHS[month as usize - 1]);
    let mut two = |at: usize, value: u64| {
        out[at] = b'0' + (value / 10 % 10) as u8;
        out[at + 1] = b'0' + (value % 10) as u8;
    };
    two(5, day);
    two(12, year / 100);
    two(14, year);
    two(17, time / 3600);
    two(20, time / 60 % 60);
    two(23, time % 60);
    out
}

/// Seconds since 1970 of any of the three forms that a recipient has to accept; `None` for
/// anything else and for dates before 1970.
pub fn parse(text: &[u8]) -> Option<u64> {
    let fixed = |text: &[u8]| {
        // "06 Nov 1994 08:49:37 GMT" behind the day's name.
        let [
            d1,
            d2,
            b' ',
            m1,
            m2,
            m3,
            b' ',
            y @ ..,
            b' ',
            b'G',
            b'M',
            b'T',
        ] = text
        else {
            return None;
        };
        let [y1, y2, y3, y4, b' ', time @ ..] = y else {
            return None;
        };
        let year = number(&[*y1, *y2, *y3, *y4])?;
        seconds(
            year,
            month(&[*m1, *m2, *m3])?,
            number(&[*d1, *d2])?,
            clock(time)?,
        )
    };
    let comma = text.iter().position(|b| *b == b',');
    match comma {
        Some(3) => fixed(text.get(5..).filter(|_| text[4] == b' ')?),
        // "Sunday, 06-Nov-94 08:49:37 GMT": two digits of a year, the century nearest to now.
        Some(6..=9) => {
            let [
                b' ',
                d1,
                d2,
                b'-',
                m1,
                m2,
                m3,
                b'-',
                y1,
                y2,
                b' ',
                time @ ..,
                b' ',
                b'G',
                b'M',
                b'T',
            ] = text.get(comma? + 1..)?
            else {
                return None;
            };
            let short = number(&[*y1, *y2])?;
            let year = if short < 70 {
                2000 + short
            } else {
                1900 + short
            };
            seconds(
                year,
                month(&[*m1, *m2, *m3])?,
                number(&[*d1, *d2])?,
                clock(time)?,
            )
        }
        // "Sun Nov  6 08:49:37 1994": the C library's form.
        None => {
            let [
                _,
                _,
                _,
                b' ',
                m1,
                m2,
                m3,
                b' ',
                d1,
                d2,
                b' ',
                time @ ..,
                b' ',
                y1,
                y2,
                y3,
                y4,
            ] = text
            else {
                return None;
            };
            let tens = if *d1 == b' ' { b'0' } else { *d1 };
            let year = number(&[*y1, *y2, *y3, *y4])?;
            seconds(
                year,
                month(&[*m1, *m2, *m3])?,
                number(&[tens, *d2])?,
                clock(time)?,
            )
        }
        _ => None,
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value: u64, digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + u64::from(digit - b'0'))
    })
}

fn month(name: &[u8; 3]) -> Option<u64> {
    MONTHS
        .iter()
        .position(|m| *m == name)
        .map(|at| at as u64 + 1)
}

/// Seconds of "08:49:37"; 60 is a leap second.
fn clock(text: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = text else {
        return None;
    };
    let (hour, minute) = (number(&[*h1, *h2])?, number(&[*m1, *m2])?);
    let second = number(&[*s1, *s2])?;
    (hour < 24 && minute < 60 && second <= 60).then_some(hour * 3600 + minute * 60 + second)
}

fn seconds(year: u64, month: u64, day: u64, time: u64) -> Option<u64> {
    if year < 1970 || day == 0 || day > 31 {
        return None;
    }
    let days = days_before(year, month) + day - 1;
    // A day that the month does not have comes back as another date.
    (civil(days) == (year, month, day)).then_some(days * DAY_SECONDS + time)
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    // Years that begin in March put the leap day last, so that months need no table.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 - 719_468
}

/// Year, month and day of a day number since 1970.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let m = (5 * of_year + 2) / 153;
    let day = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{civil, days_before, format, parse};

    #[test]
    fn the_three_forms_name_the_same_second() {
        assert_eq!(&format(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse(b"Sunday, 06-Nov-94 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(parse(b"Sun Nov  6 08:49:37 1994"), Some(784_111_777));
        assert_eq!(&format(0), b"Thu, 01 Jan 1970 00:00:00 GMT");
    }

    #[test]
    fn nonsense_is_no_date() {
        for text in [
            &b""[..],
            b",",
            b"Sun,",
            b"Sun, 06 Nov 1994 08:49:37",
            b"Sun, 06 Nov 1994 08:49:37 CET",
            b"Sun, 31 Feb 2024 08:49:37 GMT",
            b"Sun, 00 Nov 1994 08:49:37 GMT",
            b"Sun, 06 Nov 1994 24:49:37 GMT",
            b"Sun, 06 Nov 1969 08:49:37 GMT",
            b"Sun, 06 Nov 99999 08:49:37 GMT",
            b"Sun, 06 nov 1994 08:49:37 GMT",
            b"Sunday, 06-Nov-1994 08:49:37 GMT",
            b"yesterday",
        ] {
            assert_eq!(parse(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn every_day_of_four_centuries_comes_back() {
        for day in 0..150_000 {
            let (year, month, of_month) = civil(day);
            assert_eq!(days_before(year, month) + of_month - 1, day);
            let second = day * 86_400 + day % 86_400;
            assert_eq!(parse(&format(second)), Some(second));
        }
    }
}
