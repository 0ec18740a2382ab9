// page_tables.s - identity map and MMU start for early boot (4 KiB granule)
//
//   void mmu_build(uint64_t *root, uint64_t *l2, uint64_t ram_base, uint64_t ram_end);
//   void mmu_enable(uint64_t *root);
//
// 39-bit addresses, so the walk starts at level 1 with entries of 1 GiB.
// The first gigabyte is device memory and is mapped by a level 2 table with
// blocks of 2 MiB; RAM is mapped with level 1 blocks, except for a last part
// of a gigabyte, which is rounded down. Runs at EL1 with the MMU off, so all
// stores go straight to memory and no barrier against walks is needed before
// mmu_enable.

        .arch   armv8-a
        .text

// Descriptor bits
        .equ    DESC_BLOCK, 0b01
        .equ    DESC_TABLE, 0b11
        .equ    ATTR_SHIFT, 2           // index into MAIR_EL1
        .equ    SH_INNER, 3 << 8
        .equ    ACCESS, 1 << 10         // no access-flag faults, please
        .equ    XN_BITS, 3 << 53        // PXN and UXN

        .equ    MEM_NORMAL, 0
        .equ    MEM_DEVICE, 1
        .equ    MAIR_VALUE, 0x04ff      // 0: write-back, 1: device nGnRE

        .equ    FLAGS_RAM, DESC_BLOCK | MEM_NORMAL << ATTR_SHIFT | SH_INNER | ACCESS
        .equ    FLAGS_DEVICE, DESC_BLOCK | MEM_DEVICE << ATTR_SHIFT | ACCESS

// TCR_EL1: T0SZ = 25, write-back inner-shareable walks, TTBR1 walks disabled
        .equ    TCR_T0SZ, 64 - 39
        .equ    TCR_IRGN0_WB, 1 << 8
        .equ    TCR_ORGN0_WB, 1 << 10
        .equ    TCR_SH0_INNER, 3 << 12
        .equ    TCR_EPD1, 1 << 23
        .equ    TCR_VALUE, TCR_T0SZ | TCR_IRGN0_WB | TCR_ORGN0_WB | TCR_SH0_INNER | TCR_EPD1

        .equ    SCTLR_M, 1 << 0
        .equ    SCTLR_C, 1 << 2
        .equ    SCTLR_I, 1 << 12
        .equ    SCTLR_WXN, 1 << 19

        .equ    GIB, 30
        .equ    BLOCK_2M, 21

// Fills 512 entries at \table with zeros. Clobbers x9 and x10.
        .macro  clear_table table
        mov     x9, \table
        mov     x10, #512 / 2
0:      stp     xzr, xzr, [x9], #16
        subs    x10, x10, #1
        b.ne    0b
        .endm

// x0 root   x1 level 2 table   x2 ram_base   x3 ram_end
        .globl  mmu_build
        .type   mmu_build, %function
mmu_build:
        clear_table x0
        clear_table x1

        // 0 .. 1 GiB through the level 2 table: every block is a device
        orr     x4, x1, #DESC_TABLE
        str     x4, [x0]
        mov     x5, #FLAGS_DEVICE
        movz    x6, #(XN_BITS >> 48), lsl #48
        orr     x5, x5, x6              // never execute from registers
        mov     x7, #512
        mov     x8, #1 << BLOCK_2M
1:      str     x5, [x1], #8
        add     x5, x5, x8
        subs    x7, x7, #1
        b.ne    1b

        // RAM in whole gigabytes
        lsr     x4, x2, #GIB            // first entry
        lsr     x5, x3, #GIB            // one behind the last
        mov     x6, #FLAGS_RAM
        mov     x8, #1 << GIB
        madd    x6, x4, x8, x6
2:      cmp     x4, x5
        b.hs    3f
        str     x6, [x0, x4, lsl #3]
        add     x6, x6, x8
        add     x4, x4, #1
        b       2b
3:      ret
        .size   mmu_build, . - mmu_build

// x0 root. Returns with the MMU and both caches on.
        .globl  mmu_enable
        .type   mmu_enable, %function
mmu_enable:
        mov     x1, #MAIR_VALUE
        msr     mair_el1, x1

        movz    x1, #(TCR_VALUE & 0xffff)
        movk    x1, #(TCR_VALUE >> 16), lsl #16
        mrs     x2, id_aa64mmfr0_el1    // as many physical bits as there are
        and     x2, x2, #0xf
        cmp     x2, #5                  // 48 bits are the most for this granule
        mov     x3, #5
        csel    x2, x2, x3, lo
        bfi     x1, x2, #32, #3         // TCR_EL1.IPS
        msr     tcr_el1, x1
        msr     ttbr0_el1, x0

        // Stale entries may have survived a reset.
        tlbi    vmalle1
        ic      iallu
        dsb     nsh
        isb

        mrs     x1, sctlr_el1
        mov     x2, #SCTLR_M | SCTLR_C
        orr     x2, x2, #SCTLR_I
        orr     x1, x1, x2
        bic     x1, x1, #SCTLR_WXN      // RAM is writable and executable for now
        msr     sctlr_el1, x1
        isb                             // translated from the next fetch on
        ret
        .size   mmu_enable, . - mmu_enable

// uint64_t mmu_translate(const void *p): asks the hardware for the physical
// address, or returns -1 where the access would fault.
        .globl  mmu_translate
        .type   mmu_translate, %function
mmu_translate:
        at      s1e1r, x0
        isb
        mrs     x1, par_el1
        tbnz    x1, #0, 1f
        and     x1, x1, #0x0000fffffffff000
        and     x0, x0, #0xfff
        orr     x0, x0, x1
        ret
1:      mov     x0, #-1
        ret
        .size   mmu_translate, . - mmu_translate
