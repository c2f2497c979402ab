//! The code that the meddler's components run, and where it lies in them.

use crate::PAGE;
use abi::layout;

/// Where the code lies in the components that are made: twice, the second time at the very end.
pub const LOW: u64 = layout::IMAGE as u64;
pub const TOP: u64 = layout::USER_END as u64 - PAGE;
/// `mov r10d, r8d; mov r8d, edx; syscall; mov r10d, -1; mov eax, 7; syscall; ud2`: does what it is
/// told, and tells whom it invokes what it was told third.
const OBEY: &[u8] = &[
    0x45, 0x89, 0xc2, 0x41, 0x89, 0xd0, 0x0f, 0x05, 0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0xb8, 7, 0,
    0, 0, 0x0f, 0x05, 0x0f, 0x0b,
];
/// Revokes the memory in the slot that its first argument names, until that is done, makes a
/// cleared object of all of it, so that nothing is left of what was there, and returns: `mov ebx,
/// edi; 1: mov r10d, 1; mov eax, 4; mov edi, ebx; syscall; cmp eax, 17; je 1b; 2: mov r10d, 1; mov
/// eax, 2; mov edi, 20; mov esi, ebx; mov rdx, 0x1_0000_0004; xor r8d, r8d; mov r9d, 0x10000;
/// syscall; cmp eax, 17; je 2b; mov r10d, -1; mov eax, 7; syscall`.
const RUIN: &[u8] = &[
    0x89, 0xfb, 0x41, 0xba, 1, 0, 0, 0, 0xb8, 4, 0, 0, 0, 0x89, 0xdf, 0x0f, 0x05, 0x83, 0xf8, 17,
    0x74, 0xec, 0x41, 0xba, 1, 0, 0, 0, 0xb8, 2, 0, 0, 0, 0xbf, 20, 0, 0, 0, 0x89, 0xde, 0x48,
    0xba, 4, 0, 0, 0, 1, 0, 0, 0, 0x45, 0x31, 0xc0, 0x41, 0xb9, 0, 0, 1, 0, 0x0f, 0x05, 0x83, 0xf8,
    17, 0x74, 0xd4, 0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0xb8, 7, 0, 0, 0, 0x0f, 0x05,
];
/// `mov r10d, -1; mov eax, 7; syscall`: returns an error.
const RETURN: &[u8] = &[
    0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0xb8, 7, 0, 0, 0, 0x0f, 0x05,
];
/// `ud2`, and `int1`.
const ILLEGAL: &[u8] = &[0x0f, 0x0b];
const TRAP: &[u8] = &[0xf1];
/// As a thread, with all it does in its argument: `mov r10d, edi; shr r10d, 24; mov eax, edi;
/// shr eax, 16; movzx eax, al; movzx edi, di; syscall; mov r10d, -1; syscall; ud2`.
const THREAD: &[u8] = &[
    0x41, 0x89, 0xfa, 0x41, 0xc1, 0xea, 24, 0x89, 0xf8, 0xc1, 0xe8, 16, 0x0f, 0xb6, 0xc0, 0x0f,
    0xb7, 0xff, 0x0f, 0x05, 0x41, 0xba, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x05, 0x0f, 0x0b,
];
/// `syscall` as the last instruction there is.
const LAST: &[u8] = &[0x0f, 0x05];
pub const RUIN_AT: u64 = 0x140;
pub const PROGRAMS: [(u64, &[u8]); 7] = [
    (0, OBEY),
    (0x40, RETURN),
    (0x80, ILLEGAL),
    (0xc0, THREAD),
    (0x100, TRAP),
    (RUIN_AT, RUIN),
    (PAGE - 2, LAST),
];
