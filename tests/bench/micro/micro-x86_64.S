// Entry of the micro benchmark on PCs: an ELF file with a PVH note (Xen "PVH direct boot ABI": 32-bit protected mode, paging
// off) that maps the first GiB one to one, goes to 64-bit mode, calls `run`, and powers off by the ACPI registers of q35.
//
// Built by: make -C tests/bench/micro (Debian packages gcc-aarch64-linux-gnu, gcc, make)

        .equ    TABLES, 0x800000
        .equ    STACK_TOP, 0x900000

        .section .note.pvh, "a"
        .long   4, 8, 18                // XEN_ELFNOTE_PHYS32_ENTRY
        .asciz  "Xen"
        .quad   start

        .text
        .code32
        .globl  start
start:  movl    $TABLES, %edi           // PML4, PDPT, PD: three pages
        movl    $(TABLES + 0x1003), (%edi)
        movl    $(TABLES + 0x2003), 0x1000(%edi)
        movl    $0x83, %eax             // 2 MiB, present, writable
        movl    $512, %ecx
        leal    0x2000(%edi), %edx
1:      movl    %eax, (%edx)
        addl    $0x200000, %eax
        addl    $8, %edx
        loop    1b
        movl    %edi, %cr3
        movl    %cr4, %eax
        orl     $0x20, %eax             // PAE
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       // EFER
        rdmsr
        orl     $0x100, %eax            // LME
        wrmsr
        movl    %cr0, %eax
        orl     $0x80000000, %eax       // PG
        movl    %eax, %cr0
        lgdt    gdtr
        ljmp    $8, $2f

        .code64
2:      movl    $STACK_TOP, %esp
        call    run
        movw    $0x604, %dx             // PM1a_CNT: SLP_EN, S5
        movw    $0x2000, %ax
        outw    %ax, %dx
3:      hlt
        jmp     3b

        .balign 8
gdt:    .quad   0, 0x00af9b000000ffff   // 64-bit code
gdtr:   .word   gdtr - gdt - 1
        .long   gdt
