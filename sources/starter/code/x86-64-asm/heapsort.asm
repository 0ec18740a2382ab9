; heapsort.asm - sorts an array of pointers with a C comparison function.
;
;   void heapsort_ptrs(void **items, size_t count,
;                      int (*compare)(const void *, const void *, void *),
;                      void *context);
;
; NASM, System V AMD64 ABI. The comparison function may clobber every
; caller-saved register, and so everything that must outlive a call is kept
; in rbx, rbp and r12-r15. In place, O(n log n) in the worst case, not stable.

        bits    64
        default rel

        section .text
        global  heapsort_ptrs:function

; Register use throughout:
;   rbx  items          r12  compare
;   r13  context        r14  heap size
;   rbp  root index while sifting
;   r15  child index while sifting
; [rsp] holds the value being sifted down.

heapsort_ptrs:
        cmp     rsi, 2
        jb      .trivial

        push    rbx
        push    rbp
        push    r12
        push    r13
        push    r14
        push    r15
        sub     rsp, 24                 ; 6 pushes + 8 return + 24: aligned to 16

        mov     rbx, rdi
        mov     r14, rsi
        mov     r12, rdx
        mov     r13, rcx

        ; Turn the array into a heap, from the last parent to the root.
        mov     rax, rsi
        shr     rax, 1
        mov     [rsp + 8], rax          ; next root + 1
.build:
        mov     rbp, [rsp + 8]
        dec     rbp
        mov     [rsp + 8], rbp
        mov     rax, [rbx + rbp * 8]
        mov     [rsp], rax
        call    sift_down
        cmp     qword [rsp + 8], 0
        jne     .build

        ; Move the largest item behind the shrinking heap.
.extract:
        dec     r14
        mov     rax, [rbx + r14 * 8]    ; this one must find a new place
        mov     rdx, [rbx]
        mov     [rbx + r14 * 8], rdx
        mov     [rsp], rax
        xor     ebp, ebp
        call    sift_down
        cmp     r14, 1
        ja      .extract

        add     rsp, 24
        pop     r15
        pop     r14
        pop     r13
        pop     r12
        pop     rbp
        pop     rbx
.trivial:
        ret

; Walks the hole at index rbp to the bottom along the larger children, then
; lets the value climb back up. The value usually belongs near the bottom,
; so this saves about half of the comparisons of the textbook version.
;
; The value is at [rsp + 8 + 8] once the return address and one slot of
; alignment have been pushed.

%define value   qword [rsp + 16]
%define start   qword [rsp]

sift_down:
        sub     rsp, 8                  ; realign for the calls below
        mov     start, rbp
        jmp     .descend_test

.descend:
        ; r15 = left child; compare it with its sibling if there is one
        lea     rax, [r15 + 1]
        cmp     rax, r14
        jae     .take_child
        mov     rdi, [rbx + r15 * 8]
        mov     rsi, [rbx + rax * 8]
        mov     rdx, r13
        call    r12
        test    eax, eax
        jns     .take_child
        inc     r15                     ; the right child is larger
.take_child:
        mov     rax, [rbx + r15 * 8]
        mov     [rbx + rbp * 8], rax
        mov     rbp, r15
.descend_test:
        lea     r15, [rbp * 2 + 1]
        cmp     r15, r14
        jb      .descend

        ; rbp is a leaf now: climb while the parent is smaller
.climb:
        cmp     rbp, start
        je      .place
        lea     r15, [rbp - 1]
        shr     r15, 1
        mov     rdi, [rbx + r15 * 8]
        mov     rsi, value
        mov     rdx, r13
        call    r12
        test    eax, eax
        jns     .place
        mov     rax, [rbx + r15 * 8]
        mov     [rbx + rbp * 8], rax
        mov     rbp, r15
        jmp     .climb

.place:
        mov     rax, value
        mov     [rbx + rbp * 8], rax
        add     rsp, 8
        ret

        section .note.GNU-stack noalloc noexec nowrite progbits
