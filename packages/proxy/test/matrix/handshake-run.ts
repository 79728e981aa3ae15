/** Handshakes that clients break off, hold, spoil or drip: C5 of the fault list. Node's TLS takes no 0-RTT, so nothing of that can be replayed. */
import { concatBytes } from '@ferrata/bytes';
import { type Fault, faulty, type L4Stream, rechunked, tapped } from '@ferrata/stream';
import { edit, LyingStream } from '../world/planted.ts';
import type { Asking } from './client-end.ts';
import { Door } from './door.ts';
import { type Cell, type Sampling, sampledPositions } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld } from './matrix-world.ts';
import { type Answer, answerScript, type Request, requestScript } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

/** How long a handshake may take. */
const TIMEOUT_MS = 10_000;

/** So many bytes of what a client says are looked at. */
const STRIDE = 197;

/** With so few places for handshakes, so many hold them. */
const PLACES = 4;
const HOLDERS = 24;

/** What becomes of the connection: the request is served; it ends at once; after its time; or at one of these two, as the byte will have it. */
type Fate = 'served' | 'at once' | 'in time' | 'by then';

/** What lies between a client and its connection; null where the client speaks no TLS, and says `bytes`. */
type Line = ((stream: L4Stream) => L4Stream) | null;

export interface HandshakeCase {
  readonly name: string;
  readonly cell: Cell;
  readonly line: Line;
  readonly bytes: Uint8Array;
  readonly fate: Fate;
  /** Each byte of the request goes in a TLS record of its own. */
  readonly isDripped: boolean;
  /** There are few places, and this is one of many that hold them. */
  readonly isCrowd: boolean;
}

const FATES = { end: 'at once', reset: 'at once', stall: 'in time', corrupt: 'by then' } as const;

/** What clients say, to their last byte of a handshake, and the ClientHello of it. */
export interface Flight {
  readonly bytes: number;
  readonly helloBytes: number;
}

/** Signatures and keys are a few bytes longer or shorter, by chance. */
const LEEWAY = 8;

/** @returns how much a client of a cell says until its handshake is over */
export async function flightOf(cell: Cell): Promise<Flight> {
  const world = new MatrixWorld(cell);
  const door = new Door(world);
  const sizes: number[] = [];
  const client = await door.client(tapped(door.connect(), { onWrite: (chunk) => void sizes.push(chunk.length) }));
  await world.settle();
  client.reset();
  await door.close();
  await world.finish();
  const [helloBytes = 0, ...more] = sizes;
  return { helloBytes, bytes: helloBytes + Math.min(...more) - LEEWAY };
}

/** RFC 8446 §4, §5.1: a ClientHello of 64 KiB, in records of 16 KiB. */
function hugeHello(): Uint8Array {
  const record = (...head: number[]): Uint8Array => {
    const bytes = new Uint8Array(5 + 16_384);
    bytes.set([0x16, 0x03, 0x01, 0x40, 0x00, ...head]);
    return bytes;
  };
  return concatBytes([record(0x01, 0x01, 0x00, 0x40, 0x03, 0x03), record(), record(), record(), record()]);
}

export function handshakeBatches(cell: Cell, { bytes, helloBytes }: Flight, { seed }: Sampling): HandshakeCase[][] {
  const of = (what: string, fate: Fate, line: Line, more: Partial<HandshakeCase> = {}): HandshakeCase => ({
    name: `${cell.name}: ${what}`,
    cell,
    line,
    bytes: new Uint8Array(0),
    fate,
    isDripped: false,
    isCrowd: false,
    ...more,
  });
  const broken = sampledPositions(bytes - 1, [helloBytes - 1, helloBytes], { stride: STRIDE, seed }).flatMap((at) =>
    (['end', 'reset', 'stall', 'corrupt'] as const).map((kind) => {
      const fault: Fault = { direction: 'outgoing', kind, at };
      return of(`${kind} at ${at} of ${bytes}`, FATES[kind], (stream) => faulty(stream, [fault]));
    }),
  );
  const whole = (stream: L4Stream): L4Stream => stream;
  const holding = (stream: L4Stream): L4Stream => faulty(stream, [{ direction: 'outgoing', kind: 'stall', at: helloBytes }]);
  return [
    [
      ...broken,
      of('a handshake in pieces of a byte', 'served', (stream) => rechunked(stream, { outgoing: [1] })),
      of('a record for each byte', 'served', whole, { isDripped: true }),
      of(
        'a name with a NUL',
        'at once',
        (stream) => new LyingStream(stream, { outgoing: edit((text) => text.replace('origin.test', 'or\0gin.test')) }),
      ),
      of(
        'a name of another server',
        'at once',
        (stream) => new LyingStream(stream, { outgoing: edit((text) => text.replace('origin.test', 'intern.test')) }),
      ),
      of('a ClientHello of 64 KiB', 'at once', null, { bytes: hugeHello() }),
      of('HTTP in place of TLS', 'at once', null, { bytes: requestScript('http1', GET, '/evil').bytes }),
      of('nothing at all', 'in time', null),
    ],
    [
      ...Array.from({ length: HOLDERS }, (_, index) => of(`holder ${index}`, 'by then', holding, { isCrowd: true })),
      of('behind them', 'served', whole, { isCrowd: true }),
    ],
  ];
}

/** One case under way. */
interface Run {
  readonly it: HandshakeCase;
  asking: Asking | null;
  isOver: boolean;
}

export async function runHandshakes(cases: readonly HandshakeCase[]): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell, isCrowd } = first;
  const world = new MatrixWorld(cell, isCrowd ? { carriers: { maxHandshakes: PLACES } } : {});
  const began: string[] = [];
  world.origin(cell.up, ['/fine'], (request) => {
    began.push(request.target);
    request.play(answerScript(cell.up.protocol, FINE));
  });
  const door = new Door(world);
  const runs = cases.map((it) => begin(door, it));
  await world.settle();
  const early = runs.map(({ isOver }) => isOver);
  await world.pass(TIMEOUT_MS - 500, 250);
  const late = runs.map(({ isOver }) => isOver);
  await world.pass(1_000, 250);
  const findings = runs.map((run, index) => ({
    name: run.it.name,
    breaches: breachesOf(run, { isCrowd, wasOverAtOnce: early[index] === true, wasOverInTime: late[index] === true }),
  }));
  const ends: string[] = [];
  const served = cases.filter(({ fate }) => fate === 'served').length;
  if (began.length !== served) ends.push(`${began.length} requests have come to the origin, not ${served}`);
  const { handshakeFailedCount } = door.listener;
  const failing = cases.length - served;
  if (handshakeFailedCount !== failing) ends.push(`${handshakeFailedCount} handshakes are counted as failed, not ${failing}`);
  await door.close();
  ends.push(...(await world.finish(true)));
  return findingsOf(findings, { name: `the world of ${first.name} and its like`, breaches: ends });
}

/** Nobody waits for anybody: the handshake of each goes on beside all others. */
function begin(door: Door, it: HandshakeCase): Run {
  const run: Run = { it, asking: null, isOver: false };
  const line = tapped(door.connect(), {
    onEnd: () => {
      run.isOver = true;
    },
    onClose: () => {
      run.isOver = true;
    },
  });
  if (it.line === null) {
    line.attach({ onData() {}, onDrain() {}, onEnd() {}, onClose() {} });
    line.write(it.bytes.slice());
    return run;
  }
  const ask = async (made: L4Stream): Promise<void> => {
    const client = await door.client(made);
    if (it.fate !== 'served') return;
    const { bytes } = requestScript(it.cell.down.protocol, GET, '/fine');
    run.asking = client.askRaw(it.isDripped ? bytes.slice(0, 1) : bytes, true);
    if (it.isDripped) for (const byte of bytes.subarray(1)) client.sayRaw(Uint8Array.of(byte));
  };
  // Why a handshake has failed is told by the server, which is the one that is looked at.
  ask(it.line(line)).catch(() => {});
  return run;
}

interface Times {
  readonly isCrowd: boolean;
  readonly wasOverAtOnce: boolean;
  readonly wasOverInTime: boolean;
}

function breachesOf({ it, asking, isOver }: Run, { isCrowd, wasOverAtOnce, wasOverInTime }: Times): string[] {
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  if (it.fate === 'served') {
    const seen = asking?.seen();
    check(seen?.status === 200 && seen.body === 'fine', `got ${JSON.stringify(seen ?? 'no connection')}`);
    return breaches;
  }
  if (it.fate === 'at once') check(wasOverAtOnce, 'the connection did not end at once');
  if (it.fate === 'in time' && !isCrowd) check(!wasOverInTime, 'the connection has ended before its time');
  check(isOver, 'the connection is still open');
  return breaches;
}
