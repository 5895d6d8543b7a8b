import { describe, expect, test } from 'vitest';
import { buildNote, NT, parseNotes, parsePrstatus, AARCH64_REGISTERS } from '../../../capture/formats/elf-notes.ts';
import { Vmcoreinfo } from '../../../capture/formats/vmcoreinfo.ts';
import { captureBootState, crashNote, noteBufferSize, withCrashTime } from '../../../kexec/crash-shutdown.ts';

describe('crash notes', () => {
  test('have the size that arm64 kernels announce in crash_notes_size', () => {
    expect(noteBufferSize('aarch64')).toBe(424);
  });
  test('hold the registers, and end with an empty note', () => {
    const note = crashNote({ pid: 42, registers: new Map([['pc', 0xffff_8000_0818_2760n]]) }, 'aarch64');
    const [status, ...rest] = parseNotes(note);
    expect(status).toMatchObject({ name: 'CORE', type: NT.PRSTATUS });
    expect(rest).toEqual([]);
    const { pid, registers } = parsePrstatus(status!.descriptor, AARCH64_REGISTERS)!;
    expect(pid).toBe(42);
    expect(registers.get('pc')).toBe(0xffff_8000_0818_2760n);
    expect(note.subarray(-12).every(byte => byte === 0)).toBe(true);
  });
});

const read = (bytes: Uint8Array) => Vmcoreinfo.fromBytes(parseNotes(bytes)[0]!.descriptor);

describe('VMCOREINFO', () => {
  const note = new Uint8Array(0x1024);
  note.set(
    buildNote({ name: 'VMCOREINFO', type: NT.VMCOREINFO, descriptor: Buffer.from('OSRELEASE=6.1.0\nPAGESIZE=4096\n') }),
  );

  test('gets the time of the crash and keeps its lines', () => {
    const info = read(withCrashTime(note, 1_767_225_600.7));
    expect(info.crashTime).toBe(1_767_225_600);
    expect(info.osRelease).toBe('6.1.0');
    expect(info.pageSize).toBe(4096);
  });
  test('has one time after a second crash', () => {
    const info = read(withCrashTime(withCrashTime(note, 1), 2));
    expect(info.text.match(/CRASHTIME=/g)).toHaveLength(1);
    expect(info.crashTime).toBe(2);
  });
  test('keeps its size', () => {
    expect(withCrashTime(note, 1)).toHaveLength(note.length);
  });
  test('is refused when it is something else', () => {
    expect(() => withCrashTime(new Uint8Array(64), 1)).toThrow(/no VMCOREINFO note/);
  });
});

test('the machine is left as booting.rst wants it', () => {
  const kernel = { name: 'kernel' as const, bytes: Uint8Array.of(1), mem: 0x5360_0000, memsz: 0x1000 };
  const plan = {
    syscall: 'kexec_file_load' as const,
    segments: [kernel],
    entry: 0x5360_0000,
    dtb: 0x5b40_0000,
    flags: 2,
  };
  expect(captureBootState(plan, 1)).toEqual({
    segments: [{ name: 'kernel', paddr: 0x5360_0000, bytes: Uint8Array.of(1), memorySize: 0x1000 }],
    entry: { architecture: 'aarch64', pc: 0x5360_0000, x: [0x5b40_0000n, 0n, 0n, 0n], exceptionLevel: 1 },
  });
});
