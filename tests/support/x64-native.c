/*
 * Runs x86_64 test cases on the processor itself: reads cases from stdin, writes results to stdout.
 *
 * A case is `struct machine` and 128 bytes of code. Each runs with scratch memory as at the beginning, up to the INT3 behind it. A result is
 * the struct as the signal frame has it, the signal, and the bytes of scratch memory that have changed.
 *
 * Memory is as X64_MEMORY in x64-cases.ts has it. Source of the signal frame: Linux arch/x86/include/uapi/asm/sigcontext.h.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define SCRATCH 0x100000
#define SCRATCH_SIZE 0x10000
#define CODE 0x400000
#define SLOT 128
#define LOWEST 0x10000
#define HIGHEST 0x800000
#define XSAVE_SIZE 832

/* Status flags and DF. */
#define FLAGS 0xcd5

struct machine {
  uint64_t gpr[16];
  uint64_t flags;
  uint64_t pc;
  uint8_t xsave[XSAVE_SIZE] __attribute__((aligned(64)));
};

struct case_ {
  struct machine machine;
  uint8_t code[SLOT];
};

enum outcome { DONE, MEMORY_FAULT, EXCEPTION };

static struct case_ current;
static struct machine result;
static uint32_t outcome;
static sigjmp_buf back;
static uint8_t initial[SCRATCH_SIZE];
/* Where `enter` jumps when every register is the case's. */
uint64_t jump_target __attribute__((visibility("hidden")));

static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

static void on_signal(int number, siginfo_t *info, void *context) {
  mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
  for (int i = 0; i < 16; i++) result.gpr[i] = machine->gregs[order[i]];
  result.flags = machine->gregs[REG_EFL];
  result.pc = machine->gregs[REG_RIP] - (number == SIGTRAP ? 1 : 0);
  memcpy(result.xsave, machine->fpregs, XSAVE_SIZE);
  if (number == SIGTRAP) outcome = DONE;
  else if (number == SIGSEGV && info->si_code != SI_KERNEL) outcome = MEMORY_FAULT;
  else outcome = EXCEPTION;
  siglongjmp(back, 1);
}

/* Loads all registers from `current`, and jumps to the code. */
static void enter(void) {
  __asm__ volatile(
      "mov $7, %%eax\n\t"
      "xor %%edx, %%edx\n\t"
      "xrstor64 %c[xsave](%[c])\n\t"
      "pushq %c[flags](%[c])\n\t"
      "popfq\n\t"
      "mov %[c], %%r15\n\t"
      "mov 0(%%r15), %%rax\n\t"
      "mov 8(%%r15), %%rcx\n\t"
      "mov 16(%%r15), %%rdx\n\t"
      "mov 24(%%r15), %%rbx\n\t"
      "mov 32(%%r15), %%rsp\n\t"
      "mov 40(%%r15), %%rbp\n\t"
      "mov 48(%%r15), %%rsi\n\t"
      "mov 56(%%r15), %%rdi\n\t"
      "mov 64(%%r15), %%r8\n\t"
      "mov 72(%%r15), %%r9\n\t"
      "mov 80(%%r15), %%r10\n\t"
      "mov 88(%%r15), %%r11\n\t"
      "mov 96(%%r15), %%r12\n\t"
      "mov 104(%%r15), %%r13\n\t"
      "mov 112(%%r15), %%r14\n\t"
      "mov 120(%%r15), %%r15\n\t"
      "jmp *jump_target(%%rip)\n\t"
      :
      : [c] "S"(&current.machine), [xsave] "i"(__builtin_offsetof(struct machine, xsave)),
        [flags] "i"(__builtin_offsetof(struct machine, flags))
      : "rax", "rdx", "memory");
}

static void run(void) {
  memcpy((void *)SCRATCH, initial, SCRATCH_SIZE);
  memcpy((void *)current.machine.pc, current.code, SLOT);
  jump_target = current.machine.pc;
  if (sigsetjmp(back, 1) == 0) enter();
}

static void put(const void *bytes, size_t size) {
  if (fwrite(bytes, size, 1, stdout) != 1) exit(1);
}

static void report(void) {
  const uint8_t *scratch = (const uint8_t *)SCRATCH;
  static uint32_t changed[SCRATCH_SIZE];
  uint32_t count = 0;
  for (uint32_t i = 0; i < SCRATCH_SIZE; i++)
    if (scratch[i] != initial[i]) changed[count++] = i << 8 | scratch[i];
  put(&result, sizeof result);
  put(&outcome, sizeof outcome);
  put(&count, sizeof count);
  if (count > 0) put(changed, count * sizeof *changed);
}

int main(void) {
  void *low = mmap((void *)LOWEST, HIGHEST - LOWEST, PROT_READ | PROT_WRITE | PROT_EXEC,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (low == MAP_FAILED) return 2;
  for (uint32_t i = 0; i < SCRATCH_SIZE; i++) initial[i] = (i * 7 + (i >> 8) * 31) & 0xff;
  stack_t stack = {.ss_sp = malloc(1 << 18), .ss_size = 1 << 18};
  sigaltstack(&stack, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
  const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};
  for (int i = 0; i < 5; i++) sigaction(signals[i], &action, NULL);
  while (fread(&current, sizeof current, 1, stdin) == 1) {
    run();
    report();
  }
  return 0;
}
