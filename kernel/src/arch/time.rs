//! The time-stamp counter and how fast it ticks: told by CPUID where it tells, else measured
//! against the interval timer.

use super::port::{byte_in, byte_out};
use core::arch::x86_64::{__cpuid, _rdtsc};

const PIT_HZ: u64 = 1_193_182;
const PIT_CHANNEL_2: u16 = 0x42;
const PIT_COMMAND: u16 = 0x43;
const GATE: u16 = 0x61;
/// 10 ms.
const MEASURE_TICKS: u16 = 11_932;
/// Reads of a port after which a timer that never ends is given up.
const PATIENCE: u32 = 10_000_000;
/// Where nothing tells and nothing can be measured.
const FALLBACK_HZ: u64 = 1_000_000_000;
const HYPERVISOR_LEAVES: u32 = 0x4000_0000;
const HYPERVISOR_TIMING: u32 = 0x4000_0010;

pub fn now() -> u64 {
    // SAFETY: every x86-64 has the instruction, and the kernel may execute it.
    unsafe { _rdtsc() }
}

/// What CPUID says about the counter's frequency.
fn told_hz() -> Option<u64> {
    let highest = __cpuid(0).eax;
    if highest >= 0x15 {
        let ratio = __cpuid(0x15);
        let crystal = u64::from(ratio.ecx);
        if ratio.eax != 0 && ratio.ebx != 0 && crystal != 0 {
            return Some(crystal * u64::from(ratio.ebx) / u64::from(ratio.eax));
        }
    }
    let under_hypervisor = __cpuid(1).ecx & (1 << 31) != 0;
    if under_hypervisor && __cpuid(HYPERVISOR_LEAVES).eax >= HYPERVISOR_TIMING {
        let khz = __cpuid(HYPERVISOR_TIMING).eax;
        if khz != 0 {
            return Some(u64::from(khz) * 1000);
        }
    }
    None
}

/// Runs `sample` before and after about 10 ms of the interval timer; gives both samples and the
/// exact hertz of the interval as (ticks, per second).
fn during_interval<T>(mut sample: impl FnMut() -> T) -> Option<(T, T)> {
    let gate = byte_in(GATE);
    // Channel 2 counts while its gate is open; the speaker stays off.
    byte_out(GATE, (gate & !2) | 1);
    byte_out(PIT_COMMAND, 0xb0);
    byte_out(PIT_CHANNEL_2, MEASURE_TICKS as u8);
    byte_out(PIT_CHANNEL_2, (MEASURE_TICKS >> 8) as u8);
    let before = sample();
    let ended = (0..PATIENCE).any(|_| byte_in(GATE) & 0x20 != 0);
    let after = sample();
    byte_out(GATE, gate);
    ended.then_some((before, after))
}

/// Ticks of the time-stamp counter and of `counter` (which counts down) in a second.
pub fn calibrate(mut counter: impl FnMut() -> u32) -> (u64, u64) {
    let measured = during_interval(|| (now(), counter()));
    let per_second =
        |ticks: u64| (u128::from(ticks) * u128::from(PIT_HZ) / u128::from(MEASURE_TICKS)) as u64;
    let Some(((tsc_before, count_before), (tsc_after, count_after))) = measured else {
        return (told_hz().unwrap_or(FALLBACK_HZ), FALLBACK_HZ);
    };
    let tsc_ticks = tsc_after.wrapping_sub(tsc_before).max(1);
    let count_ticks = u64::from(count_before.wrapping_sub(count_after)).max(1);
    match told_hz() {
        Some(hz) => {
            let scaled = u128::from(count_ticks) * u128::from(hz) / u128::from(tsc_ticks);
            (hz, (scaled as u64).max(1))
        }
        None => (per_second(tsc_ticks), per_second(count_ticks)),
    }
}
