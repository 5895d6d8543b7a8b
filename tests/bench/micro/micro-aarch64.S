// Entry of the micro benchmark: an arm64 Image (Linux Documentation/arch/arm64/booting.rst) that turns the MMU and the
// caches on with two 1 GiB blocks, calls `run`, and powers off by PSCI.
//
// Built by: make -C tests/bench/micro (Debian packages gcc-aarch64-linux-gnu, gcc, make)

        .equ    TABLE, 0x50000000
        .equ    STACK_TOP, 0x50100000

        .section .head, "ax"
        b       start
        .word   0
        .quad   0                       // text_offset
        .quad   0x2000                  // image_size: the file; tables, stack and buffers have fixed places far behind it
        .quad   0xa                     // flags: 4K pages, anywhere in memory
        .quad   0, 0, 0
        .ascii  "ARM\x64"
        .word   0

        .text
        .globl  start
start:  ldr     x0, =TABLE
        ldr     x1, =0x401              // 0 GiB: valid block, AF, AttrIndx 0 (device)
        str     x1, [x0]
        ldr     x1, =0x40000705         // 1 GiB: valid block, AF, inner shareable, AttrIndx 1 (normal)
        str     x1, [x0, #8]
        ldr     x1, =0xff00
        msr     MAIR_EL1, x1
        ldr     x1, =0x180803519        // T0SZ 25, write-back, inner shareable, EPD1, IPS 36 bits
        msr     TCR_EL1, x1
        msr     TTBR0_EL1, x0
        dsb     sy
        isb
        tlbi    vmalle1
        dsb     sy
        mrs     x1, SCTLR_EL1
        ldr     x2, =0x1005             // I, C, M
        orr     x1, x1, x2
        msr     SCTLR_EL1, x1
        isb
        ldr     x1, =STACK_TOP
        mov     sp, x1
        bl      run
        ldr     x0, =0x84000008         // SYSTEM_OFF
        hvc     #0
1:      wfi
        b       1b
        .ltorg
