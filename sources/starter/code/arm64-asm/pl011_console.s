// pl011_console.s - serial console for QEMU's "virt" board, bare metal
//
//   aarch64-linux-gnu-as -o con.o pl011_console.s
//   aarch64-linux-gnu-ld -Ttext=0x40080000 -e _start -o con.elf con.o
//   qemu-system-aarch64 -M virt -cpu cortex-a53 -nographic -kernel con.elf
//
// Starts one core, sets up the UART and shows the processor's id register;
// then echoes what is typed, in upper case, until ^D.

        .arch   armv8-a

        .equ    UART_BASE, 0x09000000
        .equ    UART_DR, 0x00
        .equ    UART_FR, 0x18
        .equ    UART_IBRD, 0x24
        .equ    UART_FBRD, 0x28
        .equ    UART_LCRH, 0x2c
        .equ    UART_CR, 0x30
        .equ    UART_ICR, 0x44

        .equ    FR_BUSY, 3              // bit numbers
        .equ    FR_RXFE, 4
        .equ    FR_TXFF, 5

        .equ    CLOCK, 24000000
        .equ    BAUD, 115200
        .equ    DIVISOR, (CLOCK * 4 + BAUD / 2) / BAUD  // in 64ths

        .equ    PSCI_SYSTEM_OFF, 0x84000008

        .macro  uart_base reg
        movz    \reg, #(UART_BASE >> 16), lsl #16
        .endm

        .section .text.start, "ax"
        .globl  _start
_start:
        mrs     x0, mpidr_el1
        tst     x0, #0xff
        b.ne    park                    // one core is enough
        adrp    x0, stack_top
        add     x0, x0, :lo12:stack_top
        mov     sp, x0
        bl      uart_init
        adr     x0, banner
        bl      uart_puts
        mrs     x0, midr_el1            // which processor is this?
        mov     w1, #32
        bl      put_hex
        mov     w0, #'\n'
        bl      uart_putc

echo:   bl      uart_getc
        cmp     w0, #4                  // ^D
        b.eq    power_off
        sub     w1, w0, #'a'
        cmp     w1, #25
        sub     w2, w0, #'a' - 'A'
        csel    w0, w2, w0, ls
        bl      uart_putc
        b       echo

power_off:
        adr     x0, bye
        bl      uart_puts
        uart_base x1
1:      ldr     w2, [x1, #UART_FR]      // let the last characters out
        tbnz    w2, #FR_BUSY, 1b
        ldr     w0, =PSCI_SYSTEM_OFF
        hvc     #0                      // QEMU's firmware interface
park:   wfe
        b       park

// 8 data bits, no parity, FIFOs on. The line control register latches the
// divisor, and so it has to be written after it.
uart_init:
        uart_base x1
        str     wzr, [x1, #UART_CR]
        mov     w2, #0x7ff
        str     w2, [x1, #UART_ICR]
        mov     w2, #DIVISOR >> 6
        str     w2, [x1, #UART_IBRD]
        mov     w2, #DIVISOR & 63
        str     w2, [x1, #UART_FBRD]
        mov     w2, #0x70
        str     w2, [x1, #UART_LCRH]
        mov     w2, #0x301              // receiver, transmitter, enable
        str     w2, [x1, #UART_CR]
        ret

// w0 = character; \n becomes \r\n. Clobbers x1-x3.
uart_putc:
        uart_base x1
        mov     w3, #'\r'
        cmp     w0, #'\n'
        b.ne    2f
1:      ldr     w2, [x1, #UART_FR]
        tbnz    w2, #FR_TXFF, 1b
        str     w3, [x1, #UART_DR]
2:      ldr     w2, [x1, #UART_FR]
        tbnz    w2, #FR_TXFF, 2b
        str     w0, [x1, #UART_DR]
        ret

uart_getc:
        uart_base x1
1:      ldr     w2, [x1, #UART_FR]
        tbnz    w2, #FR_RXFE, 1b
        ldr     w0, [x1, #UART_DR]
        and     w0, w0, #0xff           // the rest are error flags
        ret

uart_puts:
        stp     x29, x30, [sp, #-32]!
        str     x19, [sp, #16]
        mov     x19, x0
1:      ldrb    w0, [x19], #1
        cbz     w0, 2f
        bl      uart_putc
        b       1b
2:      ldr     x19, [sp, #16]
        ldp     x29, x30, [sp], #32
        ret

// x0 = value, w1 = how many of its low bits to show, a multiple of four.
put_hex:
        stp     x29, x30, [sp, #-32]!
        stp     x19, x20, [sp, #16]
        mov     x19, x0
        mov     w20, w1
1:      sub     w20, w20, #4
        lsr     x0, x19, x20
        and     w0, w0, #15
        cmp     w0, #10
        add     w1, w0, #'0'
        add     w2, w0, #'a' - 10
        csel    w0, w1, w2, lo
        bl      uart_putc
        cbnz    w20, 1b
        ldp     x19, x20, [sp, #16]
        ldp     x29, x30, [sp], #32
        ret

banner: .asciz  "console ready, ^D ends; midr "
bye:    .asciz  "\npowering off\n"

        .bss
        .p2align 4
        .skip   4096
stack_top:
