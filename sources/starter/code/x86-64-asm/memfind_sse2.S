/*
 * memfind_sse2.S - substring search in raw memory (GAS, AT&T syntax)
 *
 *   const void *memfind(const void *hay, size_t n, const void *needle, size_t m);
 *
 * Compares the first and the last byte of the needle against sixteen
 * positions at once; only where both agree is the middle looked at. On text
 * that leaves very few candidates. Loads never go past hay + n, so that a
 * buffer may end at the end of a mapped page.
 *
 * Arguments (System V): %rdi hay, %rsi n, %rdx needle, %rcx m. Leaf function
 * without stack use; %xmm registers are all caller-saved.
 */

        .text
        .globl  memfind
        .type   memfind, @function
        .p2align 4
memfind:
        .cfi_startproc
        testq   %rcx, %rcx
        je      .Lat_start              /* an empty needle is everywhere */
        cmpq    %rcx, %rsi
        jb      .Lnot_found

        movq    %rsi, %r8
        subq    %rcx, %r8
        addq    %rdi, %r8               /* %r8: last possible position */
        leaq    -1(%rcx), %r10          /* offset of the needle's last byte */

        /* broadcast both bytes */
        movzbl  (%rdx), %eax
        movd    %eax, %xmm0
        punpcklbw %xmm0, %xmm0
        pshuflw $0, %xmm0, %xmm0
        punpcklqdq %xmm0, %xmm0
        movzbl  (%rdx,%r10), %eax
        movd    %eax, %xmm1
        punpcklbw %xmm1, %xmm1
        pshuflw $0, %xmm1, %xmm1
        punpcklqdq %xmm1, %xmm1

        /* sixteen positions at a time while %rdi + 15 <= %r8 */
        leaq    -15(%r8), %r11
        cmpq    %r11, %rdi
        ja      .Ltail

        .p2align 4
.Lblock:
        movdqu  (%rdi), %xmm2
        movdqu  (%rdi,%r10), %xmm3
        pcmpeqb %xmm0, %xmm2
        pcmpeqb %xmm1, %xmm3
        pand    %xmm3, %xmm2
        pmovmskb %xmm2, %eax
        testl   %eax, %eax
        jne     .Lcandidates
.Lnext_block:
        addq    $16, %rdi
        cmpq    %r11, %rdi
        jbe     .Lblock

.Ltail:
        cmpq    %r8, %rdi
        ja      .Lnot_found
        movzbl  (%rdi), %eax
        cmpb    (%rdx), %al
        jne     .Ltail_next
        movzbl  (%rdi,%r10), %eax
        cmpb    (%rdx,%r10), %al
        jne     .Ltail_next
        movq    %rdi, %rsi
        xorl    %eax, %eax              /* no mark: a mismatch returns here */
        jmp     .Lverify
.Ltail_next:
        incq    %rdi
        jmp     .Ltail

        /* %eax: mask of candidates in this block, taken lowest first */
        .p2align 4
.Lcandidates:
        bsfl    %eax, %ecx
        leaq    (%rdi,%rcx), %rsi       /* %rsi: candidate */
        leal    -1(%rax), %ecx
        andl    %ecx, %eax              /* clear the lowest bit */
        orl     $0x10000, %eax          /* mark: came from a block */

        /* Compare bytes 1 .. m - 2, from the back. */
.Lverify:
        movq    %r10, %rcx
.Lverify_byte:
        decq    %rcx
        jle     .Lfound
        movzbl  (%rsi,%rcx), %r9d
        cmpb    (%rdx,%rcx), %r9b
        je      .Lverify_byte

        testl   $0x10000, %eax
        je      .Ltail_next
        andl    $0xffff, %eax
        jne     .Lcandidates
        jmp     .Lnext_block

.Lfound:
        movq    %rsi, %rax
        ret
.Lat_start:
        movq    %rdi, %rax
        ret
.Lnot_found:
        xorl    %eax, %eax
        ret
        .cfi_endproc
        .size   memfind, . - memfind

        .section .note.GNU-stack, "", @progbits
