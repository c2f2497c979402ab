//! Operations on a core's Kernel capability.

use super::{Call, DONE, Result};
use crate::arch::{idle, serial, time};
use crate::check;
use crate::cpu::Cpu;
use crate::machine::{ExitCode, shutdown};
use crate::memory::Phys;
use crate::object::Thread;
use crate::switch::NOBODY;
use crate::trap::{IRQ_BASE, LAST_IRQ};
use abi::op::kernel::{self, stat};
use abi::{CapType, Error, Rights};

/// Looks at a port that takes nothing before the core sleeps nevertheless.
const CONSOLE_PATIENCE: u32 = 100_000;

pub fn invoke(call: &mut Call) -> Result {
    let [a0, address, ..] = call.args;
    if call.operation == kernel::STAT {
        call.need(Rights::READ)?;
        return statistic(call, a0);
    }
    if matches!(call.operation, kernel::RECLAIM | kernel::CLAIM) {
        call.need(Rights::EXECUTE)?;
        let dest = call.empty_slot(a0)?;
        let capabilities = &mut call.cpu.capabilities;
        let (base, bytes) = match call.operation {
            kernel::RECLAIM => capabilities.reclaim(dest)?,
            _ => capabilities.claim(dest, address)?,
        };
        return Ok([base, bytes, 0, 0]);
    }
    call.need(Rights::WRITE)?;
    match call.operation {
        kernel::WAIT => {
            only_event_thread(call)?;
            let events = wait(&raw mut *call.cpu);
            Ok([events, NOBODY, 0, 0])
        }
        kernel::POLL => {
            only_event_thread(call)?;
            Ok([call.cpu.take_events(), 0, 0, 0])
        }
        kernel::SET_TIMER => {
            set_timer(call, a0);
            DONE
        }
        kernel::SET_EVENT_THREAD => {
            let slot = call.lookup_typed(a0, CapType::Thread)?;
            slot.need(Rights::WRITE)?;
            let thread: *mut Thread = Phys(slot.base()).pointer();
            // SAFETY: a Thread capability names memory that holds a thread, zero at first.
            if !unsafe { (*thread).runnable() } {
                return Err(Error::BadState);
            }
            call.cpu.event_thread = thread;
            DONE
        }
        kernel::MAKE_IRQ => make_irq(call),
        kernel::SHUTDOWN => {
            let code = u32::try_from(a0).map_err(|_| Error::BadArgument)?;
            shutdown(check::at_end(call.cpu, ExitCode(code)))
        }
        _ => Err(Error::BadOperation),
    }
}

fn only_event_thread(call: &Call) -> core::result::Result<(), Error> {
    if call.cpu.thread == call.cpu.event_thread {
        Ok(())
    } else {
        Err(Error::BadState)
    }
}

/// Sleeps until an interrupt has recorded an event; before that the console gets what waits for it.
/// It holds no reference to the core while it takes interrupts. A function of its own, so that
/// whoever calls it takes nothing of the core to be as it was.
#[inline(never)]
fn wait(cpu: *mut Cpu) -> u64 {
    let mut vain = 0u32;
    loop {
        // SAFETY: the field of the live core; interrupts are off, so nothing else writes it now.
        // Volatile, because the handler does below.
        let pending = unsafe {
            let events = &raw mut (*cpu).events;
            let pending = events.read_volatile();
            events.write_volatile(0);
            pending
        };
        if pending != 0 {
            return pending;
        }
        let (left, took) = serial::send();
        vain = if took { 0 } else { vain.saturating_add(1) };
        if left && vain < CONSOLE_PATIENCE {
            // SAFETY: interrupts are off. The core is all that the handler touches, and lent to it
            // with its address: who called this uses nothing of the core until it returns.
            unsafe { idle::look(cpu) };
        } else {
            // SAFETY: as above.
            unsafe { idle::wait(cpu) };
        }
    }
}

fn set_timer(call: &mut Call, deadline: u64) {
    call.cpu.deadline = deadline;
    if deadline == u64::MAX {
        call.cpu.apic.stop_timer();
    } else {
        let ticks = deadline.saturating_sub(time::now());
        call.cpu.apic.arm_timer(ticks, call.cpu.tsc_hz);
    }
}

fn make_irq(call: &mut Call) -> Result {
    let [to, bit, ..] = call.args;
    let bit = u8::try_from(bit)
        .ok()
        .filter(|bit| (1..=LAST_IRQ).contains(bit))
        .ok_or(Error::BadArgument)?;
    if call.cpu.irqs & (1 << bit) != 0 {
        return Err(Error::Busy);
    }
    let dest = call.empty_slot(to)?;
    let data = u64::from(IRQ_BASE + bit);
    let kernel = call.object;
    call.cpu
        .capabilities
        .make_irq(dest, kernel, [u64::from(bit), data])?;
    call.cpu.irqs |= 1 << bit;
    Ok([call.cpu.apic.msi_address(), data, 0, 0])
}

fn statistic(call: &Call, which: u64) -> Result {
    let cpu = &*call.cpu;
    let value = match which {
        stat::SPACE_SWITCHES => cpu.space_switches,
        stat::INVOCATIONS => cpu.invocations,
        stat::THREAD_SWITCHES => cpu.thread_switches,
        stat::INTERRUPTS => cpu.interrupts,
        stat::FAULTS => cpu.faults,
        stat::SYSTEM_CALLS => cpu.system_calls,
        stat::CAPABILITIES => cpu.capabilities.count(),
        _ => {
            let number = which.checked_sub(stat::CAPABILITIES_OF);
            let count = number.and_then(|n| cpu.capabilities.count_of(usize::try_from(n).ok()?));
            count.ok_or(Error::BadArgument)?
        }
    };
    Ok([value, 0, 0, 0])
}
