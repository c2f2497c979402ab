//! The component's shape: [`component!`] makes its entry, panic handler and allocator from the
//! functions it names.

use core::fmt::Write;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::op::lifecycle;
use abi::{Badge, ComponentId, Error, ThreadId};

use crate::console::Line;

/// One invocation as a handler sees it. `caller` and the interface it came through are
/// unforgeable; everything else is the caller's claim.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub method: u64,
    pub args: [u64; 4],
    pub caller: ComponentId,
    pub thread: ThreadId,
}

/// What goes back to the invoker: four words or an error.
pub type Reply = Result<[u64; 4], Error>;

/// What the entry code passes on, in the registers where the C convention wants it.
#[doc(hidden)]
pub type Dispatch = extern "C" fn(u64, u64, u64, u64, u64, u64, &mut [u64; 5]);

/// A component's functions.
#[doc(hidden)]
pub struct Component {
    pub start: fn(&'static abi::start::StartInfo) -> Result<(), Error>,
    pub thread: Option<fn(u64) -> !>,
    pub fault: crate::fault::Entry,
    pub serve: fn(u16, Call) -> Reply,
}

/// Whether START has succeeded. A component that is started anew can be invoked while its START
/// runs, or before: to its invokers it is dead until then.
static STARTED: AtomicBool = AtomicBool::new(false);

/// Runs what the badge and the method ask for. The reply goes to `out`, from each branch by itself,
/// so that none is carried about.
#[doc(hidden)]
#[inline]
pub fn dispatch(
    component: &'static Component,
    badge: Badge,
    method: u64,
    args: [u64; 4],
    out: &mut [u64; 5],
) {
    let interface = badge.interface();
    if interface == Badge::LIFECYCLE {
        return live(component, method, args[0], out);
    }
    // Acquire: sees all that START wrote before its release.
    if !STARTED.load(Ordering::Acquire) {
        return put(Err(Error::Dead), out);
    }
    let call = Call {
        method,
        args,
        caller: badge.client(),
        thread: crate::thread_id(),
    };
    put((component.serve)(interface, call), out);
}

/// Interface 0: only the supervisor's Entries and the kernel's own thread start have it. Apart, so
/// that what it needs of registers and stack is no burden on other invocations.
#[cold]
#[inline(never)]
fn live(component: &'static Component, method: u64, argument: u64, out: &mut [u64; 5]) {
    let reply = match method {
        lifecycle::START => start(component),
        lifecycle::THREAD => match component.thread {
            Some(thread) => thread(argument),
            None => Err(Error::BadMethod),
        },
        _ => Err(Error::BadMethod),
    };
    put(reply, out);
}

fn start(component: &Component) -> Reply {
    crate::fault::register(component.fault)?;
    crate::heap::claim();
    crate::cbuf::attach();
    (component.start)(crate::info())?;
    STARTED.store(true, Ordering::Release);
    Ok([0; 4])
}

/// Writes a reply where the entry code picks it up.
#[doc(hidden)]
#[inline]
pub fn put(reply: Reply, out: &mut [u64; 5]) {
    *out = match reply {
        Ok([r0, r1, r2, r3]) => [0, r0, r1, r2, r3],
        Err(error) => [error as u64, 0, 0, 0, 0],
    };
}

/// Prints the message of a panic and stops the component: its supervisor sees an illegal
/// instruction and where it comes from, the thread goes back to its invoker with [`Error::Dead`].
pub fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = Line::new();
    // A line never refuses text.
    let _ = writeln!(line, "{info}");
    drop(line);
    stop()
}

/// Gives up: raises the fault that the supervisor takes as a panic.
pub fn stop() -> ! {
    // SAFETY: the instruction faults; the kernel takes the thread out of this component.
    unsafe { core::arch::asm!("ud2", options(noreturn, nomem, nostack)) }
}

/// The assembly of `_start`. Every argument register keeps its place or moves once; `rsp` is
/// computed from the thread's number. On the way back every register that is no result holds
/// nothing of ours: vector registers are cleared here, `rcx`, `r9`, `r10` and `r11` by the kernel, and
/// those that a call preserves are what the invoker had in them (`rbp`: zero). What follows the function that dispatches is executed once `rsp` is set, for the one
/// component whose stacks lie elsewhere; only `rcx` is free there.
#[macro_export]
macro_rules! entry {
    ($dispatch:path $(, $extra:literal)* $(,)?) => {
        $crate::entry!(below 0; $dispatch $(, $extra)*);
    };
    // Leaves so many bytes at the top of each stack place to others.
    (below $bytes:expr; $dispatch:path $(, $extra:literal)*) => {
        #[unsafe(naked)]
        #[unsafe(no_mangle)]
        #[unsafe(link_section = ".text.entry")]
        unsafe extern "C" fn _start() -> ! {
            core::arch::naked_asm!(
                "mov ecx, r10d",
                "shl rcx, {shift}",
                "lea rsp, [rcx + {top}]",
                $($extra,)*
                // Seventh argument: where the reply goes.
                "lea rcx, [rsp + 16]",
                "mov [rsp], rcx",
                "ldmxcsr dword ptr [rip + {mxcsr}]",
                "xor ebp, ebp",
                "mov rcx, rax",
                "call {dispatch}",
                "mov rax, [rsp + 16]",
                "mov rdi, [rsp + 24]",
                "mov rsi, [rsp + 32]",
                "mov rdx, [rsp + 40]",
                "mov r8, [rsp + 48]",
                $crate::__clear_vectors!(),
                "mov r10d, {ret}",
                "syscall",
                "ud2",
                shift = const $crate::abi::layout::STACK_STRIDE.trailing_zeros(),
                // The reply and the seventh argument; a multiple of 16.
                top = const $crate::abi::layout::STACKS + $crate::abi::layout::STACK_STRIDE - 64 - $bytes,
                mxcsr = sym $crate::invoke::MXCSR,
                ret = const $crate::abi::CPtr::RETURN.0,
                dispatch = sym $dispatch,
            )
        }
    };
}

/// The entry of an ordinary component: it counts who comes in, on the page that `init` mapped for
/// that. One instruction, so nobody comes between on a core; one byte of the badge, so nothing else
/// is reached whatever the badge is.
#[doc(hidden)]
#[macro_export]
macro_rules! counted_entry {
    (below $bytes:expr; $dispatch:path) => {
        $crate::entry!(
            below $bytes;
            $dispatch,
            "movzx ecx, r9b",
            "inc qword ptr [rcx * 8 + 0x10001000]"
        );
        const _: () = assert!($crate::abi::layout::CALLS == 0x1000_1000);
    };
}

/// Defines the component.
///
/// ```ignore
/// rt::component! {
///     start: start,                       // fn(&'static StartInfo) -> Result<(), abi::Error>
///     thread: main,                       // fn(argument: u64) -> !; left out when it has none
///     fault: fault,                       // rt::fault::Handler; left out: a backtrace, then the supervisor
///     serve: { stubs::net::INTERFACE => net }   // fn(rt::Call) -> rt::Reply
/// }
/// ```
#[macro_export]
macro_rules! component {
    (start: $start:expr, $(thread: $thread:expr,)? $(fault: $fault:expr,)? serve: { $($interface:path => $handler:expr),* $(,)? } $(,)?) => {
        const __THREAD: Option<fn(u64) -> !> = {
            #[allow(unused_mut, unused_assignments)]
            let mut thread: Option<fn(u64) -> !> = None;
            $(thread = Some($thread);)?
            thread
        };

        static __COMPONENT: $crate::component::Component = $crate::component::Component {
            start: $start,
            thread: __THREAD,
            fault: __FAULT,
            serve: __serve,
        };

        fn __serve(interface: u16, call: $crate::Call) -> $crate::Reply {
            match interface {
                $($interface => $handler(call),)*
                _ => {
                    let _ = call;
                    Err($crate::abi::Error::BadMethod)
                }
            }
        }

        extern "C" fn __dispatch(
            a0: u64,
            a1: u64,
            a2: u64,
            method: u64,
            a3: u64,
            badge: u64,
            out: &mut [u64; 5],
        ) {
            let badge = $crate::abi::Badge(badge);
            $crate::component::dispatch(&__COMPONENT, badge, method, [a0, a1, a2, a3], out);
        }

        const _: $crate::component::Dispatch = __dispatch;

        $crate::fault_entry!($($fault)?);
        $crate::support!();
    };
}

/// The panic handler and the allocator.
#[macro_export]
macro_rules! support {
    () => {
        #[panic_handler]
        fn __panicked(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::panicked(info)
        }

        #[global_allocator]
        static __HEAP: $crate::heap::Heap = $crate::heap::Heap;
    };
}
