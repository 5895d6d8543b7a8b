import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';

import { afterEach, describe, expect, test } from 'vitest';

import { TCP } from '../../../../../../emulator/devices/net/user/packets.ts';
import { UserNetwork } from '../../../../../../emulator/index.ts';
import { GUEST_SEQUENCE, TcpGuest } from '../../../../../support/tcp-guest.ts';

const open: Disposable[] = [];
afterEach(() => {
  for (const resource of open.splice(0)) resource[Symbol.dispose]();
});

/** A guest, and a server on the host that it may connect to. */
async function setup(): Promise<{ guest: TcpGuest; accepted: Promise<Socket> }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  const accepted = once(server, 'connection').then(([socket]) => {
    open.push({ [Symbol.dispose]: () => void (socket as Socket).destroy() });
    return socket as Socket;
  });
  await once(server, 'listening');
  const network = new UserNetwork();
  open.push(network, { [Symbol.dispose]: () => void server.close() });
  return { guest: new TcpGuest(network, (server.address() as AddressInfo).port), accepted };
}

/** Sequence number of the guest's first byte. */
const FIRST = (GUEST_SEQUENCE + 1) >>> 0;
const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));

test('a connection is agreed to when the host has connected, with a window that scales', async () => {
  const { guest } = await setup();
  guest.send({ flags: TCP.SYN, mss: 1000, windowScale: 7 });
  expect(await guest.take()).toMatchObject({
    flags: TCP.SYN | TCP.ACK,
    acknowledgement: FIRST,
    mss: 1460,
    windowScale: 5,
    window: 0xffff,
  });
});

test('windows do not scale for a guest that does not scale', async () => {
  const { guest } = await setup();
  guest.send({ flags: TCP.SYN });
  expect(await guest.take()).toMatchObject({ windowScale: undefined });
});

describe('what the guest sends', () => {
  test('goes to the host, and is acknowledged where the sequence wraps', async () => {
    const { guest, accepted } = await setup();
    const acknowledgement = await guest.open();
    guest.send({ sequence: FIRST, acknowledgement, payload: bytes('hello') });
    expect(await guest.take()).toMatchObject({ acknowledgement: 4, flags: TCP.ACK });
    expect(await once(await accepted, 'data')).toEqual([Buffer.from('hello')]);
  });

  test('twice goes once, and what is missing is asked for', async () => {
    const { guest, accepted } = await setup();
    const acknowledgement = await guest.open();
    guest.send({ sequence: FIRST, acknowledgement, payload: bytes('ab') });
    guest.send({ sequence: FIRST, acknowledgement, payload: bytes('abcd') });
    guest.send({ sequence: 100, acknowledgement, payload: bytes('later') });
    const answers = [await guest.take(), await guest.take(), await guest.take()];
    expect(answers.map(answer => answer.acknowledgement)).toEqual([1, 3, 3]);
    const socket = await accepted;
    let text = '';
    socket.on('data', data => (text += data.toString()));
    guest.send({ sequence: 3, acknowledgement, flags: TCP.ACK | TCP.FIN });
    await once(socket, 'end');
    expect(text).toBe('abcd');
  });

  test('after its end counts no more', async () => {
    const { guest } = await setup();
    const acknowledgement = await guest.open();
    guest.send({ sequence: FIRST, acknowledgement, flags: TCP.ACK | TCP.FIN });
    guest.send({ sequence: 0, acknowledgement, payload: bytes('more') });
    expect([await guest.take(), await guest.take()].map(answer => answer.acknowledgement)).toEqual([0, 0]);
  });
});

describe('what the host sends', () => {
  test('comes in segments of the size that the guest takes, as far as its window goes', async () => {
    const { guest, accepted } = await setup();
    const start = await guest.open({ mss: 4, window: 6 });
    guest.send({ sequence: FIRST, acknowledgement: start, window: 6 });
    (await accepted).write('0123456789');
    const [first, second] = [await guest.take(), await guest.take()];
    expect([first, second].map(({ payload }) => Buffer.from(payload).toString())).toEqual(['0123', '45']);
    expect(guest.received).toEqual([]);
    guest.send({ sequence: FIRST, acknowledgement: start + 6, window: 100 });
    expect(Buffer.from((await guest.take()).payload).toString()).toBe('6789');
  });

  test('is sent again when the guest asks three times', async () => {
    const { guest, accepted } = await setup();
    const acknowledgement = await guest.open({ mss: 4 });
    (await accepted).write('01234567');
    await guest.take();
    await guest.take();
    for (let i = 0; i < 3; i++) guest.send({ sequence: FIRST, acknowledgement });
    const again = [await guest.take(), await guest.take()];
    expect(again.map(({ sequence }) => sequence)).toEqual([acknowledgement, acknowledgement + 4]);
  });

  test('is sent again when nothing is heard of the guest', async () => {
    const { guest, accepted } = await setup();
    const acknowledgement = await guest.open();
    (await accepted).write('hello');
    await guest.take();
    expect(await guest.take()).toMatchObject({ sequence: acknowledgement, payload: bytes('hello') });
  });

  test('ends when the host does, and the connection when both have', async () => {
    const { guest, accepted } = await setup();
    const start = await guest.open();
    const socket = await accepted;
    socket.end('bye');
    const [data, end] = [await guest.take(), await guest.take()];
    expect([data.sequence, end.sequence, end.flags]).toEqual([start, start + 3, TCP.ACK | TCP.FIN]);
    guest.send({ sequence: FIRST, acknowledgement: start + 4, flags: TCP.ACK | TCP.FIN });
    expect(await guest.take()).toMatchObject({ acknowledgement: 0, flags: TCP.ACK });
    // There is no such connection any more.
    guest.send({ sequence: 0, acknowledgement: start + 4, payload: bytes('x') });
    expect(await guest.take()).toMatchObject({ flags: TCP.RST });
  });
});

test('a reset of the guest is one for the host', async () => {
  const { guest, accepted } = await setup();
  await guest.open();
  const socket = await accepted;
  guest.send({ sequence: FIRST, flags: TCP.RST });
  socket.resume();
  expect(await once(socket, 'error')).toMatchObject([{ code: 'ECONNRESET' }]);
});

test('a reset of the host is one for the guest', async () => {
  const { guest, accepted } = await setup();
  await guest.open();
  (await accepted).resetAndDestroy();
  expect(await guest.take()).toMatchObject({ flags: TCP.RST | TCP.ACK, acknowledgement: FIRST });
});

test('a request for a port where nobody listens is refused', async () => {
  const network = new UserNetwork();
  open.push(network);
  const guest = new TcpGuest(network, 1);
  guest.send({ flags: TCP.SYN });
  expect(await guest.take()).toMatchObject({ flags: TCP.RST | TCP.ACK, acknowledgement: FIRST });
});
