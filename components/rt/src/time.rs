//! Time: the time-stamp counter, whose rate and distance from the wall clock `init` measured.

use core::time::Duration;

/// A deadline that never comes.
pub const NEVER: u64 = u64::MAX;

/// The time-stamp counter now.
#[inline]
pub fn now() -> u64 {
    // SAFETY: the instruction reads a counter and is allowed outside the kernel.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Ticks of the time-stamp counter in a second.
pub fn hz() -> u64 {
    crate::info().tsc_hz
}

/// A duration in ticks; saturates.
pub fn ticks(duration: Duration) -> u64 {
    let ticks = duration.as_nanos() * u128::from(hz()) / 1_000_000_000;
    u64::try_from(ticks).unwrap_or(u64::MAX)
}

/// The duration of so many ticks.
pub fn duration(ticks: u64) -> Duration {
    let hz = hz().max(1);
    let nanos = u128::from(ticks % hz) * 1_000_000_000 / u128::from(hz);
    Duration::new(ticks / hz, nanos as u32)
}

/// The deadline that lies so far ahead.
pub fn after(duration: Duration) -> u64 {
    now().saturating_add(ticks(duration))
}

/// Seconds since 1970.
pub fn wall_seconds() -> u64 {
    let info = crate::info();
    info.epoch_seconds + now().saturating_sub(info.epoch_tsc) / info.tsc_hz.max(1)
}
