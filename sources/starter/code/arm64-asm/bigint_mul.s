// bigint_mul.s - multi-precision integers, little-endian arrays of 64-bit limbs
//
//   uint64_t mpn_add_n(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n);
//   uint64_t mpn_addmul_1(uint64_t *r, const uint64_t *a, size_t n, uint64_t m);
//   void     mpn_mul(uint64_t *r, const uint64_t *a, size_t na,
//                    const uint64_t *b, size_t nb);
//   int      mpn_cmp(const uint64_t *a, const uint64_t *b, size_t n);
//   uint64_t mpn_divrem_1(uint64_t *q, const uint64_t *a, size_t n, uint32_t d);
//
// The carry flag runs through whole loops, which is why the loop counters
// are kept with SUB and CBNZ: neither touches the flags.

        .arch   armv8-a
        .text

// r = a + b over n limbs; returns the carry out. Any of them may coincide.
        .globl  mpn_add_n
        .type   mpn_add_n, %function
        .p2align 4
mpn_add_n:
        cmn     xzr, xzr                // clear carry
        tbz     x3, #0, 1f
        ldr     x4, [x1], #8            // odd count: one limb ahead
        ldr     x5, [x2], #8
        adcs    x4, x4, x5
        str     x4, [x0], #8
1:      lsr     x3, x3, #1              // LSR leaves the flags alone
        cbz     x3, 3f
2:      ldp     x4, x5, [x1], #16
        ldp     x6, x7, [x2], #16
        adcs    x4, x4, x6
        adcs    x5, x5, x7
        stp     x4, x5, [x0], #16
        sub     x3, x3, #1
        cbnz    x3, 2b
3:      cset    x0, cs
        ret
        .size   mpn_add_n, . - mpn_add_n

// r += a * m over n limbs; returns the limb that is carried out.
// The sum of a product and two limbs always fits in 128 bits:
// (2^64 - 1)^2 + 2 (2^64 - 1) = 2^128 - 1.
        .globl  mpn_addmul_1
        .type   mpn_addmul_1, %function
        .p2align 4
mpn_addmul_1:
        mov     x4, xzr                 // carry limb
        cbz     x2, 2f
1:      ldr     x5, [x1], #8
        ldr     x6, [x0]
        mul     x7, x5, x3
        umulh   x8, x5, x3
        adds    x7, x7, x4
        cinc    x8, x8, cs
        adds    x7, x7, x6
        cinc    x4, x8, cs
        str     x7, [x0], #8
        sub     x2, x2, #1
        cbnz    x2, 1b
2:      mov     x0, x4
        ret
        .size   mpn_addmul_1, . - mpn_addmul_1

// r[na + nb] = a * b, schoolbook; r must not overlap the operands.
        .globl  mpn_mul
        .type   mpn_mul, %function
        .p2align 4
mpn_mul:
        stp     x29, x30, [sp, #-64]!
        mov     x29, sp
        stp     x19, x20, [sp, #16]
        stp     x21, x22, [sp, #32]
        str     x23, [sp, #48]

        mov     x19, x0
        mov     x20, x1
        mov     x21, x2                 // na
        mov     x22, x3
        mov     x23, x4                 // nb

        add     x5, x2, x4              // clear the result
        cbz     x5, 3f
1:      str     xzr, [x0], #8
        sub     x5, x5, #1
        cbnz    x5, 1b

        cbz     x23, 3f
2:      mov     x0, x19                 // r += a * b[j] << 64 j
        mov     x1, x20
        mov     x2, x21
        ldr     x3, [x22], #8
        bl      mpn_addmul_1
        str     x0, [x19, x21, lsl #3]
        add     x19, x19, #8
        sub     x23, x23, #1
        cbnz    x23, 2b

3:      ldr     x23, [sp, #48]
        ldp     x21, x22, [sp, #32]
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #64
        ret
        .size   mpn_mul, . - mpn_mul

// Compares from the most significant limb: -1, 0 or 1.
        .globl  mpn_cmp
        .type   mpn_cmp, %function
        .p2align 4
mpn_cmp:
        mov     w3, wzr
1:      cbz     x2, 2f
        sub     x2, x2, #1
        ldr     x4, [x0, x2, lsl #3]
        ldr     x5, [x1, x2, lsl #3]
        cmp     x4, x5
        b.eq    1b
        cset    w3, hi
        csinv   w3, w3, wzr, hs         // lower: all ones, which is -1
2:      mov     w0, w3
        ret
        .size   mpn_cmp, . - mpn_cmp

// q = a / d, returns a mod d. With a divisor of 32 bits each limb is divided
// in two halves, since there is no 128-by-64-bit division.
        .globl  mpn_divrem_1
        .type   mpn_divrem_1, %function
        .p2align 4
mpn_divrem_1:
        mov     w3, w3                  // the upper half is not defined
        mov     x4, xzr                 // remainder, below d
1:      cbz     x2, 2f
        sub     x2, x2, #1
        ldr     x5, [x1, x2, lsl #3]
        extr    x6, x4, x5, #32         // remainder : high half
        udiv    x7, x6, x3
        msub    x4, x7, x3, x6
        bfi     x5, x4, #32, #32        // remainder : low half
        udiv    x8, x5, x3
        msub    x4, x8, x3, x5
        orr     x8, x8, x7, lsl #32
        str     x8, [x0, x2, lsl #3]
        b       1b
2:      mov     x0, x4
        ret
        .size   mpn_divrem_1, . - mpn_divrem_1

        .section .note.GNU-stack, "", %progbits
