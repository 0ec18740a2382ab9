// gemm_kernel_f32.s - 8 x 8 single-precision matrix micro-kernel for NEON
//
//   void gemm8x8_f32(size_t k, const float *a, const float *b,
//                    float *c, size_t ldc, float beta);
//
// Computes C = A * B + beta * C for an 8 x 8 block of C. A is packed in
// columns of 8, B in rows of 8, both k long, as a blocking layer provides
// them; C is row-major with a stride of ldc floats.
//
//   x0 k    x1 a    x2 b    x3 c    x4 ldc    s0 beta
//
// Registers:  v0-v1   a column of A           v16-v31  the block of C,
//             v2-v3   a row of B                       two per row
//             v4-v7   the next column and row, loaded ahead
// v8-v15 are callee-saved (their low halves) and are not touched.

        .arch   armv8-a+simd
        .text

// One row of the update: c\lo and c\hi += a[lane] * b
        .macro  row lo, hi, a, lane, b0, b1
        fmla    v\lo\().4s, v\b0\().4s, v\a\().s[\lane]
        fmla    v\hi\().4s, v\b1\().4s, v\a\().s[\lane]
        .endm

        .macro  rank1 a0, a1, b0, b1
        row     16, 17, \a0, 0, \b0, \b1
        row     18, 19, \a0, 1, \b0, \b1
        row     20, 21, \a0, 2, \b0, \b1
        row     22, 23, \a0, 3, \b0, \b1
        row     24, 25, \a1, 0, \b0, \b1
        row     26, 27, \a1, 1, \b0, \b1
        row     28, 29, \a1, 2, \b0, \b1
        row     30, 31, \a1, 3, \b0, \b1
        .endm

// Stores one row, adding beta times what is there.
        .macro  store_row lo, hi
        ldp     q2, q3, [x3]
        fmla    v\lo\().4s, v2.4s, v0.s[0]
        fmla    v\hi\().4s, v3.4s, v0.s[0]
        stp     q\lo, q\hi, [x3]
        add     x3, x3, x4
        .endm

// beta == 0 must not read C: it may hold NaNs from uninitialised memory.
        .macro  overwrite_row lo, hi
        stp     q\lo, q\hi, [x3]
        add     x3, x3, x4
        .endm

        .globl  gemm8x8_f32
        .type   gemm8x8_f32, %function
        .p2align 6
gemm8x8_f32:
        // beta moves out of the way of the first column of A
        fmov    w9, s0
        lsl     x4, x4, #2              // stride in bytes

        .irp    r, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31
        movi    v\r\().4s, #0
        .endr

        // bring the rows of C closer while the arithmetic runs
        mov     x10, x3
        mov     x11, #8
1:      prfm    pstl1keep, [x10]
        add     x10, x10, x4
        subs    x11, x11, #1
        b.ne    1b

        cbz     x0, .Lfinish
        ldp     q0, q1, [x1], #32
        ldp     q2, q3, [x2], #32
        subs    x0, x0, #1
        b.eq    .Llast_even

        // Two rank-1 updates per turn; loads run one update ahead.
        .p2align 5
.Lloop:
        ldp     q4, q5, [x1], #32
        ldp     q6, q7, [x2], #32
        rank1   0, 1, 2, 3
        subs    x0, x0, #1
        b.eq    .Llast_odd
        ldp     q0, q1, [x1], #32
        ldp     q2, q3, [x2], #32
        prfm    pldl1keep, [x1, #256]
        prfm    pldl1keep, [x2, #256]
        rank1   4, 5, 6, 7
        subs    x0, x0, #1
        b.ne    .Lloop

.Llast_even:
        rank1   0, 1, 2, 3
        b       .Lfinish
.Llast_odd:
        rank1   4, 5, 6, 7

.Lfinish:
        fmov    s0, w9
        lsl     w10, w9, #1             // drops the sign: -0.0 counts as zero
        cbz     w10, .Loverwrite
        store_row 16, 17
        store_row 18, 19
        store_row 20, 21
        store_row 22, 23
        store_row 24, 25
        store_row 26, 27
        store_row 28, 29
        store_row 30, 31
        ret

.Loverwrite:
        overwrite_row 16, 17
        overwrite_row 18, 19
        overwrite_row 20, 21
        overwrite_row 22, 23
        overwrite_row 24, 25
        overwrite_row 26, 27
        overwrite_row 28, 29
        overwrite_row 30, 31
        ret
        .size   gemm8x8_f32, . - gemm8x8_f32

// void gemm_pack8(size_t k, const float *src, size_t ld, float *dst);
// Copies 8 neighbouring columns of k rows into the packed layout.
        .globl  gemm_pack8
        .type   gemm_pack8, %function
        .p2align 4
gemm_pack8:
        cbz     x0, 2f
        lsl     x2, x2, #2
1:      ldp     q0, q1, [x1]
        add     x1, x1, x2
        prfm    pldl1strm, [x1]
        stp     q0, q1, [x3], #32
        subs    x0, x0, #1
        b.ne    1b
2:      ret
        .size   gemm_pack8, . - gemm_pack8

        .section .note.GNU-stack, "", %progbits
