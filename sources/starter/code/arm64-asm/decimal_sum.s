// decimal_sum.s - adds amounts with up to two decimals, one per line
//
// Linux, no C library. Numbers such as -12.34 or 7 or 0.5 are added in exact
// hundredths; other lines are skipped and make the exit status 1.

        .arch   armv8-a
        .equ    SYS_READ, 63
        .equ    SYS_WRITE, 64
        .equ    SYS_EXIT, 93
        .equ    BUF, 32768

        .bss
        .p2align 4
buffer: .skip   BUF
out:    .skip   32

        .text

// The reader: returns the next byte in w0, or -1 at the end.
//   x19 next byte, x20 end of data; only the refill makes a system call
next_byte:
        cmp     x19, x20
        b.lo    1f
        mov     x0, #0
        adrp    x1, buffer
        add     x1, x1, :lo12:buffer
        mov     x2, #BUF
        mov     x8, #SYS_READ
        svc     #0
        cmp     x0, #0
        b.le    2f                      // end of file, or -errno
        adrp    x19, buffer
        add     x19, x19, :lo12:buffer
        add     x20, x19, x0
1:      ldrb    w0, [x19], #1
        ret
2:      mov     w0, #-1
        ret

        .globl  _start
//   x22 sum    x23 bad lines    x25 value    w26 state    w27 negative?
// States: 0 nothing yet, 1 integer digits, 2 after the point,
// 3 one decimal, 4 two decimals, 5 malformed
_start:
        mov     x22, xzr
        mov     x23, xzr
        mov     x19, xzr
        mov     x20, xzr
        bl      next_byte
        tbnz    w0, #31, report

new_line:
        mov     x25, xzr
        mov     w26, wzr
        mov     w27, wzr
        b       classify

advance:
        bl      next_byte
        tbnz    w0, #31, end_line
classify:
        cmp     w0, #'\n'
        b.eq    end_line
        sub     w1, w0, #'0'
        cmp     w1, #9
        b.ls    digit
        cmp     w0, #'-'
        ccmp    w26, #0, #0, eq         // only in front, and only once
        ccmp    w27, #0, #0, eq
        b.eq    minus
        cmp     w0, #'.'
        ccmp    w26, #1, #0, eq
        mov     w1, #5
        mov     w2, #2
        csel    w26, w2, w1, eq
        b       advance
minus:  mov     w27, #1
        b       advance

digit:
        cmp     w26, #4                 // a third decimal, or already bad
        b.hs    malformed
        mov     x2, #10
        madd    x25, x25, x2, x1
        cmp     w26, #0
        cinc    w26, w26, eq            // 0 -> 1
        cmp     w26, #2
        cinc    w26, w26, hs            // 2 -> 3 -> 4
        b       advance
malformed:
        mov     w26, #5
        b       advance

end_line:
        mov     w28, w0
        mov     x2, #100                // scale to hundredths by state
        mov     x3, #10
        cmp     w26, #3
        csel    x2, x3, x2, eq
        csinc   x2, x2, xzr, ls         // 4: by one
        cmp     w26, #2
        b.eq    reject                  // "12." is not a number
        sub     w4, w26, #1
        cmp     w4, #3
        b.hi    reject                  // states 0 and 5
        mul     x25, x25, x2
        cmp     w27, #0
        cneg    x25, x25, ne
        add     x22, x22, x25
        b       more
reject: add     x23, x23, #1
more:   tbnz    w28, #31, report
        bl      next_byte
        tbz     w0, #31, new_line

report:
        adrp    x1, out + 31
        add     x1, x1, :lo12:out + 31
        mov     w3, #'\n'
        strb    w3, [x1]
        mov     x6, x1
        cmp     x22, #0
        cneg    x4, x22, lt
        mov     x5, #10
        mov     w7, wzr                 // digits so far
1:      cmp     w7, #2
        b.ne    2f
        mov     w3, #'.'
        strb    w3, [x1, #-1]!
2:      udiv    x2, x4, x5
        msub    x3, x2, x5, x4
        add     w3, w3, #'0'
        strb    w3, [x1, #-1]!
        mov     x4, x2
        add     w7, w7, #1
        cmp     w7, #3                  // at least 0.00
        b.lo    1b
        cbnz    x4, 2b
        tbz     x22, #63, 3f
        mov     w3, #'-'
        strb    w3, [x1, #-1]!
3:      sub     x2, x6, x1
        add     x2, x2, #1
        mov     x0, #1
        mov     x8, #SYS_WRITE
        svc     #0
        cmp     x23, #0
        cset    x0, ne
        mov     x8, #SYS_EXIT
        svc     #0
