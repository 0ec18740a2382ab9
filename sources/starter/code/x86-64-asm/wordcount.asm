; wordcount - counts lines, words and bytes of standard input.
;
; Build:  nasm -f elf64 wordcount.asm && ld -o wordcount wordcount.o
;
; No libc: the program starts at _start and talks to Linux directly.
; System calls clobber rcx and r11 and return -errno in rax on failure.

        bits    64
        default rel

SYS_read        equ     0
SYS_write       equ     1
SYS_exit        equ     60
EINTR           equ     4
BUFSIZE         equ     65536

        section .rodata

; One byte per character: 1 for white space. Only 9..13 and 32 count.
align 64
is_space:
%assign c 0
%rep 256
  %if (c >= 9 && c <= 13) || c == 32
        db      1
  %else
        db      0
  %endif
  %assign c c + 1
%endrep

error_text:     db      "wordcount: read error", 10
error_len       equ     $ - error_text

        section .bss

buffer:         resb    BUFSIZE
line:           resb    80

        section .text
        global  _start

_start:
        xor     r12d, r12d              ; lines
        xor     r13d, r13d              ; words
        xor     r14d, r14d              ; bytes
        mov     ebx, 1                  ; was the previous byte white space?
        lea     r15, [is_space]

.next_block:
        xor     eax, eax                ; SYS_read
        xor     edi, edi
        lea     rsi, [buffer]
        mov     edx, BUFSIZE
        syscall
        cmp     rax, -EINTR
        je      .next_block
        test    rax, rax
        js      .failed
        jz      .report

        add     r14, rax
        lea     rsi, [buffer]
        lea     rdi, [rsi + rax]        ; end of data

.next_byte:
        movzx   eax, byte [rsi]
        inc     rsi
        xor     edx, edx
        cmp     al, 10
        sete    dl
        add     r12, rdx

        movzx   eax, byte [r15 + rax]
        ; A word starts where white space ends: previous and not current.
        mov     edx, eax
        not     edx
        and     edx, ebx
        and     edx, 1
        add     r13, rdx
        mov     ebx, eax

        cmp     rsi, rdi
        jb      .next_byte
        jmp     .next_block

.report:
        lea     rdi, [line]
        mov     rax, r12
        call    put_number
        mov     rax, r13
        call    put_number
        mov     rax, r14
        call    put_number
        mov     byte [rdi], 10
        inc     rdi

        lea     rsi, [line]
        mov     rdx, rdi
        sub     rdx, rsi
        mov     eax, SYS_write
        mov     edi, 1
        syscall
        xor     edi, edi
        jmp     exit

.failed:
        mov     eax, SYS_write
        mov     edi, 2
        lea     rsi, [error_text]
        mov     edx, error_len
        syscall
        mov     edi, 1

exit:
        mov     eax, SYS_exit
        syscall

; put_number - appends rax in decimal at rdi, right-aligned in 9 columns.
; Advances rdi; clobbers rax, rcx, rdx, rsi, r8 and r9.
put_number:
        sub     rsp, 24                 ; digits grow downwards from the top
        lea     r8, [rsp + 24]
        mov     r9d, 10
        xor     ecx, ecx
.digit:
        xor     edx, edx
        div     r9
        add     dl, '0'
        dec     r8
        mov     [r8], dl
        inc     ecx
        test    rax, rax
        jnz     .digit

        mov     byte [rdi], ' '         ; always separates the columns
        inc     rdi
        mov     eax, 8
        sub     eax, ecx
        jle     .copy
.pad:
        mov     byte [rdi], ' '
        inc     rdi
        dec     eax
        jnz     .pad
.copy:
        mov     rsi, r8
        rep     movsb                   ; ecx digits
        add     rsp, 24
        ret
