// mcs_lock.s - a fair queueing spinlock (MCS)
//
//   struct mcs_node { struct mcs_node *next; uint64_t waiting; };
//   struct mcs_lock { struct mcs_node *tail; };
//
//   void mcs_acquire(struct mcs_lock *lock, struct mcs_node *me);
//   int  mcs_try_acquire(struct mcs_lock *lock, struct mcs_node *me);
//   void mcs_release(struct mcs_lock *lock, struct mcs_node *me);
//
// Waiters form a list and each one spins on its own node, so that a release
// disturbs one cache line instead of all of them. The node belongs to the
// caller and must stay valid until the release returns.
// Exclusive loads and stores (ARMv8.0) are used, which every core has.
//
// Waiting uses WFE. A waiter arms the event by a load-exclusive of the word
// that it waits for: the store that changes the word clears the exclusive
// monitor, and that wakes the core without an explicit SEV.

        .arch   armv8-a
        .text

        .equ    NODE_NEXT, 0
        .equ    NODE_WAITING, 8

// void mcs_acquire(lock x0, me x1)
        .globl  mcs_acquire
        .type   mcs_acquire, %function
        .p2align 4
mcs_acquire:
        .cfi_startproc
        mov     x2, #1
        stp     xzr, x2, [x1]           // next = NULL, waiting = 1

        // Swap ourselves in as the tail. Release: our node's contents are
        // visible before the node is. Acquire: for the uncontended case.
1:      ldaxr   x3, [x0]                // x3 = predecessor
        stlxr   w4, x1, [x0]
        cbnz    w4, 1b
        cbz     x3, 3f                  // the queue was empty: the lock is ours

        // Link in behind the predecessor, who will hand the lock over.
        stlr    x1, [x3]                // predecessor->next = me

        add     x5, x1, #NODE_WAITING
        sevl                            // so that the first WFE falls through
2:      wfe
        ldaxr   x4, [x5]
        cbnz    x4, 2b
        clrex                           // do not leave the monitor armed
3:      ret
        .cfi_endproc
        .size   mcs_acquire, . - mcs_acquire

// int mcs_try_acquire(lock x0, me x1)     1 on success, 0 if the lock is taken
        .globl  mcs_try_acquire
        .type   mcs_try_acquire, %function
        .p2align 4
mcs_try_acquire:
        .cfi_startproc
        stp     xzr, xzr, [x1]
1:      ldaxr   x3, [x0]
        cbnz    x3, 2f
        stlxr   w4, x1, [x0]
        cbnz    w4, 1b                  // lost the reservation, not the race
        mov     w0, #1
        ret
2:      clrex
        mov     w0, wzr
        ret
        .cfi_endproc
        .size   mcs_try_acquire, . - mcs_try_acquire

// void mcs_release(lock x0, me x1)
        .globl  mcs_release
        .type   mcs_release, %function
        .p2align 4
mcs_release:
        .cfi_startproc
        ldar    x2, [x1]                // me->next
        cbnz    x2, 3f

        // Nobody is linked behind us. If we are still the tail, the lock
        // becomes free: compare and swap tail from me to NULL.
1:      ldxr    x3, [x0]
        cmp     x3, x1
        b.ne    2f
        stlxr   w4, xzr, [x0]
        cbnz    w4, 1b
        ret

        // Somebody swapped in but has not linked yet; that is a matter of
        // a few instructions, unless they were preempted in between.
2:      clrex
        sevl
4:      wfe
        ldaxr   x2, [x1]
        cbz     x2, 4b
        clrex

        // Hand over. The release orders our critical section before it and
        // wakes the successor through its exclusive monitor.
3:      add     x2, x2, #NODE_WAITING
        stlr    xzr, [x2]
        ret
        .cfi_endproc
        .size   mcs_release, . - mcs_release

// uint64_t mcs_locked_add(lock x0, uint64_t *counter x1, uint64_t amount x2)
//
// Adds under the lock and returns the old value: an example of a caller that
// keeps its queue node on the stack.
        .globl  mcs_locked_add
        .type   mcs_locked_add, %function
        .p2align 4
mcs_locked_add:
        .cfi_startproc
        stp     x29, x30, [sp, #-64]!
        .cfi_def_cfa_offset 64
        .cfi_offset x29, -64
        .cfi_offset x30, -56
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        .cfi_offset x19, -48
        .cfi_offset x20, -40
        str     x21, [sp, #32]
        .cfi_offset x21, -32

        mov     x19, x0
        mov     x20, x1
        mov     x21, x2
        add     x1, sp, #48             // the node
        bl      mcs_acquire
        ldr     x3, [x20]
        add     x4, x3, x21
        str     x4, [x20]
        mov     x20, x3
        mov     x0, x19
        add     x1, sp, #48
        bl      mcs_release
        mov     x0, x20

        ldr     x21, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #64
        ret
        .cfi_endproc
        .size   mcs_locked_add, . - mcs_locked_add

        .section .note.GNU-stack, "", %progbits
