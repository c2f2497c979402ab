//! What compiled code expects from a C library: copy, move, set and compare memory. Sixteen
//! bytes at a time with SSE2, eight times a round for long copies; `rep movsb` is many times
//! slower where instructions are emulated. `component.ld` gives these functions
//! their usual names.

use core::arch::naked_asm;

/// `memcpy`; also right for overlapping ranges when the destination is lower.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cistern_memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "cmp rdx, 16",
        "jb 5f",
        // The last 16 bytes are read first, so that the loops need no byte-wise tail and a
        // lower overlapping destination cannot spoil them.
        "movdqu xmm4, [rsi + rdx - 16]",
        "lea rcx, [rdi + rdx - 16]",
        "cmp rdx, 256",
        "jb 11f",
        // Long: blocks of 128 bytes, counted up to zero from the end of the last whole one.
        "mov r8, rdx",
        "and r8, -128",
        "add rsi, r8",
        "add rdi, r8",
        "sub rdx, r8",
        "neg r8",
        "10:",
        "movdqu xmm0, [rsi + r8]",
        "movdqu xmm1, [rsi + r8 + 16]",
        "movdqu xmm2, [rsi + r8 + 32]",
        "movdqu xmm3, [rsi + r8 + 48]",
        "movdqu xmm5, [rsi + r8 + 64]",
        "movdqu xmm6, [rsi + r8 + 80]",
        "movdqu xmm7, [rsi + r8 + 96]",
        "movdqu xmm8, [rsi + r8 + 112]",
        "movdqu [rdi + r8], xmm0",
        "movdqu [rdi + r8 + 16], xmm1",
        "movdqu [rdi + r8 + 32], xmm2",
        "movdqu [rdi + r8 + 48], xmm3",
        "movdqu [rdi + r8 + 64], xmm5",
        "movdqu [rdi + r8 + 80], xmm6",
        "movdqu [rdi + r8 + 96], xmm7",
        "movdqu [rdi + r8 + 112], xmm8",
        "add r8, 128",
        "jnz 10b",
        "11:",
        "sub rdx, 64",
        "jb 3f",
        "2:",
        "movdqu xmm0, [rsi]",
        "movdqu xmm1, [rsi + 16]",
        "movdqu xmm2, [rsi + 32]",
        "movdqu xmm3, [rsi + 48]",
        "movdqu [rdi], xmm0",
        "movdqu [rdi + 16], xmm1",
        "movdqu [rdi + 32], xmm2",
        "movdqu [rdi + 48], xmm3",
        "add rsi, 64",
        "add rdi, 64",
        "sub rdx, 64",
        "jae 2b",
        "3:",
        "add rdx, 64",
        "4:",
        "cmp rdx, 16",
        "jbe 6f",
        "movdqu xmm0, [rsi]",
        "movdqu [rdi], xmm0",
        "add rsi, 16",
        "add rdi, 16",
        "sub rdx, 16",
        "jmp 4b",
        "6:",
        "movdqu [rcx], xmm4",
        "ret",
        "5:",
        "cmp edx, 8",
        "jb 7f",
        "mov rcx, [rsi]",
        "mov r8, [rsi + rdx - 8]",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], r8",
        "ret",
        "7:",
        "cmp edx, 4",
        "jb 8f",
        "mov ecx, [rsi]",
        "mov r8d, [rsi + rdx - 4]",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], r8d",
        "ret",
        "8:",
        "test edx, edx",
        "jz 9f",
        // One to three bytes: first, middle, last.
        "movzx ecx, byte ptr [rsi]",
        "movzx r8d, byte ptr [rsi + rdx - 1]",
        "mov r9, rdx",
        "shr r9, 1",
        "movzx r10d, byte ptr [rsi + r9]",
        "mov [rdi], cl",
        "mov [rdi + r9], r10b",
        "mov [rdi + rdx - 1], r8b",
        "9:",
        "ret",
    )
}

/// `memmove`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cistern_memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "sub rax, rsi",
        "cmp rax, rdx",
        // Not inside the source: forwards will do.
        "jae {forwards}",
        "cmp rdx, 16",
        // Short copies read everything before they write.
        "jb {forwards}",
        "mov rax, rdi",
        "movdqu xmm4, [rsi]",
        "2:",
        "cmp rdx, 64",
        "jb 3f",
        "movdqu xmm0, [rsi + rdx - 16]",
        "movdqu xmm1, [rsi + rdx - 32]",
        "movdqu xmm2, [rsi + rdx - 48]",
        "movdqu xmm3, [rsi + rdx - 64]",
        "movdqu [rdi + rdx - 16], xmm0",
        "movdqu [rdi + rdx - 32], xmm1",
        "movdqu [rdi + rdx - 48], xmm2",
        "movdqu [rdi + rdx - 64], xmm3",
        "sub rdx, 64",
        "jmp 2b",
        "3:",
        "cmp rdx, 16",
        "jbe 4f",
        "movdqu xmm0, [rsi + rdx - 16]",
        "movdqu [rdi + rdx - 16], xmm0",
        "sub rdx, 16",
        "jmp 3b",
        "4:",
        "movdqu [rdi], xmm4",
        "ret",
        forwards = sym cistern_memcpy,
    )
}

/// `memset`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cistern_memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    naked_asm!(
        "mov rax, rdi",
        "movzx ecx, sil",
        "mov r8, 0x0101010101010101",
        "imul rcx, r8",
        "cmp rdx, 16",
        "jb 5f",
        "movq xmm0, rcx",
        "punpcklqdq xmm0, xmm0",
        "movdqu [rdi + rdx - 16], xmm0",
        "sub rdx, 64",
        "jb 3f",
        "2:",
        "movdqu [rdi], xmm0",
        "movdqu [rdi + 16], xmm0",
        "movdqu [rdi + 32], xmm0",
        "movdqu [rdi + 48], xmm0",
        "add rdi, 64",
        "sub rdx, 64",
        "jae 2b",
        "3:",
        "add rdx, 64",
        "4:",
        "cmp rdx, 16",
        "jbe 9f",
        "movdqu [rdi], xmm0",
        "add rdi, 16",
        "sub rdx, 16",
        "jmp 4b",
        "5:",
        "cmp edx, 8",
        "jb 7f",
        "mov [rdi], rcx",
        "mov [rdi + rdx - 8], rcx",
        "ret",
        "7:",
        "cmp edx, 4",
        "jb 8f",
        "mov [rdi], ecx",
        "mov [rdi + rdx - 4], ecx",
        "ret",
        "8:",
        "test edx, edx",
        "jz 9f",
        "mov r9, rdx",
        "shr r9, 1",
        "mov [rdi], cl",
        "mov [rdi + r9], cl",
        "mov [rdi + rdx - 1], cl",
        "9:",
        "ret",
    )
}

/// `memcmp` and `bcmp`.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cistern_memcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    naked_asm!(
        "2:",
        "cmp rdx, 16",
        "jb 4f",
        "movdqu xmm0, [rdi]",
        "movdqu xmm1, [rsi]",
        "pcmpeqb xmm0, xmm1",
        "pmovmskb ecx, xmm0",
        "xor ecx, 0xffff",
        "jnz 3f",
        "add rdi, 16",
        "add rsi, 16",
        "sub rdx, 16",
        "jmp 2b",
        "3:",
        // The lowest differing byte decides.
        "bsf ecx, ecx",
        "movzx eax, byte ptr [rdi + rcx]",
        "movzx edx, byte ptr [rsi + rcx]",
        "sub eax, edx",
        "ret",
        "4:",
        "test rdx, rdx",
        "jz 5f",
        "movzx eax, byte ptr [rdi]",
        "movzx ecx, byte ptr [rsi]",
        "sub eax, ecx",
        "jnz 6f",
        "inc rdi",
        "inc rsi",
        "dec rdx",
        "jmp 4b",
        "5:",
        "xor eax, eax",
        "6:",
        "ret",
    )
}

/// Stands for the unwinder's symbols: prebuilt `core` names them, nothing here unwinds.
#[unsafe(naked)]
#[unsafe(no_mangle)]
unsafe extern "C" fn cistern_no_unwinding() -> ! {
    naked_asm!("ud2")
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    fn pattern(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| (i * 7 + 3) as u8).collect()
    }

    #[test]
    fn copies_every_length() {
        for bytes in (0..300).chain([383, 384, 511, 512, 513, 4096, 5000]) {
            let from = pattern(bytes);
            let mut to = std::vec![0xaa; bytes + 32];
            // SAFETY: both ranges have `bytes` bytes.
            unsafe { cistern_memcpy(to[16..].as_mut_ptr(), from.as_ptr(), bytes) };
            assert_eq!(&to[16..16 + bytes], &from[..], "{bytes} bytes");
            assert!(to[..16].iter().chain(&to[16 + bytes..]).all(|b| *b == 0xaa));
        }
    }

    #[test]
    fn moves_between_all_overlaps() {
        for bytes in [
            0, 1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 63, 64, 65, 100, 200, 300, 400,
        ] {
            for from in 0..80 {
                for to in 0..80 {
                    let mut ours = pattern(500);
                    let mut expected = ours.clone();
                    expected.copy_within(from..from + bytes, to);
                    let base = ours.as_mut_ptr();
                    // SAFETY: both ranges lie inside the 500 bytes.
                    unsafe { cistern_memmove(base.add(to), base.add(from), bytes) };
                    assert_eq!(ours, expected, "{bytes} bytes from {from} to {to}");
                }
            }
        }
    }

    #[test]
    fn sets_every_length() {
        for bytes in 0..300 {
            let mut to = std::vec![0xaa; bytes + 32];
            // SAFETY: the range has `bytes` bytes.
            unsafe { cistern_memset(to[16..].as_mut_ptr(), 0x15c, bytes) };
            assert!(to[16..16 + bytes].iter().all(|b| *b == 0x5c), "{bytes}");
            assert!(to[..16].iter().chain(&to[16 + bytes..]).all(|b| *b == 0xaa));
        }
    }

    #[test]
    fn compares_like_slices() {
        for bytes in 0..100 {
            let left = pattern(bytes);
            for change in 0..bytes {
                for value in [0, 255, left[change]] {
                    let mut right = left.clone();
                    right[change] = value;
                    // SAFETY: both ranges have `bytes` bytes.
                    let ours = unsafe { cistern_memcmp(left.as_ptr(), right.as_ptr(), bytes) };
                    assert_eq!(ours.signum(), left.cmp(&right) as i32);
                }
            }
        }
    }
}
