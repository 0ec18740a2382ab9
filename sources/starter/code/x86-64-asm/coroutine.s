# coroutine.s - stackful coroutines for the System V AMD64 ABI (GAS, Intel syntax)
#
#   void  co_init(co_t *c, void *stack, size_t size, void (*fn)(co_t *, void *), void *arg);
#   void *co_resume(co_t *c, void *value);   value becomes the result of co_yield
#   void *co_yield(co_t *c, void *value);    value becomes the result of co_resume
#
# co_t is { void *sp; uint64_t state; }: sp is the saved stack pointer of the
# side that is not running. Only callee-saved state is switched, because to
# the compiler a switch is an ordinary call: rbx, rbp, r12-r15, the SSE
# control word and the x87 control word.

        .intel_syntax noprefix

        .equ    CO_SP, 0
        .equ    CO_STATE, 8
        .equ    STATE_SUSPENDED, 0
        .equ    STATE_RUNNING, 1
        .equ    STATE_DONE, 2
        .equ    FRAME, 64               # 6 registers, mxcsr + fpucw, return address

        .text

# rdi = co, rsi = stack, rdx = size, rcx = fn, r8 = arg
        .globl  co_init
        .type   co_init, @function
        .p2align 4
co_init:
        lea     rax, [rsi + rdx]
        and     rax, -16                # the ABI wants 16-byte alignment at calls
        sub     rax, FRAME + 16         # + 16: aligned again inside the trampoline
        mov     qword ptr [rax + FRAME], 0       # end of the frame chain
        lea     rdx, [rip + trampoline]
        mov     [rax + 56], rdx         # "return" address of the first switch
        mov     qword ptr [rax + 48], 0 # rbp
        mov     [rax + 40], rdi         # rbx = co
        mov     [rax + 32], rcx         # r12 = fn
        mov     [rax + 24], r8          # r13 = arg
        mov     qword ptr [rax + 16], 0 # r14
        mov     qword ptr [rax + 8], 0  # r15
        stmxcsr dword ptr [rax]         # inherit rounding modes and masks
        fnstcw  word ptr [rax + 4]
        mov     [rdi + CO_SP], rax
        mov     qword ptr [rdi + CO_STATE], STATE_SUSPENDED
        ret
        .size   co_init, . - co_init

# The first resume "returns" here with the registers set up by co_init.
        .type   trampoline, @function
        .p2align 4
trampoline:
        .cfi_startproc
        .cfi_undefined rip              # unwinders stop here
        mov     rdi, rbx
        mov     rsi, r13
        call    r12
        mov     qword ptr [rbx + CO_STATE], STATE_DONE
        mov     rdi, rbx
        xor     esi, esi
        call    switch_stacks           # never comes back
        ud2
        .cfi_endproc
        .size   trampoline, . - trampoline

        .globl  co_resume
        .type   co_resume, @function
        .p2align 4
co_resume:
        cmp     qword ptr [rdi + CO_STATE], STATE_SUSPENDED
        jne     .Lnot_resumable
        mov     qword ptr [rdi + CO_STATE], STATE_RUNNING
        jmp     switch_stacks
.Lnot_resumable:
        xor     eax, eax                # running or done: NULL
        ret
        .size   co_resume, . - co_resume

        .globl  co_yield
        .type   co_yield, @function
        .p2align 4
co_yield:
        mov     qword ptr [rdi + CO_STATE], STATE_SUSPENDED
        # fall through

# Saves this side, swaps rsp with co->sp, restores the other side and
# returns there with the value in rax.
        .type   switch_stacks, @function
switch_stacks:
        push    rbp
        push    rbx
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 8
        stmxcsr dword ptr [rsp]
        fnstcw  word ptr [rsp + 4]

        mov     rax, rsi
        xchg    rsp, [rdi + CO_SP]

        ldmxcsr dword ptr [rsp]
        fldcw   word ptr [rsp + 4]
        add     rsp, 8
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbx
        pop     rbp
        ret
        .size   switch_stacks, . - switch_stacks

# bool co_done(const co_t *c)
        .globl  co_done
        .type   co_done, @function
        .p2align 4
co_done:
        xor     eax, eax
        cmp     qword ptr [rdi + CO_STATE], STATE_DONE
        sete    al
        ret
        .size   co_done, . - co_done

        .section .note.GNU-stack, "", @progbits
