// exception_vectors.s - EL1 exception table and context save for a small kernel
//
// Entry is at VBAR_EL1 plus an offset for the origin and kind of the exception.
// The frame that is built on the kernel stack matches this structure:
//
//   struct trap_frame {
//       uint64_t x[31];
//       uint64_t sp_el0;
//       uint64_t elr, spsr;         // where and in what state to continue
//       uint64_t esr, far;          // why, and the address for faults
//   };
//
// trap_sync (faults, system calls) and trap_irq are C functions that take it;
// trap_fatal takes the slot's number as well and does not return.

        .arch   armv8-a

        .equ    FRAME_SIZE, 288
        .equ    OFF_X30, 240
        .equ    OFF_ELR, 256
        .equ    OFF_ESR, 272

        .equ    EC_SVC64, 0x15          // exception class of a system call

// Saves all general registers and the syndrome; leaves x0 = frame.
        .macro  save_context
        sub     sp, sp, #FRAME_SIZE
        stp     x0, x1, [sp, #0]
        stp     x2, x3, [sp, #16]
        stp     x4, x5, [sp, #32]
        stp     x6, x7, [sp, #48]
        stp     x8, x9, [sp, #64]
        stp     x10, x11, [sp, #80]
        stp     x12, x13, [sp, #96]
        stp     x14, x15, [sp, #112]
        stp     x16, x17, [sp, #128]
        stp     x18, x19, [sp, #144]
        stp     x20, x21, [sp, #160]
        stp     x22, x23, [sp, #176]
        stp     x24, x25, [sp, #192]
        stp     x26, x27, [sp, #208]
        stp     x28, x29, [sp, #224]
        mrs     x9, sp_el0
        stp     x30, x9, [sp, #OFF_X30]
        mrs     x10, elr_el1
        mrs     x11, spsr_el1
        stp     x10, x11, [sp, #OFF_ELR]
        mrs     x12, esr_el1
        mrs     x13, far_el1
        stp     x12, x13, [sp, #OFF_ESR]
        mov     x29, xzr                // backtraces end here
        mov     x0, sp
        .endm

// One slot of the table, 128 bytes apart.
        .macro  vector handler, slot
        .p2align 7
        b       \handler\()_\slot
        .endm

        .macro  fatal_entry slot
fatal_\slot:
        save_context
        mov     w1, #\slot
        bl      trap_fatal
        b       .                       // trap_fatal must not come back
        .endm

        .section .text.vectors, "ax"
        .p2align 11                     // VBAR_EL1 holds no low bits
        .globl  exception_vectors
exception_vectors:
        // current EL with SP_EL0: never used
        vector  fatal, 0
        vector  fatal, 1
        vector  fatal, 2
        vector  fatal, 3
        // current EL with SP_EL1
        vector  fatal, 4
        vector  irq, 5
        vector  fatal, 6
        vector  fatal, 7
        // lower EL, AArch64: system calls, faults and interrupts of programs
        vector  sync, 8
        vector  irq, 9
        vector  fatal, 10
        vector  fatal, 11
        // lower EL, AArch32: not supported
        vector  fatal, 12
        vector  fatal, 13
        vector  fatal, 14
        vector  fatal, 15

        .text
        .irp    n, 0,1,2,3,4,6,7,10,11,12,13,14,15
        fatal_entry \n
        .endr

sync_8:
        save_context
        // System calls are the common case: they may be interrupted.
        lsr     x9, x12, #26
        cmp     x9, #EC_SVC64
        b.ne    1f
        msr     daifclr, #2
1:      bl      trap_sync
        b       trap_return

irq_5:
irq_9:
        save_context
        bl      trap_irq
        // fall through

// Restores everything from the frame at sp and leaves the exception. A new
// thread starts here as well, with a frame that was made up for it.
        .globl  trap_return
trap_return:
        msr     daifset, #2             // nothing may disturb ELR and SPSR now
        ldp     x10, x11, [sp, #OFF_ELR]
        msr     elr_el1, x10
        msr     spsr_el1, x11
        ldp     x30, x9, [sp, #OFF_X30]
        msr     sp_el0, x9
        ldp     x28, x29, [sp, #224]
        ldp     x26, x27, [sp, #208]
        ldp     x24, x25, [sp, #192]
        ldp     x22, x23, [sp, #176]
        ldp     x20, x21, [sp, #160]
        ldp     x18, x19, [sp, #144]
        ldp     x16, x17, [sp, #128]
        ldp     x14, x15, [sp, #112]
        ldp     x12, x13, [sp, #96]
        ldp     x10, x11, [sp, #80]
        ldp     x8, x9, [sp, #64]
        ldp     x6, x7, [sp, #48]
        ldp     x4, x5, [sp, #32]
        ldp     x2, x3, [sp, #16]
        ldp     x0, x1, [sp, #0]
        add     sp, sp, #FRAME_SIZE
        eret

// void vectors_install(void): this core's table.
        .globl  vectors_install
vectors_install:
        adrp    x0, exception_vectors
        add     x0, x0, :lo12:exception_vectors
        msr     vbar_el1, x0
        isb                             // before the first fault can happen
        ret
