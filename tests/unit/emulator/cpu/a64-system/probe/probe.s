// Runs at EL1 on a bare virt machine: causes every kind of exception it can and logs what the CPU reports.
// Built and recorded by record.sh. x26: log, x27: where the handler resumes, x28: number of the present test.

.equ LOG,      0x40200000
.equ TABLES,   0x40100000      // level 1, level 2, level 3, one page each
.equ CODE,     0x40300000      // the page that all test pages map: svc #0x77
.equ PAGES,    0x40600000      // virtual addresses of the test pages

_start:
        ldr     x26, =LOG
        mov     x28, #0
        ldr     x18, =0x41000000                      // where EL0 sees the first 2 MiB of RAM
        adr     x0, vectors
        msr     vbar_el1, x0
        ldr     x0, =0x40400000
        mov     sp, x0
        mov     x0, #(3 << 20)
        msr     cpacr_el1, x0
        isb
        bl      build_tables
        bl      mmu_on
        bl      instructions_at_el1
        bl      instructions_at_el0
        bl      pages
        bl      translations
        bl      illegal_returns
        bl      stepping
        bl      newer
        ldr     x0, =0x600d600d
        str     x0, [x26]
1:      wfi
        b       1b

// Each test is: begin; the instruction; a label 9 at which the handler resumes.
.macro begin
        add     x28, x28, #1
        adr     x27, 9f
.endm

.macro log_value value
        add     x28, x28, #1
        stp     x28, \value, [x26], #16
.endm

// Record: test number with bit 63, vector, ESR, FAR, ELR, SPSR
.macro vector offset
        .balign 128
        mov     x20, #\offset
        b       handle
.endm

        .balign 2048
vectors:
        vector  0x000
        vector  0x080
        vector  0x100
        vector  0x180
        vector  0x200
        vector  0x280
        vector  0x300
        vector  0x380
        vector  0x400
        vector  0x480
        vector  0x500
        vector  0x580
        vector  0x600
        vector  0x680
        vector  0x700
        vector  0x780

handle:
        orr     x21, x28, #(1 << 63)
        stp     x21, x20, [x26], #16
        mrs     x20, esr_el1
        mrs     x21, far_el1
        stp     x20, x21, [x26], #16
        mrs     x20, elr_el1
        mrs     x21, spsr_el1
        stp     x20, x21, [x26], #16
        msr     far_el1, xzr
        msr     mdscr_el1, xzr
        msr     elr_el1, x27
        mov     x20, #0x3c5
        msr     spsr_el1, x20
        eret

.equ TABLE, 3
.equ BLOCK, 1
.equ PAGE,  3
.equ AF,    (1 << 10)
.equ NORMAL,(0 << 2)
.equ DEVICE,(1 << 2)
.equ RW_EL1,(0 << 6)
.equ RW_ALL,(1 << 6)
.equ RO_EL1,(2 << 6)
.equ RO_ALL,(3 << 6)
.equ PXN,   (1 << 53)
.equ UXN,   (1 << 54)
.equ DBM,   (1 << 51)

build_tables:
        ldr     x0, =TABLES
        mov     x1, #(0x5000 / 8)
1:      str     xzr, [x0], #8
        subs    x1, x1, #1
        b.ne    1b
        ldr     x0, =TABLES
        ldr     x1, =TABLES + 0x1000 + TABLE          // level 1, 0x4000_0000: table
        str     x1, [x0, #8]
        ldr     x1, =0x80000000 | BLOCK | NORMAL | RW_EL1        // 0x8000_0000: block without AF
        str     x1, [x0, #16]
        ldr     x1, =(1 << 46) | BLOCK | AF | NORMAL             // 0xc000_0000: block beyond the address size
        str     x1, [x0, #24]
        ldr     x1, =(1 << 46) | TABLE                           // 0x1_0000_0000: table beyond the address size
        str     x1, [x0, #32]
        ldr     x1, =0x0b000000 | TABLE                          // 0x1_4000_0000: table in no memory
        str     x1, [x0, #40]
        ldr     x0, =TABLES + 0x1000                  // level 2
        ldr     x1, =0x40000000 | BLOCK | AF | NORMAL | RW_EL1 | UXN
        str     x1, [x0, #0]
        ldr     x1, =0x40200000 | BLOCK | AF | NORMAL | RW_EL1 | UXN
        str     x1, [x0, #8]
        ldr     x1, =0x40400000 | BLOCK | AF | NORMAL | RW_EL1 | UXN
        str     x1, [x0, #16]
        ldr     x1, =TABLES + 0x2000 + TABLE          // 0x4060_0000: test pages
        str     x1, [x0, #24]
        ldr     x1, =(TABLES + 0x2000 + TABLE) | (2 << 61)       // 0x4080_0000: the same, APTable read-only
        str     x1, [x0, #32]
        ldr     x1, =(TABLES + 0x2000 + TABLE) | (1 << 61)       // 0x40a0_0000: APTable no EL0
        str     x1, [x0, #40]
        ldr     x1, =(TABLES + 0x2000 + TABLE) | (1 << 59)       // 0x40c0_0000: PXNTable
        str     x1, [x0, #48]
        ldr     x1, =(TABLES + 0x2000 + TABLE) | (1 << 60)       // 0x40e0_0000: UXNTable
        str     x1, [x0, #56]
        ldr     x1, =0x40000000 | BLOCK | AF | NORMAL | RO_ALL | PXN   // 0x4100_0000: 2 MiB for EL0: the program itself
        str     x1, [x0, #64]
        ldr     x0, =TABLES + 0x2000                  // level 3
        adr     x2, descriptors
        mov     x3, #16
2:      ldr     x1, [x2], #8
        str     x1, [x0], #8
        subs    x3, x3, #1
        b.ne    2b
        ldr     x0, =CODE
        ldr     w1, =0xd4000ee1                       // svc #0x77
        str     w1, [x0]
        ret

descriptors:
        .quad   0                                                // 0 invalid
        .quad   CODE | PAGE | AF | NORMAL | RW_EL1               // 1 EL1 read and write
        .quad   CODE | PAGE | AF | NORMAL | RW_ALL               // 2 all read and write
        .quad   CODE | PAGE | AF | NORMAL | RO_EL1               // 3 EL1 read
        .quad   CODE | PAGE | AF | NORMAL | RO_ALL               // 4 all read
        .quad   CODE | PAGE | AF | NORMAL | RO_ALL | PXN         // 5
        .quad   CODE | PAGE | AF | NORMAL | RO_ALL | UXN         // 6
        .quad   CODE | PAGE | NORMAL | RW_ALL                    // 7 no access flag
        .quad   CODE | BLOCK | AF | NORMAL | RW_ALL              // 8 reserved at level 3
        .quad   (1 << 46) | PAGE | AF | NORMAL | RW_ALL          // 9 beyond the address size
        .quad   CODE | PAGE | AF | NORMAL | RO_ALL | DBM         // 10 clean, writable
        .quad   CODE | PAGE | AF | NORMAL | RO_EL1 | DBM         // 11
        .quad   CODE | PAGE | AF | NORMAL | RW_EL1 | PXN | UXN   // 12
        .quad   CODE | PAGE | NORMAL | RO_EL1                    // 13 read-only, no access flag
        .quad   CODE | PAGE | AF | DEVICE | RW_ALL | UXN | PXN   // 14 device memory
        .quad   CODE | PAGE | AF | NORMAL | RW_ALL | (3 << 8)    // 15 inner shareable

mmu_on:
        ldr     x0, =0x04ff                           // attributes 0: normal, 1: device
        msr     mair_el1, x0
        ldr     x0, =25 | (1 << 23) | (4 << 32)       // T0SZ 25, EPD1, 4 KiB, IPS 44 bits
        msr     tcr_el1, x0
        ldr     x0, =TABLES
        msr     ttbr0_el1, x0
        isb
        mrs     x0, sctlr_el1
        orr     x0, x0, #1
        orr     x0, x0, #(1 << 3)                     // SA
        bic     x0, x0, #(1 << 16)                    // EL0 may not: nTWI, nTWE
        bic     x0, x0, #(1 << 18)
        msr     sctlr_el1, x0
        isb
        ret

instructions_at_el1:
        mov     x19, x30
        begin
        svc     #0x1234
9:      begin
        brk     #0x5678
9:      begin
        .word   0x00000000                            // udf
9:      begin
        .word   0xd4000003                            // smc #0
9:      begin
        hlt     #1
9:      begin
        mrs     x0, s3_0_c9_c7_7
9:      begin
        mrs     x0, s3_3_c15_c0_0
9:      begin
        mrs     x0, sctlr_el2
9:      begin
        .word   0xd5180000                            // msr midr_el1, x0
9:      begin
        .word   0xd538cc20                            // mrs x0, icc_eoir1_el1
9:      begin
        mrs     x0, sp_el1
9:      begin
        msr     spsel, #0                             // SP_EL0 is not a register while it is in use
        mrs     x0, sp_el0
9:      begin
        ldr     x1, =PAGES + 0x1001
        ldxr    x0, [x1]
9:      begin
        ldr     x1, =PAGES + 0x1001
        stlr    x0, [x1]
9:      begin
        mov     x2, sp
        add     sp, sp, #8
        ldr     x0, [sp]
9:      mov     sp, x2
        begin
        adr     x1, 9f
        add     x1, x1, #2
        br      x1
9:      begin
        mov     x0, #0
        msr     cpacr_el1, x0
        isb
        fmov    d0, #1.0
9:      begin
        mrs     x0, fpcr
9:      begin
        mov     x0, #(1 << 20)                        // EL1 may, EL0 may not
        msr     cpacr_el1, x0
        isb
        fmov    d0, #1.0
        svc     #1
9:      begin
        ldr     x0, =0x0000800000000000               // between the halves
        ldr     x0, [x0]
9:      begin
        ldr     x0, =0xffffff8000000000               // TTBR1 is disabled
        ldr     x0, [x0]
9:      begin
        ldr     x0, =0x0100000040600000               // tag without TBI
        ldr     x0, [x0]
9:      begin
        mov     x0, #0                                // level 1 invalid
        str     x0, [x0]
9:      begin
        ldr     x0, =0x80000000                       // level 1 block without AF
        ldr     x0, [x0]
9:      begin
        ldr     x0, =0xc0000000
        str     x0, [x0]
9:      begin
        ldr     x0, =0x100000000
        ldr     x0, [x0]
9:      begin
        ldr     x0, =0x140000000
        ldr     x0, [x0]
9:      begin
        ldr     x0, =0x41200000                       // level 2 invalid
        br      x0
9:      ret     x19

el0_svc:        svc     #0x77
el0_brk:        brk     #0x12
el0_udf:        .word   0
el0_hvc:        hvc     #0
el0_mrs_id:     mrs     x0, id_aa64isar0_el1
el0_mrs_sctlr:  mrs     x0, sctlr_el1
el0_ctr:        mrs     x3, ctr_el0
                svc     #2
el0_dczid:      mrs     x0, dczid_el0
                svc     #3
el0_cntvct:     mrs     x5, cntvct_el0
el0_cntpct:     mrs     x6, cntpct_el0
el0_cntfrq:     mrs     x7, cntfrq_el0
el0_cntv_ctl:   mrs     x8, cntv_ctl_el0
el0_pmccntr:    mrs     x9, pmccntr_el0
el0_pmcr:       msr     pmcr_el0, x10
el0_daif:       mrs     x11, daif
el0_daifset:    msr     daifset, #2
el0_icivau:     ic      ivau, x12
el0_dccvau:     dc      cvau, x13
el0_dczva:      dc      zva, x18
                svc     #11
el0_dccvau_svc: dc      cvau, x18
                dc      civac, x18
                ic      ivau, x18
                svc     #12
el0_tlbi:       tlbi    vmalle1
el0_iciallu:    ic      iallu
el0_wfi:        wfi
el0_wfe:        wfe
el0_fp:         fmov    d0, #1.0
el0_eret:       eret
el0_currentel:  mrs     x0, currentel
el0_spsel:      msr     spsel, #0
el0_nzcv:       mov     x0, #0xa0000000
                msr     nzcv, x0
                svc     #4
el0_tpidr:      msr     tpidr_el0, x0
                mrs     x0, tpidrro_el0
                svc     #5
el0_tpidrro:    msr     tpidrro_el0, x0
el0_sp:         mov     x0, #0x18
                mov     sp, x0
                ldr     x0, [sp]

// EL0 runs the copy of this program at 0x4100_0000 + offset.
.macro el0 code
        add     x28, x28, #1
        adr     x27, 9f
        adr     x0, \code
        and     x0, x0, #0x1fffff
        add     x0, x0, x18
        msr     elr_el1, x0
        mov     x0, #0x3c0
        msr     spsr_el1, x0
        eret
9:
.endm

instructions_at_el0:
        mov     x19, x30
        el0     el0_svc
        el0     el0_brk
        el0     el0_udf
        el0     el0_hvc
        el0     el0_mrs_id
        el0     el0_mrs_sctlr
        el0     el0_ctr
        el0     el0_dczid
        el0     el0_cntvct
        el0     el0_cntpct
        el0     el0_cntfrq
        el0     el0_cntv_ctl
        el0     el0_pmccntr
        el0     el0_pmcr
        el0     el0_daif
        el0     el0_daifset
        el0     el0_icivau
        el0     el0_dccvau
        el0     el0_dczva
        el0     el0_tlbi
        el0     el0_iciallu
        el0     el0_wfi
        el0     el0_wfe
        el0     el0_fp
        el0     el0_eret
        el0     el0_currentel
        el0     el0_spsel
        el0     el0_nzcv
        el0     el0_tpidr
        el0     el0_tpidrro
        el0     el0_sp
        mrs     x0, sctlr_el1                         // now EL0 may: UCT, DZE
        orr     x0, x0, #(1 << 15)
        orr     x0, x0, #(1 << 14)
        bic     x0, x0, #(1 << 4)                     // SA0: no alignment check
        msr     sctlr_el1, x0
        mov     x0, #3
        msr     cntkctl_el1, x0
        isb
        el0     el0_ctr
        el0     el0_dczid
        el0     el0_dczva
        el0     el0_cntv_ctl
        el0     el0_sp
        mrs     x0, sctlr_el1                         // and all cache maintenance: UCI
        orr     x0, x0, #(1 << 26)
        msr     sctlr_el1, x0
        isb
        el0     el0_ctr
        el0     el0_dccvau_svc
        el0     el0_dczva
        el0     el0_iciallu
        ret     x19

// Every test page, in every table: read, write, execute, at EL1 and EL0.
pages:
        mov     x19, x30
        ldr     x15, =PAGES
1:      mov     x14, #0
2:      add     x1, x15, x14, lsl #12
        begin
        ldr     x0, [x1]
9:      begin
        strb    wzr, [x1, #0x18]
9:      begin
        br      x1
9:      add     x28, x28, #1
        adr     x27, 9f
        adr     x0, el0_read
        bl      enter_el0
9:      add     x28, x28, #1
        adr     x27, 9f
        adr     x0, el0_write
        bl      enter_el0
9:      add     x28, x28, #1
        adr     x27, 9f
        adr     x0, el0_execute
        bl      enter_el0
9:      add     x28, x28, #1
        adr     x27, 9f
        ldtr    x0, [x1]
9:      add     x28, x28, #1
        adr     x27, 9f
        sttrb   wzr, [x1, #0x18]
9:      add     x14, x14, #1
        cmp     x14, #16
        b.ne    2b
        add     x15, x15, #0x200000
        ldr     x0, =0x41000000
        cmp     x15, x0
        b.ne    1b
        ret     x19

el0_read:       ldr     x0, [x1]
                svc     #0x10
el0_write:      strb    wzr, [x1, #0x18]
                svc     #0x11
el0_execute:    br      x1

enter_el0:
        and     x0, x0, #0x1fffff
        add     x0, x0, x18
        msr     elr_el1, x0
        mov     x0, #0x3c0
        msr     spsr_el1, x0
        eret

// AT on every test page: PAR_EL1.
translations:
        mov     x19, x30
        ldr     x15, =PAGES
1:      mov     x14, #0
2:      add     x1, x15, x14, lsl #12
        add     x1, x1, #0x123
        at      s1e1r, x1
        isb
        mrs     x0, par_el1
        log_value x0
        at      s1e1w, x1
        isb
        mrs     x0, par_el1
        log_value x0
        at      s1e0r, x1
        isb
        mrs     x0, par_el1
        log_value x0
        at      s1e0w, x1
        isb
        mrs     x0, par_el1
        log_value x0
        add     x14, x14, #1
        cmp     x14, #16
        b.ne    2b
        add     x15, x15, #0x200000
        ldr     x0, =0x41000000
        cmp     x15, x0
        b.ne    1b
        ldr     x1, =0x80000000
        at      s1e1r, x1
        mrs     x0, par_el1
        log_value x0
        ldr     x1, =0x40312345
        at      s1e1r, x1
        mrs     x0, par_el1
        log_value x0
        ret     x19

.macro illegal_return spsr
        add     x28, x28, #1
        adr     x27, 9f
        adr     x0, 9f
        msr     elr_el1, x0
        ldr     x0, =\spsr
        msr     spsr_el1, x0
        eret
9:
.endm

illegal_returns:
        mov     x19, x30
        illegal_return 0x3c9                          // EL2 is not there
        illegal_return 0x3cd                          // nor EL3
        illegal_return 0x3c1                          // EL0 with its own stack pointer
        illegal_return 0x3c2                          // M[1]
        illegal_return 0x600003c6
        mov     x0, #0x30
        msr     sp_el0, x0
        add     x28, x28, #1                          // legal: EL1 with SP_EL0
        adr     x27, 9f
        adr     x0, 1f
        msr     elr_el1, x0
        ldr     x0, =0x900003c4
        msr     spsr_el1, x0
        eret
1:      mov     x2, sp
        mrs     x3, nzcv
        svc     #6
9:      log_value x2
        log_value x3
        ret     x19

el0_steps:      nop
                nop
el0_steps_svc:  svc     #9
el0_steps_load: ldr     x0, [x1]

.macro step code
        add     x28, x28, #1
        adr     x27, 9f
        mov     x0, #1
        msr     mdscr_el1, x0
        isb
        adr     x0, \code
        and     x0, x0, #0x1fffff
        add     x0, x0, x18
        msr     elr_el1, x0
        ldr     x0, =0x002003c0
        msr     spsr_el1, x0
        eret
9:
.endm

stepping:
        mov     x19, x30
        msr     oslar_el1, xzr
        isb
        step    el0_steps
        step    el0_steps_svc
        mov     x1, #0
        step    el0_steps_load
        add     x28, x28, #1                          // SS clear: the step exception comes first
        adr     x27, 9f
        mov     x0, #1
        msr     mdscr_el1, x0
        isb
        ldr     x0, =0x41000000
        msr     elr_el1, x0
        mov     x0, #0x3c0
        msr     spsr_el1, x0
        eret
9:      add     x28, x28, #1                          // at EL1, with KDE and PSTATE.D clear
        adr     x27, 9f
        ldr     x0, =0x2001
        msr     mdscr_el1, x0
        isb
        adr     x0, 1f
        msr     elr_el1, x0
        ldr     x0, =0x002001c5
        msr     spsr_el1, x0
        eret
1:      nop
        nop
9:      ret     x19

// PAN, UAO, access flag and dirty state in hardware, where the CPU has them.
newer:
        mov     x19, x30
        mrs     x0, id_aa64mmfr1_el1
        ubfx    x1, x0, #20, #4
        cbz     x1, 3f
        mrs     x0, sctlr_el1
        bic     x0, x0, #(1 << 23)                    // SPAN clear: exceptions set PAN
        msr     sctlr_el1, x0
        isb
        begin
        svc     #7
9:      .word   0xd500419f                            // msr pan, #1
        ldr     x1, =PAGES + 0x2000
        begin
        ldr     x0, [x1]
9:      .word   0xd500419f
        begin
        ldtr    x0, [x1]
9:      .word   0xd500419f
        .word   0xd500417f                            // msr uao, #1
        begin
        ldtr    x0, [x1]
        svc     #8
9:      .word   0xd500409f                            // msr pan, #0
        .word   0xd500407f                            // msr uao, #0
3:      mrs     x0, id_aa64mmfr1_el1
        and     x1, x0, #15
        cbz     x1, 4f
        mrs     x0, tcr_el1
        orr     x0, x0, #(1 << 39)                    // HA
        orr     x0, x0, #(1 << 40)                    // HD
        msr     tcr_el1, x0
        isb
        tlbi    vmalle1
        dsb     sy
        isb
        ldr     x1, =PAGES
        ldr     x2, =TABLES + 0x2000
        begin
        add     x3, x1, #7, lsl #12
        ldr     x0, [x3]
        svc     #0x20
9:      ldr     x0, [x2, #56]
        log_value x0
        begin
        add     x3, x1, #10, lsl #12
        ldr     x0, [x3]
        svc     #0x21
9:      ldr     x0, [x2, #80]
        log_value x0
        begin
        str     x0, [x3, #0x18]
        svc     #0x22
9:      ldr     x0, [x2, #80]
        log_value x0
        begin
        add     x3, x1, #13, lsl #12
        str     x0, [x3, #0x18]
9:      ldr     x0, [x2, #104]
        log_value x0
4:      ret     x19
        .ltorg
