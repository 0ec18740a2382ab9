// strcspn_bitmap.s - strspn, strcspn and strpbrk with a 256-bit set
//
//   size_t a64_strcspn(const char *s, const char *reject);
//   size_t a64_strspn(const char *s, const char *accept);
//   char  *a64_strpbrk(const char *s, const char *accept);
//   char  *a64_strtok(char *s, const char *delimiters, char **save);
//
// The set lives in four general registers, x4-x7, one bit per character.
// Testing a byte is two selects and a shift: no table in memory, no stack,
// and a cost that does not depend on the size of the set.
//
// AAPCS64: arguments and results in x0-x7; x9-x15 are free for any use and
// x19-x28 would have to be preserved, and so none of them is used here.

        .arch   armv8-a
        .text

// Sets the bit of character \c (a w register) in x4-x7; clobbers x9-x12.
        .macro  set_add c
        mov     x9, #1
        lsl     x9, x9, x\c             // shifts use the low six bits only
        lsr     w10, w\c, #6            // which of the four words
        cmp     w10, #1
        csel    x11, x9, xzr, lo        // word 0
        csel    x12, x9, xzr, eq        // word 1
        orr     x4, x4, x11
        orr     x5, x5, x12
        cmp     w10, #3
        csel    x12, x9, xzr, eq        // word 3
        orr     x7, x7, x12
        cmp     w10, #2
        csel    x11, x9, xzr, eq        // word 2
        orr     x6, x6, x11
        .endm

// Leaves bit 0 of x9 set if character \c is in the set; clobbers x10, flags.
        .macro  set_test c
        tst     w\c, #0x40
        csel    x9, x4, x5, eq          // words 0 and 1
        csel    x10, x6, x7, eq         // words 2 and 3
        tst     w\c, #0x80
        csel    x9, x9, x10, eq
        lsr     x9, x9, x\c
        .endm

// Internal: builds the set from the string at x1. The terminator itself is
// not a member. Clobbers x1 and x8-x12; returns to x13 instead of x30, so
// that its callers stay leaf functions without a frame.
        .type   build_set, %function
build_set:
        mov     x4, xzr
        mov     x5, xzr
        mov     x6, xzr
        mov     x7, xzr
        b       2f
1:      set_add 8
2:      ldrb    w8, [x1], #1
        cbnz    w8, 1b
        ret     x13
        .size   build_set, . - build_set

// Internal: x0 = s; advances x0 to the first member or the terminator.
// w8 holds the byte found. Returns to x13.
        .type   scan_until, %function
scan_until:
        orr     x4, x4, #1              // the terminator stops the scan as well
1:      ldrb    w8, [x0], #1
        set_test 8
        tbz     x9, #0, 1b
        sub     x0, x0, #1
        ret     x13
        .size   scan_until, . - scan_until

// Internal: as above, but stops at the first character that is no member.
// The terminator never is one.
        .type   scan_while, %function
scan_while:
1:      ldrb    w8, [x0], #1
        set_test 8
        tbnz    x9, #0, 1b
        sub     x0, x0, #1
        ret     x13
        .size   scan_while, . - scan_while

        .globl  a64_strcspn
        .type   a64_strcspn, %function
        .p2align 4
a64_strcspn:
        mov     x2, x0
        adr     x13, 1f
        b       build_set
1:      adr     x13, 2f
        b       scan_until
2:      sub     x0, x0, x2
        ret
        .size   a64_strcspn, . - a64_strcspn

        .globl  a64_strspn
        .type   a64_strspn, %function
        .p2align 4
a64_strspn:
        mov     x2, x0
        adr     x13, 1f
        b       build_set
1:      adr     x13, 2f
        b       scan_while
2:      sub     x0, x0, x2
        ret
        .size   a64_strspn, . - a64_strspn

        .globl  a64_strpbrk
        .type   a64_strpbrk, %function
        .p2align 4
a64_strpbrk:
        adr     x13, 1f
        b       build_set
1:      adr     x13, 2f
        b       scan_until
2:      cmp     w8, #0                  // stopped at the terminator: NULL
        csel    x0, xzr, x0, eq
        ret
        .size   a64_strpbrk, . - a64_strpbrk

// Like strtok_r: x0 is the text or NULL to go on, x2 the place to resume.
        .globl  a64_strtok
        .type   a64_strtok, %function
        .p2align 4
a64_strtok:
        ldr     x3, [x2]
        cmp     x0, #0
        csel    x0, x3, x0, eq
        adr     x13, 1f
        b       build_set
1:      adr     x13, 2f
        b       scan_while              // skip delimiters in front
2:      cbz     w8, 4f                  // nothing but delimiters left
        mov     x3, x0                  // the token begins here
        adr     x13, 3f
        b       scan_until
3:      cbz     w8, 5f
        strb    wzr, [x0], #1           // cut the token off, step over
5:      str     x0, [x2]
        mov     x0, x3
        ret
4:      str     x0, [x2]
        mov     x0, xzr
        ret
        .size   a64_strtok, . - a64_strtok

        .section .note.GNU-stack, "", %progbits
