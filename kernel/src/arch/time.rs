//! The time-stamp counter and how fast it ticks: told by CPUID where it tells, else measured
//! against the interval timer.

use super::port::OwnPort;
use core::arch::x86_64::{__cpuid, _rdtsc};

const PIT_HZ: u64 = 1_193_182;
/// Channel 0: its gate is always open, so no other device is needed, and its interrupt is masked.
const PIT_CHANNEL: OwnPort = pit(0);
const PIT_COMMAND: OwnPort = pit(3);
/// Counts down once from a value written low byte first.
const ONE_SHOT: u8 = 0x30;
/// 10 ms.
const MEASURE_TICKS: u16 = 11_932;
const PIT_START: u16 = u16::MAX;
const LATCH: u8 = 0x00;
const READ_STATUS: u8 = 0xe2;
const RAN_OUT: u8 = 0x80;
/// Looks at the clocks for one sample, samples before a timer that stands is given up, and
/// intervals before one that never ends well is.
const LOOKS: u32 = 8;
const PATIENCE: u32 = 5_000;
const ATTEMPTS: u32 = 5;
/// Where nothing tells and nothing can be measured.
const FALLBACK_HZ: u64 = 1_000_000_000;
const HYPERVISOR_LEAVES: u32 = 0x4000_0000;
const HYPERVISOR_TIMING: u32 = 0x4000_0010;

const fn pit(register: u16) -> OwnPort {
    // SAFETY: the interval timer counts, and its interrupt is masked.
    unsafe { OwnPort::new(0x40 + register) }
}

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

/// One look at all three clocks.
#[derive(Clone, Copy)]
struct Sample {
    tsc: u64,
    /// Counts down from [`PIT_START`].
    pit: u16,
    /// Counts down.
    counter: u32,
}

/// The clocks at one moment: of several looks the one that took least time, so that a host that
/// stops this machine in the middle of one does no harm.
fn sample(counter: &mut impl FnMut() -> u32) -> Sample {
    let mut best = (u64::MAX, None);
    for _ in 0..LOOKS {
        let tsc = now();
        PIT_COMMAND.byte_out(LATCH);
        let pit = u16::from_le_bytes([PIT_CHANNEL.byte_in(), PIT_CHANNEL.byte_in()]);
        let counter = counter();
        let took = now().wrapping_sub(tsc);
        if took < best.0 || best.1.is_none() {
            best = (took, Some(Sample { tsc, pit, counter }));
        }
    }
    best.1.unwrap_or(Sample {
        tsc: 0,
        pit: 0,
        counter: 0,
    })
}

/// Samples before and after some 10 ms of the interval timer; `None` when the timer ran out in
/// between (the machine was stopped for long) or does not run at all.
fn interval(counter: &mut impl FnMut() -> u32) -> Option<(Sample, Sample)> {
    PIT_COMMAND.byte_out(ONE_SHOT);
    let [low, high] = PIT_START.to_le_bytes();
    PIT_CHANNEL.byte_out(low);
    PIT_CHANNEL.byte_out(high);
    let before = sample(counter);
    let mut after = before;
    for _ in 0..PATIENCE {
        after = sample(counter);
        if before.pit.wrapping_sub(after.pit) >= MEASURE_TICKS {
            break;
        }
    }
    PIT_COMMAND.byte_out(READ_STATUS);
    let ran_out = PIT_CHANNEL.byte_in() & RAN_OUT != 0;
    (!ran_out && after.pit < before.pit && after.tsc > before.tsc).then_some((before, after))
}

/// Ticks of the time-stamp counter and of `counter` (which counts down) in a second.
pub fn calibrate(mut counter: impl FnMut() -> u32) -> (u64, u64) {
    let told = told_hz();
    let Some((before, after)) = (0..ATTEMPTS).find_map(|_| interval(&mut counter)) else {
        return (told.unwrap_or(FALLBACK_HZ), FALLBACK_HZ);
    };
    let tsc = u128::from(after.tsc - before.tsc);
    let pit = u128::from(before.pit - after.pit);
    let counted = u128::from(before.counter.wrapping_sub(after.counter));
    let tsc_hz = told.map_or(tsc * u128::from(PIT_HZ) / pit, u128::from);
    let counter_hz = counted * tsc_hz / tsc;
    (tsc_hz as u64, (counter_hz as u64).max(1))
}
