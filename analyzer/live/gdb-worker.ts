/**
 * The thread that holds the connection to a gdb stub: the analyzer's own thread is synchronous and sleeps until an answer stands in
 * the memory that both share.
 */
import { connect } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

import { ACKNOWLEDGE, INTERRUPT, PacketReader, framePacket } from './gdb-packets.ts';
import { STATE, TEXT_OFFSET, WORD } from './gdb-words.ts';
import type { Exchange, WorkerSetup } from './gdb-words.ts';

/** Reply to a stop: signal, or the end of the machine. */
const STOP_REPLY = /^[TSWX]/;

const { host, port, shared } = workerData as WorkerSetup;
const words = new Int32Array(shared, 0, TEXT_OFFSET / 4);
const text = new Uint8Array(shared, TEXT_OFFSET);
const reader = new PacketReader();
const answers: string[] = [];
/** Answers to the exchange under way, without what the monitor printed before them. */
let received = 0;
let exchange: Exchange | undefined;
let acknowledges = true;
/** The machine goes on and will say when it stops. */
let isRunning = false;
/** Answers that are under way and that nobody waits for. */
let unwanted = 0;
let goneBecause: string | undefined;

const socket = connect(port, host);
socket.setNoDelay(true);
socket.on('data', (bytes: Buffer) => {
  for (const packet of reader.push(bytes)) take(packet);
});
socket.on('error', error => gone(error.message));
socket.on('close', () => gone('the connection was closed'));

parentPort!.on('message', (asked: Exchange) => {
  // Nobody waits any more for the rest of what was asked before: a command was interrupted.
  if (exchange !== undefined) unwanted += exchange.answers - received;
  exchange = asked;
  answers.length = 0;
  received = 0;
  if (goneBecause !== undefined) return settle(STATE.GONE, goneBecause);
  if (!asked.interrupt) sendPackets(asked);
  else if (isRunning) socket.write(INTERRUPT);
  else settle(STATE.ANSWERED, '');
});

function sendPackets(asked: Exchange): void {
  socket.write(Buffer.concat(asked.packets.map(framePacket)));
  if (asked.packets.some(packet => packet[0] === 'c'.charCodeAt(0))) isRunning = true;
  if (asked.answers === 0) settle(STATE.ANSWERED, '');
}

function take(packet: Buffer | undefined): void {
  if (packet === undefined) return gone('a damaged packet');
  if (acknowledges) socket.write(ACKNOWLEDGE);
  const reply = packet.toString('latin1');
  if (isRunning && STOP_REPLY.test(reply)) return stopped(reply);
  if (unwanted > 0) {
    if (isAnswer(reply)) unwanted--;
    return;
  }
  if (exchange === undefined || exchange.interrupt) return;
  answers.push(reply);
  if (!isAnswer(reply) || ++received < exchange.answers) return;
  if (exchange.endsAcknowledging) acknowledges = false;
  settle(STATE.ANSWERED, answers.join('\n'));
}

/** What a command of the monitor prints comes in pieces before its answer. */
function isAnswer(reply: string): boolean {
  return !/^O[\da-f]+$/i.test(reply);
}

function stopped(reply: string): void {
  isRunning = false;
  if (/^[WX]/.test(reply)) gone('the machine has ended');
  else if (exchange?.interrupt === true) settle(STATE.ANSWERED, '');
}

function gone(reason: string): void {
  goneBecause ??= reason;
  if (exchange !== undefined) settle(STATE.GONE, goneBecause);
}

/** Wakes the other thread. */
function settle(state: number, answer: string): void {
  const { written } = new TextEncoder().encodeInto(answer, text);
  words[WORD.LENGTH] = written;
  words[WORD.STATE] = state;
  Atomics.store(words, WORD.SETTLED, exchange?.number ?? 0);
  Atomics.notify(words, WORD.SETTLED);
  exchange = undefined;
}
