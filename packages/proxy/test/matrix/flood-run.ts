/** Clients of HTTP/2 that ask for more work than they pay for, or take nothing of what they have asked for: C6 of the fault list (RFC 9113 §10.5). */
import { ByteWriter } from '@ferrata/bytes';
import {
  FrameType,
  Http2ErrorCode,
  SettingId,
  writeData,
  writeHeaders,
  writePing,
  writePriority,
  writePriorityUpdate,
  writeRstStream,
  writeSettings,
  writeUnknownFrame,
  writeWindowUpdate,
} from '@ferrata/http2-framing';
import { naiveHpackBlock } from '@ferrata/testkit';
import { requestFields } from '../h2-wire.ts';
import type { Asking, ClientEnd } from './client-end.ts';
import { type Cell, isPlain, type Sampling } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
/** Its body never comes to its end: the stream that it is on is open for as long as the attack. */
const UPLOAD: Request = { method: 'POST', framing: 'chunked', pieces: ['', ''], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };
const EMPTY = new Uint8Array(0);
const UPLOAD_STREAM = 1;

/** One frame, or a few that belong together. `id` is a stream that has not been used. */
type Turn = (writer: ByteWriter, id: number) => void;

interface Flood {
  readonly turn: Turn;
  /** So many turns are never borne. */
  readonly bound: number;
}

const GET_BLOCK = naiveHpackBlock(requestFields('GET', '/flood'));
const POST_BLOCK = naiveHpackBlock(requestFields('POST', '/flood'));
const raw = (writer: ByteWriter, type: number, streamId: number, payload: Uint8Array = EMPTY, flags = 0): void =>
  writeUnknownFrame(writer, { type, flags, streamId, payload });

const FLOODS: Readonly<Record<string, Flood>> = {
  'requests that are reset (CVE-2023-44487)': {
    bound: 400,
    turn: (w, id) => {
      writeHeaders(w, id, GET_BLOCK, { isEndStream: true });
      writeRstStream(w, id, Http2ErrorCode.cancel);
    },
  },
  'requests that make us reset them (CVE-2025-8671)': {
    bound: 400,
    turn: (w, id) => {
      writeHeaders(w, id, POST_BLOCK, {});
      writeWindowUpdate(w, id, 0x7fff_ffff);
    },
  },
  'requests beyond those that may be open': { bound: 400, turn: (w, id) => writeHeaders(w, id, GET_BLOCK, { isEndStream: true }) },
  'PING (CVE-2019-9512)': { bound: 400, turn: (w) => writePing(w, new Uint8Array(8)) },
  'SETTINGS (CVE-2019-9515)': { bound: 64, turn: (w) => writeSettings(w, []) },
  'trees of PRIORITY (CVE-2019-9513)': { bound: 400, turn: (w, id) => writePriority(w, id, { dependsOn: id - 2, weight: 16 }) },
  PRIORITY_UPDATE: { bound: 400, turn: (w) => writePriorityUpdate(w, UPLOAD_STREAM, 'u=1') },
  'windows opened by crumbs (CVE-2019-9511)': { bound: 2_000, turn: (w) => writeWindowUpdate(w, 0, 1) },
  'empty DATA (CVE-2019-9518)': { bound: 40, turn: (w) => writeData(w, UPLOAD_STREAM, EMPTY) },
  'DATA of padding alone': { bound: 400, turn: (w) => writeData(w, UPLOAD_STREAM, EMPTY, { padding: 254 }) },
  'CONTINUATION without an end (CVE-2024-27316)': {
    bound: 2,
    turn: (w, id) => {
      raw(w, FrameType.headers, id, GET_BLOCK);
      for (let count = 0; count < 20; count++) raw(w, FrameType.continuation, id, Uint8Array.of(0x84));
    },
  },
  'empty CONTINUATION (CVE-2026-33871)': {
    bound: 40,
    turn: (w, id) => {
      raw(w, FrameType.headers, id, EMPTY, 0x1);
      for (let count = 0; count < 7; count++) raw(w, FrameType.continuation, id);
      raw(w, FrameType.continuation, id, GET_BLOCK, 0x4);
    },
  },
  'unknown frames': { bound: 200, turn: (w) => raw(w, 0xfa, 0) },
  'size updates of the HPACK table': {
    bound: 200,
    turn: (w, id) => {
      writeHeaders(w, id, Uint8Array.of(0x20, 0x3f, 0xe1, 0x1f, 0x82, 0x86, 0x84), { isEndStream: true });
      writeRstStream(w, id, Http2ErrorCode.noError);
    },
  },
};

/** Frames of one write: all that comes in one turn of the event loop. */
const FRAMES_A_WRITE = 20;

/** What an attacker of one connection may make an origin see: what may be open, and as many resets as are borne. */
const MOST_REQUESTS = 320;

// ---- floods ------------------------------------------------------------------------------------------------------------------------

export interface FloodCase {
  readonly name: string;
  readonly cell: Cell;
  readonly flood: Flood;
}

export function floodBatches(cell: Cell): FloodCase[][] {
  return [Object.entries(FLOODS).map(([what, flood]) => ({ name: `${cell.name}: ${what}`, cell, flood }))];
}

/** One attacker. */
class Attack {
  readonly it: FloodCase;
  readonly client: ClientEnd;
  readonly index: number;
  turns = 0;

  constructor(it: FloodCase, client: ClientEnd, index: number) {
    this.it = it;
    this.client = client;
    this.index = index;
    client.ask(`/upload/${index}`, UPLOAD, 0);
  }

  get isGoingOn(): boolean {
    return !this.client.isOver && this.turns < this.it.flood.bound;
  }

  /** Goes on. */
  run(): void {
    const writer = new ByteWriter();
    for (let count = 0; count < FRAMES_A_WRITE && this.turns < this.it.flood.bound; count++) {
      this.it.flood.turn(writer, UPLOAD_STREAM + 2 + 2 * this.turns++);
    }
    this.client.sayRaw(writer.take());
  }
}

export async function runFloods(cases: readonly FloodCase[], plant: Plant = {}, isGuarded = true): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const world = new MatrixWorld(cell, { plant, server: isGuarded ? {} : { http2: { connection: { guard: false } } } });
  let seen = 0;
  const uploads = cases.map((_it, index) => `/upload/${index}`);
  world.origin(cell.up, ['/flood', ...uploads], (request) => {
    if (request.target === '/flood') seen++;
  });
  const besides: OriginRequest[] = [];
  world.origin(cell.up, ['/beside'], (request) => void besides.push(request));
  const bystander = await world.connect();
  const before = bystander.ask('/beside', GET);
  const attacks = await Promise.all(cases.map(async (it, index) => new Attack(it, await world.connect(), index)));
  await world.settle();
  while (attacks.some(({ isGoingOn }) => isGoingOn)) {
    for (const attack of attacks) if (attack.isGoingOn) attack.run();
    await world.settle();
  }
  const after = bystander.ask('/beside', GET);
  await world.settle();
  for (const request of besides) request.play(answerScript(cell.up.protocol, FINE));
  await world.settle();
  await world.pass(3_000);
  const findings = attacks.map(({ it, client, turns }) => {
    const code = client.goaways.at(-1);
    const breaches: string[] = [];
    if (code !== Http2ErrorCode.enhanceYourCalm) breaches.push(`GOAWAY says ${code} after ${turns} turns`);
    if (!client.isOver) breaches.push('the connection goes on');
    return { name: it.name, breaches };
  });
  const ends = [before, after].flatMap((asking) =>
    asking.seen().body === 'fine' ? [] : [`a bystander got ${JSON.stringify(asking.seen())}`],
  );
  if (seen > MOST_REQUESTS * cases.length) ends.push(`${seen} requests have come to the origin`);
  ends.push(...(await world.finish()));
  return findingsOf(findings, { name: `the world of ${cell.name}`, breaches: ends });
}

// ---- answers that nobody takes -----------------------------------------------------------------------------------------------------

/** How many streams have answers, and how large those are. */
const STREAMS = 100;
const ANSWER_BYTES = 200;

export interface StallCase {
  readonly name: string;
  readonly cell: Cell;
  /** What the client lets come of each answer before it takes no more. */
  readonly windowBytes: number;
}

/** Where there are wrappers or TLS, one of them, by the seed. */
export function stallBatches(cell: Cell, { seed }: Sampling): StallCase[][] {
  const windows = [0, 1, ANSWER_BYTES - 1];
  return (isPlain(cell) ? windows : windows.slice(seed % 3, (seed % 3) + 1)).map((windowBytes) => [
    { name: `${cell.name}: windows of ${windowBytes} bytes`, cell, windowBytes },
  ]);
}

export async function runStalls(cases: readonly StallCase[], plant: Plant = {}): Promise<Finding[]> {
  const [it] = cases;
  if (it === undefined) return [];
  const { cell, windowBytes } = it;
  const world = new MatrixWorld(cell, { plant });
  const targets = Array.from({ length: STREAMS }, (_, index) => `/stalled/${index}`);
  const script = answerScript(cell.up.protocol, { ...FINE, pieces: ['x'.repeat(ANSWER_BYTES)] });
  world.origin(cell.up, targets, (request) => request.play(script));
  world.origin(cell.up, ['/beside', '/later'], (request) => request.play(answerScript(cell.up.protocol, FINE)));
  const client = await world.connect();
  const writer = new ByteWriter();
  writeSettings(writer, [[SettingId.initialWindowSize, windowBytes]]);
  const askings: Asking[] = [];
  // Says the preface.
  client.takeNoMore();
  client.sayRaw(writer.take());
  for (const target of targets) askings.push(client.ask(target, GET));
  const bystander = await world.connect();
  const beside = bystander.ask('/beside', GET);
  await world.settle();
  const wereOpen = askings.filter((asking) => asking.seen().ending === 'open').length;
  await world.pass(75_000);
  const breaches: string[] = [];
  if (wereOpen < STREAMS) breaches.push(`${STREAMS - wereOpen} answers have come all the same`);
  const cut = askings.filter((asking) => asking.seen().ending === 'cut').length;
  if (cut !== wereOpen) breaches.push(`${cut} of ${wereOpen} streams were given up`);
  const codes = new Set(askings.map((asking) => asking.seen().resetCode));
  if (codes.size !== 1 || !codes.has(Http2ErrorCode.cancel)) breaches.push(`streams are reset with ${[...codes].join()}, not CANCEL`);
  const logs = targets.flatMap((target) => world.logsOf(target));
  if (logs.length !== STREAMS) breaches.push(`logged ${logs.length} times`);
  if (beside.seen().body !== 'fine') breaches.push(`a bystander got ${JSON.stringify(beside.seen())}`);
  const { connector } = world.proxy;
  if (connector.connectionCount !== connector.idleCount) breaches.push('connections to the origin are held');
  return findingsOf([{ name: it.name, breaches }], { name: `the world of ${it.name}`, breaches: await world.finish() });
}
