/** Many requests at once, and what follows a request that is none: C4 of the fault list. */
import { ByteWriter, concatBytes, latin1Encode } from '@ferrata/bytes';
import { FrameType, writeUnknownFrame } from '@ferrata/http2-framing';
import { readResponse } from '../rig.ts';
import type { Asking, ClientEnd } from './client-end.ts';
import { REQUESTS } from './client-plan.ts';
import { type Cell, isPlain, type Sampling, sampledPositions, sampledRows } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request, requestScript } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };
/** Not to be seen by any origin. */
const EVIL = '/evil';

// ---- many requests -----------------------------------------------------------------------------------------------------------------

const CROWD = 1_000;
/** Where there are wrappers or TLS. */
const SMALL_CROWD = 60;
/** Of what may follow, one in so many is looked at in cells with TLS. */
const TLS_STRIDE = 3;
/** HTTP/2: what a client may have open at once. */
const AT_ONCE = 100;

export interface CrowdCase {
  readonly name: string;
  readonly cell: Cell;
  readonly count: number;
}

export function crowdBatches(cell: Cell): CrowdCase[][] {
  const count = isPlain(cell) ? CROWD : SMALL_CROWD;
  return [[{ name: `${cell.name}: ${count} requests`, cell, count }]];
}

const targetOf = (index: number): string => `/${String(index).padStart(4, '0')}`;

/** HTTP/1 says all of them at once, HTTP/2 as many as may be open: each has its own answer, and HTTP/1 looks at one at a time. */
export async function runCrowd(cases: readonly CrowdCase[], plant: Plant = {}): Promise<Finding[]> {
  const [it] = cases;
  if (it === undefined) return [];
  const { down, up } = it.cell;
  let open = 0;
  let mostOpen = 0;
  const world = new MatrixWorld(it.cell, {
    plant,
    server: { connection: { maxRequests: 2 * it.count } },
    hooks: {
      earlyRequestFilter: () => {
        mostOpen = Math.max(mostOpen, ++open);
      },
      logging: () => void open--,
    },
  });
  const targets = Array.from({ length: it.count }, (_, index) => targetOf(index));
  world.origin(up, targets, (request) => request.play(answerScript(up.protocol, { ...FINE, pieces: [request.target] })));
  const client = await world.connect();
  const bodies = await (down.protocol === 'http1' ? pipelined(world, client, targets) : inTurns(world, client, targets));
  const breaches: string[] = [];
  const wrong = targets.findIndex((target, index) => bodies[index] !== target);
  if (wrong >= 0 || bodies.length !== it.count) breaches.push(`answer ${wrong} of ${bodies.length} is ${JSON.stringify(bodies[wrong])}`);
  if (world.logCount !== it.count) breaches.push(`logged ${world.logCount} times`);
  const bound = down.protocol === 'http1' ? 1 : AT_ONCE;
  if (mostOpen > bound) breaches.push(`${mostOpen} requests were looked at at once, not ${bound}`);
  return findingsOf([{ name: it.name, breaches }], { name: `the world of ${it.name}`, breaches: await world.finish() });
}

async function pipelined(world: MatrixWorld, client: ClientEnd, targets: readonly string[]): Promise<string[]> {
  const asking = client.askRaw(concatBytes(targets.map((target) => requestScript('http1', GET, target).bytes)), true);
  await world.settle();
  const { body, rest } = asking.seen();
  const bodies = [body];
  for (let text = rest; text !== ''; ) {
    const answer = readResponse(text);
    bodies.push(answer.body);
    text = answer.isComplete ? answer.rest : '';
  }
  return bodies;
}

async function inTurns(world: MatrixWorld, client: ClientEnd, targets: readonly string[]): Promise<string[]> {
  const bodies: string[] = [];
  for (let at = 0; at < targets.length; at += AT_ONCE) {
    const askings = targets.slice(at, at + AT_ONCE).map((target) => client.ask(target, GET));
    await world.settle();
    bodies.push(...askings.map((asking) => asking.seen().body));
  }
  return bodies;
}

// ---- what follows a request --------------------------------------------------------------------------------------------------------

/** What is wrong with what follows: it is no request, the connection is to end with the one before it, or frames that nobody may send. */
type Wrong = 'garbage' | 'behind close' | 'frames';

export interface GarbageCase {
  readonly name: string;
  readonly cell: Cell;
  readonly wrong: Wrong;
  readonly target: string;
  readonly request: Request;
  /** What is said behind the request, and then, over HTTP/1, the end. */
  readonly behind: Uint8Array;
  /** The request is answered before it comes; over HTTP/1 it makes no difference. */
  readonly isAnswered: boolean;
}

/** None is a request, nor the beginning of one that may be. */
const GARBAGE: Readonly<Record<string, string>> = {
  'control characters': '\x00\x01garbage\r\n\r\n',
  'an answer': 'HTTP/1.1 200 OK\r\n\r\n',
  'a request with two framings': `POST ${EVIL} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n`,
  'a request without Host': `GET ${EVIL} HTTP/1.1\r\n\r\n`,
};

const NEXT = `GET ${EVIL} HTTP/1.1\r\nHost: h\r\n\r\n`;

function frame(type: number, streamId: number, payload: Uint8Array = new Uint8Array(0), flags = 0): Uint8Array {
  const writer = new ByteWriter();
  writeUnknownFrame(writer, { type, flags, streamId, payload });
  return writer.take();
}

/** What no client may say, whatever its streams are like (RFC 9113 §4.2, §5.1.1, §6). */
const FRAMES: Readonly<Record<string, Uint8Array>> = {
  'DATA on no stream': frame(FrameType.data, 0, new Uint8Array(4)),
  'HEADERS on a stream of a server’s': frame(FrameType.headers, 2, Uint8Array.of(0x82), 0x5),
  'CONTINUATION behind nothing': frame(FrameType.continuation, 1, Uint8Array.of(0x82), 0x4),
  'SETTINGS of five bytes': frame(FrameType.settings, 0, new Uint8Array(5)),
  'PING on a stream': frame(FrameType.ping, 1, new Uint8Array(8)),
  'RST_STREAM of a stream that never was': frame(FrameType.rstStream, 9, new Uint8Array(4)),
  'WINDOW_UPDATE of nothing': frame(FrameType.windowUpdate, 0, new Uint8Array(4)),
  PUSH_PROMISE: frame(FrameType.pushPromise, 1, Uint8Array.of(0, 0, 0, 2, 0x82), 0x4),
  'a frame that is too large': Uint8Array.of(0xff, 0xff, 0xff, FrameType.data, 0, 0, 0, 0, 1),
  'a request of HTTP/1': latin1Encode(NEXT),
};

export function garbageBatches(cell: Cell, sampling: Sampling): GarbageCase[][] {
  const cases: Omit<GarbageCase, 'target' | 'cell'>[] = [];
  const methods = Object.entries(REQUESTS);
  let turn = sampling.seed;
  const each = (what: string, text: string, isClose: boolean): void => {
    for (const position of sampledPositions(text.length, [1], sampling)) {
      // Nothing at all is garbage to nobody.
      if (position === 0 && !isClose) continue;
      const [method, request] = methods[turn++ % methods.length] as (typeof methods)[number];
      cases.push({
        name: `${cell.name}: ${method}, and ${what} behind it, ${position} of ${text.length}`,
        wrong: isClose ? 'behind close' : 'garbage',
        request: isClose ? { ...request, fields: [['Connection', 'close']] } : request,
        behind: latin1Encode(text.slice(0, position)),
        isAnswered: false,
      });
    }
  };
  if (cell.down.protocol === 'http1') {
    for (const [what, text] of Object.entries(GARBAGE)) each(what, text, false);
    each('another one behind Connection: close', NEXT, true);
  } else {
    for (const [what, behind] of Object.entries(FRAMES)) {
      for (const [method, request] of methods) {
        for (const isAnswered of [true, false]) {
          const name = `${cell.name}: ${method} ${isAnswered ? 'that is answered' : 'that is not answered'}, and ${what} behind it`;
          cases.push({ name, wrong: 'frames', request, behind, isAnswered });
        }
      }
    }
  }
  return [sampledRows(cell, cases, TLS_STRIDE, sampling).map((it, index) => ({ ...it, cell, target: `/case/${index}` }))];
}

/** One case under way. */
interface Run {
  readonly it: GarbageCase;
  readonly client: ClientEnd;
  readonly requests: OriginRequest[];
  asking: Asking | null;
}

export async function runGarbage(cases: readonly GarbageCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const world = new MatrixWorld(cell, { plant });
  let evil = 0;
  world.origin(cell.up, [EVIL], () => void evil++);
  const begin = async (it: GarbageCase): Promise<Run> => {
    const requests: OriginRequest[] = [];
    world.origin(cell.up, [it.target], (request) => void requests.push(request));
    return { it, client: await world.connect(), requests, asking: null };
  };
  const runs = await Promise.all(cases.map(begin));
  const answer = async (which: readonly Run[]): Promise<void> => {
    await world.settle();
    for (const { requests } of which)
      for (const request of requests) if (!request.isCancelled) request.play(answerScript(cell.up.protocol, FINE));
    await world.settle();
  };
  for (const run of runs) {
    const { bytes } = requestScript(cell.down.protocol, run.it.request, run.it.target);
    run.asking = run.client.askRaw(bytes, true);
  }
  await answer(runs.filter(({ it }) => it.isAnswered));
  for (const { it, client } of runs) {
    client.sayRaw(it.behind);
    if (it.wrong === 'garbage') client.end();
  }
  await world.settle();
  await answer(runs.filter(({ it }) => !it.isAnswered));
  await world.pass(4_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: garbageBreaches(world, run) }));
  const ends = await world.finish();
  if (evil > 0) ends.push(`${evil} requests that are none have come to an origin`);
  return findingsOf(findings, { name: `the world of ${cell.name}`, breaches: ends });
}

function garbageBreaches(world: MatrixWorld, { it, client, requests, asking }: Run): string[] {
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const seen = asking?.seen();
  const logs = world.logsOf(it.target);
  check(logs.length === 1, `logged ${logs.length} times`);
  check(requests.length === 1, `${requests.length} requests have come to the origin`);
  check(client.isOver, 'the connection of the client is still open');
  const isServed = it.wrong !== 'frames' || it.isAnswered;
  if (isServed) {
    check(seen?.status === 200 && seen.body === 'fine' && seen.ending === 'whole', `answered ${JSON.stringify(seen)}`);
    check(logs[0]?.outcome === 'completed', `logged as ${logs[0]?.outcome} (${logs[0]?.reason})`);
  } else {
    check(seen?.status === 0 && seen.ending === 'cut', `answered ${JSON.stringify(seen)}`);
    check(logs[0]?.source === 'downstream', `blamed on ${logs[0]?.source} (${logs[0]?.reason})`);
    check(logs[0]?.outcome === 'rejected', `logged as ${logs[0]?.outcome} (${logs[0]?.reason})`);
    check(requests[0]?.isCancelled === true, 'the request to the origin goes on');
  }
  const rest = seen?.rest ?? '';
  if (it.wrong === 'garbage') check(/^HTTP\/1\.1 400 [^]*\r\n\r\n/.test(rest), `behind the answer: ${JSON.stringify(rest)}`);
  if (it.wrong === 'behind close') check(rest === '', `behind the answer: ${JSON.stringify(rest)}`);
  const code = client.goaways.at(-1);
  if (it.wrong === 'frames') check(code !== undefined && code !== 0, `GOAWAY says ${code}`);
  return breaches;
}
