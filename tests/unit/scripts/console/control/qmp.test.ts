import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { JsonStream } from '../../../../../scripts/console/control/json-stream.ts';
import { QmpConnection, type QmpTarget } from '../../../../../scripts/console/control/qmp.ts';
import { GuestDumper } from '../../../../../scripts/console/guest-dump.ts';
import { MachineEvents } from '../../../../../scripts/console/machine-events.ts';
import { machineState } from '../../../../support/synthetic-dump.ts';

/** A machine that only has a state, and a client's end of a connection to it. */
function connect() {
  let state = 'running';
  const events = new MachineEvents();
  const pause = () => {
    if (state === 'running') events.emit('STOP');
    state = 'paused';
  };
  const resume = () => {
    events.emit('RESUME');
    state = 'running';
    return true;
  };
  const target = {
    get state() {
      return state;
    },
    get paused() {
      return state !== 'running';
    },
    events,
    pause,
    resume,
    machine: { cpuCount: 2, architecture: 'aarch64' },
    dumper: new GuestDumper({
      get paused() {
        return state !== 'running';
      },
      pause,
      resume,
      machineState,
    }),
  } as unknown as QmpTarget;
  const received: Record<string, unknown>[] = [];
  const connection = new QmpConnection(target, text => received.push(JSON.parse(text) as Record<string, unknown>));
  const ask = async (request: unknown): Promise<Record<string, unknown>> => {
    const before = received.length;
    connection.push(typeof request === 'string' ? request : JSON.stringify(request));
    const isAnswer = (message: Record<string, unknown>) => 'return' in message || 'error' in message;
    for (;;) {
      const answer = received.slice(before).find(isAnswer);
      if (answer !== undefined) return answer;
      await new Promise(resolve => setImmediate(resolve));
    }
  };
  return { received, connection, ask, target };
}

async function ready() {
  const client = connect();
  await client.ask({ execute: 'qmp_capabilities' });
  return client;
}

// The protocol as "QEMU Machine Protocol Specification" describes it; texts of errors as QEMU 7.2 has them.
describe('the protocol', () => {
  test('greets, and wants capabilities to be negotiated first', async () => {
    const { received, ask } = connect();
    expect(received[0]).toMatchObject({ QMP: { version: { qemu: { major: 7 } }, capabilities: [] } });
    expect(await ask({ execute: 'query-status' })).toEqual({
      error: { class: 'CommandNotFound', desc: "Expecting capabilities negotiation with 'qmp_capabilities'" },
    });
    expect(await ask({ execute: 'qmp_capabilities' })).toEqual({ return: {} });
    expect(await ask({ execute: 'query-status', id: 7 })).toEqual({
      return: { running: true, singlestep: false, status: 'running' },
      id: 7,
    });
  });

  test.each([
    [{ execute: 'fly' }, 'CommandNotFound', 'The command fly has not been found'],
    [
      { execute: 'qmp_capabilities' },
      'CommandNotFound',
      'Capabilities negotiation is already complete, command ignored',
    ],
    [{ foo: 1 }, 'GenericError', "QMP input lacks member 'execute'"],
    [{ execute: 'stop', foo: 1 }, 'GenericError', "QMP input member 'foo' is unexpected"],
    [{ execute: 'stop', arguments: { x: 1 } }, 'GenericError', "Parameter 'x' is unexpected"],
    [{ execute: 'dump-guest-memory', arguments: { paging: false } }, 'GenericError', "Parameter 'protocol' is missing"],
    [
      { execute: 'dump-guest-memory', arguments: { paging: 1, protocol: 'file:/x' } },
      'GenericError',
      "Invalid parameter type for 'paging', expected: boolean",
    ],
    [
      { execute: 'dump-guest-memory', arguments: { paging: false, protocol: 'file:/x', begin: 0 } },
      'GenericError',
      "Parameter 'length' is missing",
    ],
    ['[1]', 'GenericError', 'QMP input must be a JSON object'],
    ['nonsense\n', 'GenericError', expect.stringMatching(/^JSON parse error, /)],
  ])('answers %j with an error', async (request, kind, desc) => {
    const { ask } = await ready();
    expect(await ask(request)).toMatchObject({ error: { class: kind, desc } });
  });

  test('tells events once it is ready, in order with answers', async () => {
    const { ask, received } = await ready();
    await ask({ execute: 'stop' });
    await ask({ execute: 'cont' });
    expect(received.slice(2)).toMatchObject([
      { event: 'STOP', timestamp: { seconds: expect.any(Number), microseconds: expect.any(Number) } },
      { return: {} },
      { event: 'RESUME' },
      { return: {} },
    ]);
  });

  test('runs commands for people', async () => {
    const { ask } = await ready();
    const answer = await ask({ execute: 'human-monitor-command', arguments: { 'command-line': 'info dump' } });
    expect(answer).toEqual({ return: 'Status: none\r\n' });
  });
});

describe('dump-guest-memory', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'kdump-lab-test-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  test('stops the machine, writes, lets it go on, and tells so', async () => {
    const { ask, received } = await ready();
    const file = join(folder, 'dump');
    const args = { paging: false, protocol: `file:${file}`, format: 'kdump-zlib' };
    expect(await ask({ execute: 'dump-guest-memory', arguments: args })).toEqual({ return: {} });
    expect(received.flatMap(({ event }) => event ?? [])).toEqual(['STOP', 'RESUME', 'DUMP_COMPLETED']);
    expect(existsSync(file)).toBe(true);
    expect(await ask({ execute: 'query-dump' })).toMatchObject({ return: { status: 'completed' } });
  });

  test('does not wait when detached', async () => {
    const { ask, target } = await ready();
    const args = { paging: false, protocol: `file:${join(folder, 'dump')}`, detach: true };
    expect(await ask({ execute: 'dump-guest-memory', arguments: args })).toEqual({ return: {} });
    expect(await ask({ execute: 'query-status' })).toMatchObject({ return: { running: false, status: 'save-vm' } });
    expect(await ask({ execute: 'cont' })).toMatchObject({
      error: { desc: 'There is a dump in process, please wait.' },
    });
    while (target.dumper.isActive) await new Promise(resolve => setImmediate(resolve));
  });

  test('says what went wrong', async () => {
    const { ask, received } = await ready();
    const args = { paging: false, protocol: `file:${join(folder, 'no', 'dump')}` };
    expect(await ask({ execute: 'dump-guest-memory', arguments: args })).toMatchObject({
      error: { class: 'GenericError', desc: expect.stringContaining('there is no such folder') },
    });
    expect(received.find(({ event }) => event === 'DUMP_COMPLETED')).toMatchObject({
      data: { result: { status: 'failed' } },
    });
  });
});

describe('JsonStream', () => {
  test.each([
    [['{"a":1}{"b":2}'], [{ a: 1 }, { b: 2 }]],
    [['{"a":', '{"b":"}"', '}}\n'], [{ a: { b: '}' } }]],
    [[String.raw`{"a":"\"{"}`], [{ a: '"{' }]],
    [['{"a":"x', 'y}"}'], [{ a: 'xy}' }]],
    [['\r\n\n'], []],
  ])('%j', (pieces, expected) => {
    const stream = new JsonStream();
    expect(pieces.flatMap(piece => stream.push(piece))).toEqual(expected);
  });

  test('is bounded', () => {
    const stream = new JsonStream();
    expect(stream.push(`{"a":"${'x'.repeat(2 ** 20)}`)[0]).toBeInstanceOf(Error);
    expect(stream.push('{"b":1}')).toEqual([{ b: 1 }]);
  });
});
