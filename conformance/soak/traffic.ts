/**
 * The clients of the soak: closed loops, each of which draws what to do next from a seed, does it, and knows what must come of it. Some behave well, some leave at a
 * random byte, some have an origin that leaves or stops.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Random, seededRandom } from '@ferrata/clock';
import { WebSocket } from 'ws';
import { isPattern, patternAt } from '../lifecycle/pattern.ts';
import { HttpClient, type Version } from '../proxy-peers/http-peers.ts';

/** Where the loops find the proxy. */
export interface TrafficTarget {
  /** By names, with the version that clients speak. */
  readonly ways: readonly {
    readonly name: string;
    readonly port: number;
    readonly version: Version;
    readonly ca: string | null;
    readonly isOriginHttp1: boolean;
  }[];
  /** Of the way to the origin of WebSockets. */
  readonly webSocketPort: number;
  /** How long the proxy waits for an origin of HTTP/1.1 that is silent. */
  readonly originTimeoutMs: number;
}

/** Something that a client does. @returns what was wrong, or null */
type Deed = (act: Act) => Promise<string | null>;

interface Act {
  readonly traffic: Traffic;
  readonly random: Random;
  readonly client: HttpClient;
  readonly token: string;
}

/** Nothing here takes longer on a machine that is busy; what does, hangs. */
const DEED_MS = 30_000;
const PIECE_BYTES = 32_768;

const DEEDS: readonly (readonly [name: string, share: number, deed: Deed])[] = [
  ['small', 30, small],
  ['download', 12, download],
  ['slow download', 4, slowDownload],
  ['download that the client leaves', 10, leftDownload],
  ['download that the origin leaves', 8, cutDownload],
  ['upload', 10, upload],
  ['upload that the client leaves', 6, leftUpload],
  ['upload that the origin leaves', 6, cutUpload],
  ['stall that the client leaves', 4, leftStall],
  ['stall until the proxy gives up', 1, timedOutStall],
  ['stall amid a download', 1, timedOutDownload],
  ['connection that the client leaves', 3, leftConnection],
  ['WebSocket', 6, webSocket],
  ['WebSocket that an end leaves', 3, leftWebSocket],
];

/** Kinds of deeds. */
export const DEED_COUNT: number = DEEDS.length;

/** All loops together. */
export class Traffic {
  readonly target: TrafficTarget;
  readonly problems = new Map<string, number>();
  /** How often each deed was done. */
  readonly done = new Map<string, number>();
  /** Requests that were sent, and those whose answer has begun. */
  sent = 0;
  answered = 0;
  readonly #loops: readonly { readonly random: Random; readonly clients: Map<string, HttpClient> }[];
  #tokens = 0;

  constructor(target: TrafficTarget, seed: number, loops: number) {
    this.target = target;
    this.#loops = Array.from({ length: loops }, (_, index) => ({
      random: seededRandom(seed * 1_000 + index),
      clients: new Map<string, HttpClient>(),
    }));
  }

  /** All loops go on for so long, and each finishes what it has begun. */
  async run(ms: number): Promise<void> {
    const until = performance.now() + ms;
    await Promise.all(
      this.#loops.map(async ({ random, clients }) => {
        while (performance.now() < until) await this.#act(random, clients);
      }),
    );
  }

  close(): void {
    for (const { clients } of this.#loops) for (const client of clients.values()) client.close();
  }

  async #act(random: Random, clients: Map<string, HttpClient>): Promise<void> {
    const way = this.target.ways[random.below(this.target.ways.length)] as TrafficTarget['ways'][number];
    const client = clients.get(way.name) ?? new HttpClient(way.version, way.port, way.ca);
    clients.set(way.name, client);
    const [name, , deed] = drawDeed(random, way);
    const token = `t${++this.#tokens}`;
    const patience = new AbortController();
    let problem: string | null;
    try {
      problem = await Promise.race([
        deed({ traffic: this, random, client, token }),
        delay(DEED_MS, 'no end', { signal: patience.signal }).catch(() => null),
      ]);
    } catch (error) {
      problem = error instanceof Error ? error.message : String(error);
    }
    patience.abort();
    this.done.set(name, (this.done.get(name) ?? 0) + 1);
    if (problem === null) return;
    const key = `${way.name}: ${name}: ${problem}`;
    this.problems.set(key, (this.problems.get(key) ?? 0) + 1);
  }
}

/** @returns what is done by this way: where the origin speaks HTTP/2, whose time for a first byte is another, the client leaves a stall before the proxy does */
export function drawDeed(random: Random, { isOriginHttp1 }: { readonly isOriginHttp1: boolean }): (typeof DEEDS)[number] {
  let left = random.below(DEEDS.reduce((sum, [, share]) => sum + share, 0));
  const drawn = DEEDS.find(([, share]) => (left -= share) < 0);
  const isTimed = drawn?.[2] === timedOutStall || drawn?.[2] === timedOutDownload;
  const done = isTimed && !isOriginHttp1 ? DEEDS.find(([, , deed]) => deed === leftStall) : drawn;
  if (done === undefined) throw new RangeError('no deed was drawn');
  return done;
}

/** Asks, and counts. */
function ask(
  { traffic, client }: Act,
  path: string,
  fields: Readonly<Record<string, string>> = {},
  method = 'GET',
): ReturnType<HttpClient['ask']> {
  traffic.sent++;
  const asking = client.ask({ method, path, fields });
  asking.body.on('error', () => undefined);
  void asking.answer.then(
    ({ body }) => {
      traffic.answered++;
      body.on('error', () => undefined);
    },
    () => undefined,
  );
  return asking;
}

async function small(act: Act): Promise<string | null> {
  const asking = ask(act, `/small?token=${act.token}`);
  asking.body.end();
  const { status, body } = await asking.answer;
  let text = '';
  for await (const piece of body) text += String(piece);
  if (status !== 200) return `status ${status}`;
  return text === act.token ? null : 'the answer to another request';
}

function drawSize({ random }: Act): number {
  return 1 + random.below(random.below(4) === 0 ? 2_000_000 : 50_000);
}

/** @param onPiece may say that it is enough, by true */
async function read(
  act: Act,
  path: string,
  bytes: number,
  onPiece: (read: number) => Promise<boolean> | boolean,
): Promise<{ status: number; read: number; problem: string | null }> {
  const asking = ask(act, path);
  asking.body.end();
  const { status, body } = await asking.answer;
  let at = 0;
  let problem: string | null = null;
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      if (status === 200 && !isPattern(piece, at)) problem = 'wrong bytes';
      at += piece.length;
      if (await onPiece(at)) {
        asking.cancel();
        break;
      }
    }
  } catch {
    // A cut shows in the count.
  }
  if (at > bytes && status === 200) problem = 'more bytes than were asked for';
  return { status, read: at, problem };
}

async function download(act: Act): Promise<string | null> {
  const bytes = drawSize(act);
  const seen = await read(act, `/down?bytes=${bytes}`, bytes, () => false);
  if (seen.status !== 200) return `status ${seen.status}`;
  return seen.problem ?? (seen.read === bytes ? null : 'cut');
}

async function slowDownload(act: Act): Promise<string | null> {
  const bytes = 400_000 + act.random.below(1_000_000);
  let next = 0;
  const seen = await read(act, `/down?bytes=${bytes}`, bytes, async (at) => {
    if (at < next) return false;
    next = at + 200_000;
    await delay(100);
    return false;
  });
  if (seen.status !== 200) return `status ${seen.status}`;
  return seen.problem ?? (seen.read === bytes ? null : 'cut');
}

async function leftDownload(act: Act): Promise<string | null> {
  const bytes = drawSize(act);
  const leaveAt = act.random.below(bytes);
  const seen = await read(act, `/down?bytes=${bytes}`, bytes, (at) => at >= leaveAt);
  if (seen.status !== 200) return `status ${seen.status}`;
  return seen.problem ?? (seen.read >= leaveAt ? null : 'cut before the client has left');
}

async function cutDownload(act: Act): Promise<string | null> {
  const bytes = drawSize(act);
  const cutAt = act.random.below(4) === 0 ? 0 : act.random.below(bytes);
  const seen = await read(act, `/down?bytes=${bytes}&abort=${cutAt}`, bytes, () => false);
  if (seen.status === 502) return null;
  if (seen.status !== 200) return `status ${seen.status}`;
  return seen.problem ?? (seen.read < bytes ? null : 'whole, though the origin has left');
}

/** @returns what has come; null: the connection or the stream has ended without */
async function send(
  act: Act,
  path: string,
  bytes: number,
  leaveAt = Number.POSITIVE_INFINITY,
): Promise<{ status: number; text: string } | null> {
  const asking = ask(act, path, act.random.below(2) === 0 ? { 'content-length': String(bytes) } : {}, 'POST');
  const { body } = asking;
  let isOver = false;
  let wake = (): void => undefined;
  const stop = (): void => {
    isOver = true;
    wake();
  };
  body.on('drain', () => wake()).on('close', stop);
  // Whoever has an answer need not send the rest (RFC 9112 §9.5, RFC 9113 §8.1).
  void asking.answer.then(stop, stop);
  for (let at = 0; at < bytes && !isOver; ) {
    if (at >= leaveAt) {
      asking.cancel();
      return null;
    }
    const piece = patternAt(at, Math.min(PIECE_BYTES, bytes - at));
    at += piece.length;
    const isDrained = new Promise<void>((resolve) => (wake = resolve));
    if (!body.write(piece)) await isDrained;
  }
  if (!isOver) body.end();
  try {
    const answer = await asking.answer;
    let text = '';
    for await (const piece of answer.body) text += String(piece);
    return { status: answer.status, text };
  } catch {
    return null;
  }
}

async function upload(act: Act): Promise<string | null> {
  const bytes = drawSize(act);
  const answer = await send(act, `/up?token=${act.token}`, bytes);
  if (answer === null) return 'no answer';
  if (answer.status !== 200) return `status ${answer.status}`;
  return answer.text === `right ${bytes}` ? null : `${answer.text} of ${bytes}`;
}

async function leftUpload(act: Act): Promise<string | null> {
  const bytes = 100_000 + drawSize(act);
  const answer = await send(act, '/up', bytes, act.random.below(bytes - PIECE_BYTES));
  return answer === null ? null : `status ${answer.status} for half a request`;
}

async function cutUpload(act: Act): Promise<string | null> {
  const bytes = drawSize(act);
  const answer = await send(act, `/up?abort=${act.random.below(bytes)}`, bytes);
  // Whoever still sends may find the connection closed before it has read why.
  return answer === null || answer.status === 502 ? null : `status ${answer.status}`;
}

async function leftStall(act: Act): Promise<string | null> {
  const asking = ask(act, '/stall');
  asking.body.end();
  await delay(act.random.below(400));
  asking.cancel();
  return null;
}

async function timedOutStall(act: Act): Promise<string | null> {
  const asking = ask(act, '/stall');
  asking.body.end();
  const { status, body } = await asking.answer;
  body.resume();
  return status === 504 ? null : `status ${status}`;
}

async function timedOutDownload(act: Act): Promise<string | null> {
  const bytes = 100_000;
  const seen = await read(act, `/down?bytes=${bytes}&stall=${1 + act.random.below(bytes - 1)}`, bytes, () => false);
  if (seen.status !== 200) return `status ${seen.status}`;
  return seen.problem ?? (seen.read < bytes ? null : 'whole, though the origin has stopped');
}

/** The whole connection goes, with all that is on it. */
async function leftConnection(act: Act): Promise<string | null> {
  const askings = Array.from({ length: 1 + act.random.below(5) }, () => ask(act, `/down?bytes=${drawSize(act)}`));
  for (const { body } of askings) body.end();
  await Promise.race([...askings.map(async ({ answer }) => await answer), delay(act.random.below(50))]).catch(() => undefined);
  for (const { cancel } of askings) cancel();
  act.client.close();
  return null;
}

async function openSocket({ traffic }: Act, path: string): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  traffic.sent++;
  const socket = new WebSocket(`ws://127.0.0.1:${traffic.target.webSocketPort}${path}`, { perMessageDeflate: false });
  let refusal = 'it closed';
  socket.on('error', ({ message }) => void (refusal = message));
  const closed = new Promise<number>((resolve) => void socket.on('close', resolve));
  await new Promise<void>((resolve) => void socket.once('open', resolve).once('close', () => resolve()));
  if (socket.readyState !== WebSocket.OPEN) throw new Error(`no WebSocket: ${refusal}`);
  traffic.answered++;
  return { socket, closed };
}

/** Waits for the echo of each message. @returns how many were right */
async function converse(socket: WebSocket, { random, token }: Act, count: number): Promise<number> {
  let right = 0;
  for (let index = 0; index < count; index++) {
    const message = `${token}/${index}:${'x'.repeat(random.below(20_000))}`;
    const echo = new Promise<string>((resolve) => {
      socket.once('message', (data: Buffer) => resolve(data.toString()));
      socket.once('close', () => resolve(''));
    });
    socket.send(message);
    if ((await echo) === message) right++;
  }
  socket.removeAllListeners('message');
  return right;
}

async function webSocket(act: Act): Promise<string | null> {
  const { socket, closed } = await openSocket(act, `/echo?token=${act.token}`);
  const right = await converse(socket, act, 5);
  socket.close(4_000);
  const code = await closed;
  return right === 5 && code === 4_000 ? null : `${right} of 5 messages, and the end is ${code}`;
}

async function leftWebSocket(act: Act): Promise<string | null> {
  const isOurs = act.random.below(2) === 0;
  const { socket, closed } = await openSocket(act, `${isOurs ? '/echo' : '/abort'}?token=${act.token}`);
  if (isOurs) {
    const right = await converse(socket, act, 2);
    if (right !== 2) return `${right} of 2 messages`;
    socket.terminate();
  } else socket.send('go');
  const code = await closed;
  return code === 1_006 ? null : `the end is ${code}`;
}
