/** WebSocket that is refused, granted and broken off, with bytes too early: C8 of the fault list (RFC 9110 §7.8, RFC 8441). */
import { ByteWriter, concatBytes, latin1Encode } from '@ferrata/bytes';
import { CLIENT_PREFACE, Http2ErrorCode, SettingId, writeData, writeHeaders, writeSettings } from '@ferrata/http2-framing';
import type { Outcome } from '@ferrata/proxy';
import { naiveHpackBlock } from '@ferrata/testkit';
import { acceptKey } from '@ferrata/tunnel';
import type { Asking, ClientEnd } from './client-end.ts';
import { type Cell, type Protocol, type Sampling, sampledPositions, sampledRows } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, FIRST_STREAM } from './scripts.ts';

/** A flood of PING, a frame that is not masked, and half of one: the tunnel is not looked into, so they pass as they are (RFC 6455 §5). */
const FRAMES = `${'\x89\x80\x01\x02\x03\x04'.repeat(8)}\x81\x05hello\x82\xfe\xff`;

/** Of the cases, one in so many is run in cells with TLS. */
const TLS_STRIDE = 9;
/** So many bytes lie between the places where tunnels are broken off. */
const STRIDE = 11;

/** What becomes of a wish: it is refused with a status, or granted, and after some bytes each way one side breaks off. */
type Fate = 200 | 403 | 426 | 'client resets' | 'client ends' | 'origin resets' | 'origin ends';
const REFUSALS = [200, 403, 426] as const;
const BREAKS = ['client resets', 'client ends', 'origin resets', 'origin ends'] as const;

export interface TunnelCase {
  readonly name: string;
  readonly cell: Cell;
  readonly target: string;
  readonly fate: Fate;
  /** Bytes that the client says before it has an answer; and, if it is granted, as many behind it, both ways. */
  readonly position: number;
}

export function tunnelBatches(cell: Cell, sampling: Sampling): TunnelCase[][] {
  // RFC 8441 §5: to extended CONNECT 200 is a grant.
  const refusals = REFUSALS.filter((status) => status !== 200 || cell.up.protocol === 'http1');
  const cases = [...refusals, ...BREAKS].flatMap((fate) =>
    sampledPositions(FRAMES.length, [1], { stride: STRIDE, seed: sampling.seed }).map((position) => ({
      name: `${cell.name}: ${typeof fate === 'number' ? `refused with ${fate}` : fate} at ${position} of ${FRAMES.length}`,
      cell,
      fate,
      position,
    })),
  );
  return [sampledRows(cell, cases, TLS_STRIDE, sampling).map((it, index) => ({ ...it, target: `/case/${index}` }))];
}

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** The wish in the words of a client, and what it says behind it. */
function wishOf(protocol: Protocol, target: string, early: string): Uint8Array {
  if (protocol === 'http1') {
    const head = `GET ${target} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n`;
    return latin1Encode(`${head}Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n${early}`);
  }
  const writer = new ByteWriter();
  writeSettings(writer, []);
  const block = naiveHpackBlock([
    [':method', 'CONNECT'],
    [':protocol', 'websocket'],
    [':scheme', 'http'],
    [':authority', 'h'],
    [':path', target],
    ['sec-websocket-version', '13'],
  ]);
  writeHeaders(writer, FIRST_STREAM, block, {});
  return concatBytes([CLIENT_PREFACE, writer.take(), ...(early === '' ? [] : [saidOf(protocol, early)])]);
}

/** What a client says in the tunnel. */
function saidOf(protocol: Protocol, text: string, isEndStream = false): Uint8Array {
  if (protocol === 'http1') return latin1Encode(text);
  const writer = new ByteWriter();
  writeData(writer, FIRST_STREAM, latin1Encode(text), { isEndStream });
  return writer.take();
}

/** One case under way. */
class Run {
  readonly it: TunnelCase;
  readonly #world: MatrixWorld;
  readonly #client: ClientEnd;
  readonly #origin: Origin;
  readonly #requests: OriginRequest[] = [];
  readonly #asking: Asking;
  /** What the origin had before it answered. */
  #tooEarly = '';

  constructor(world: MatrixWorld, it: TunnelCase, client: ClientEnd) {
    this.#world = world;
    this.it = it;
    this.#client = client;
    const { cell, target, position } = it;
    this.#origin = world.origin(cell.up, [target], (request) => void this.#requests.push(request), {
      h2: { settings: [[SettingId.enableConnectProtocol, 1]] },
    });
    this.#asking = client.askRaw(wishOf(cell.down.protocol, target, FRAMES.slice(0, position)), true);
  }

  get #isGranted(): boolean {
    return typeof this.it.fate === 'string';
  }

  answer(): void {
    const { cell, fate } = this.it;
    this.#tooEarly = this.#origin.connections[0]?.heard ?? '';
    const [request] = this.#requests;
    if (request === undefined) return;
    if (typeof fate === 'number') {
      const answer: Answer = { status: fate, hasInterim: false, framing: 'length', pieces: ['no'], trailers: [] };
      request.play(answerScript(cell.up.protocol, answer));
    } else if (cell.up.protocol === 'http2') {
      this.#origin.connections[0]?.h2?.headers(request.streamId, [[':status', '200']], { isEnd: false });
    } else {
      const accept = acceptKey(request.fieldOf('sec-websocket-key') ?? '');
      const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
      request.write(latin1Encode(head));
    }
  }

  /** As many bytes again, both ways. */
  talk(): void {
    const { cell, position } = this.it;
    if (!this.#isGranted || position === 0) return;
    const text = FRAMES.slice(0, position);
    this.#client.sayRaw(saidOf(cell.down.protocol, text));
    const [request] = this.#requests;
    if (cell.up.protocol === 'http1') request?.write(latin1Encode(text));
    else this.#origin.connections[0]?.h2?.data(request?.streamId ?? 0, text);
  }

  breakOff(fate: Fate = this.it.fate): void {
    const { cell } = this.it;
    const [request] = this.#requests;
    const h2 = this.#origin.connections[0]?.h2 ?? null;
    const streamId = request?.streamId ?? 0;
    if (fate === 'client resets') this.#asking.leave();
    else if (fate === 'client ends' && cell.down.protocol === 'http1') this.#client.end();
    else if (fate === 'client ends') this.#client.sayRaw(saidOf('http2', '', true));
    else if (fate === 'origin resets' && h2 === null) request?.fault('reset');
    else if (fate === 'origin resets') h2?.resetStream(streamId, Http2ErrorCode.cancel);
    else if (fate === 'origin ends' && h2 === null) request?.fault('end');
    else if (fate === 'origin ends') h2?.data(streamId, '', true);
  }

  /** Who is told of an end says goodbye, too. */
  followEnd(): void {
    if (this.it.fate === 'client ends') this.breakOff('origin ends');
    if (this.it.fate === 'origin ends') this.breakOff('client ends');
  }

  breaches(): string[] {
    const { cell, fate, target, position } = this.it;
    const breaches: string[] = [];
    const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
    const logs = this.#world.logsOf(target);
    const { status, outcome } = expectedOf(this.it);
    check(logs.length === 1 && logs[0]?.outcome === outcome, `logged ${JSON.stringify(logs)}, not ${outcome}`);
    check(this.#requests.length === 1, `${this.#requests.length} requests have come to the origin`);
    check(this.#tooEarly === '', `before its answer the origin had ${JSON.stringify(this.#tooEarly)}`);
    const [connection] = this.#origin.connections;
    const text = FRAMES.slice(0, position);
    const { heard } = this.#client;
    if (typeof fate === 'number') {
      const seen = this.#asking.seen();
      check(seen.status === status && seen.ending === 'whole', `answered ${JSON.stringify(seen)}, not ${status}`);
      check(seen.body === 'no' || status === 502, `a body of ${JSON.stringify(seen.body)}`);
      check(connection?.heard === '', `behind its refusal the origin has ${JSON.stringify(connection?.heard)}`);
      // What is no tunnel is the next request, and this is none.
      const isNext = cell.down.protocol === 'http1' && position > 0;
      check(!isNext || seen.rest === '' || seen.rest.startsWith('HTTP/1.1 400 '), `behind the answer: ${JSON.stringify(seen.rest)}`);
    } else {
      const behind = cell.down.protocol === 'http1' ? heard.slice(heard.indexOf('\r\n\r\n') + 4) : heard;
      check(cell.down.protocol === 'http2' || heard.startsWith('HTTP/1.1 101 '), `answered ${JSON.stringify(heard)}`);
      check(behind === text, `the client has ${JSON.stringify(behind)}, not ${JSON.stringify(text)}`);
      check(connection?.heard === text + text, `the origin has ${JSON.stringify(connection?.heard)}, not ${JSON.stringify(text + text)}`);
    }
    // What was asked for a tunnel carries nothing else, before or after.
    check(cell.up.protocol === 'http2' || connection?.isOver === true, 'the connection to the origin is still open');
    return breaches;
  }
}

/** What the rules say. */
interface Expected {
  /** What the client is told of a wish that is refused. */
  readonly status: number;
  readonly outcome: Outcome;
}

export function expectedOf({ cell, fate }: TunnelCase): Expected {
  if (fate === 'client resets') return { status: 0, outcome: 'client_abort' };
  if (fate === 'origin resets') return { status: 0, outcome: 'upstream_error' };
  // An HTTP/2 client could read it only as a grant.
  if (fate === 200 && cell.down.protocol === 'http2') return { status: 502, outcome: 'upstream_error' };
  return { status: typeof fate === 'number' ? fate : 0, outcome: 'completed' };
}

export async function runTunnels(cases: readonly TunnelCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell, { plant, server: { http2: { extendedConnect: true } } });
  const runs = await Promise.all(cases.map(async (it) => new Run(world, it, await world.connect())));
  for (const act of ['answer', 'talk', 'breakOff', 'followEnd'] as const) {
    await world.settle();
    for (const run of runs) run[act]();
  }
  await world.settle();
  await world.pass(4_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: run.breaches() }));
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: await world.finish() });
}
