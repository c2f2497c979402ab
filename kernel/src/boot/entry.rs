//! From the PVH entry (32-bit protected mode, paging off, `ebx` = start information) to Rust in
//! long mode: boot page tables of 2 MiB pages map the first 4 GiB at 0, at the direct map and
//! (its first GiB) at the kernel's base.

use crate::memory::KERNEL_BASE;
use core::arch::global_asm;

/// Bytes of the boot stack, which stays core 0's kernel stack.
pub const STACK_BYTES: usize = 32 * 1024;

global_asm!(
    r#"
.section .note.pvh, "a", @note
    .align 4
    .long 4, 8, 18          // name size, descriptor size, XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad boot_entry

.section .boot, "ax"
.code32
.global boot_entry
boot_entry:
    cli
    cld
    mov esp, offset boot_stack_top - {base}
    mov esi, ebx

    mov eax, 0x80000000
    cpuid
    cmp eax, 0x80000001
    jb 9f
    mov eax, 0x80000001
    cpuid
    and edx, 0x20100800     // long mode, no-execute, syscall
    cmp edx, 0x20100800
    jne 9f

    mov edi, offset boot_pd - {base}
    mov eax, 0x83           // present, writable, 2 MiB
    mov ecx, 2048
2:  mov [edi], eax
    mov dword ptr [edi + 4], 0
    add eax, 0x200000
    add edi, 8
    dec ecx
    jnz 2b

    mov edi, offset boot_pdpt - {base}
    mov eax, offset boot_pd - {base} + 3
    mov ecx, 4
3:  mov [edi], eax
    add eax, 0x1000
    add edi, 8
    dec ecx
    jnz 3b
    mov eax, offset boot_pd - {base} + 3
    mov edi, offset boot_pdpt_high - {base}
    mov [edi + 510 * 8], eax

    mov edi, offset boot_pml4 - {base}
    mov eax, offset boot_pdpt - {base} + 3
    mov [edi], eax
    mov [edi + 256 * 8], eax
    mov eax, offset boot_pdpt_high - {base} + 3
    mov [edi + 511 * 8], eax
    mov cr3, edi

    mov eax, 0x20           // CR4.PAE
    mov cr4, eax
    mov ecx, 0xc0000080     // EFER: SCE, LME, NXE
    xor edx, edx
    mov eax, 0x901
    wrmsr
    mov eax, 0x80010033     // CR0: PG, WP, NE, ET, MP, PE
    mov cr0, eax
    lgdt [boot_gdt_pointer]
    push 8
    mov eax, offset boot_long
    push eax
    retf

    // A processor that lacks long mode: say so, as far as a serial port can.
9:  mov edi, offset boot_refusal
8:  mov al, [edi]
    test al, al
    jz 7f
    mov dx, 0x3f8
    out dx, al
    inc edi
    jmp 8b
7:  hlt
    jmp 7b

.code64
boot_long:
    mov ax, 0x10
    mov ss, ax
    xor eax, eax
    mov ds, ax
    mov es, ax
    mov fs, ax
    mov gs, ax
    movabs rsp, offset boot_stack_top
    xor ebp, ebp
    mov edi, esi
    movabs rax, offset kernel_main
    call rax
    ud2

    .align 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff
    .quad 0x00cf93000000ffff
boot_gdt_pointer:
    .word 23
    .long boot_gdt
boot_refusal:
    .asciz "kernel: this processor lacks long mode, no-execute pages or syscall\r\n"

.section .bss.boot, "aw", @nobits
    .align 4096
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pdpt_high: .skip 4096
boot_pd: .skip 4 * 4096
.global boot_stack_guard
boot_stack_guard: .skip 4096
    .skip {stack}
.global boot_stack_top
boot_stack_top:
.text
"#,
    base = const KERNEL_BASE,
    stack = const STACK_BYTES,
);
