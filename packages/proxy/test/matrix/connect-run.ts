/** Runs origins that can't be connected to, side by side, and judges what became of their requests. */
import { faulty, type L4Stream, memoryPair, tapped } from '@ferrata/stream';
import type { Asking } from './client-end.ts';
import { type ConnectCase, expectedOf } from './connect-plan.ts';
import type { Cell } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type OriginOptions } from './matrix-world.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
/** Not to be seen by any client. */
const EVIL = 'evil';
const ANSWER: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: [EVIL], trailers: [] };

/** Signatures of ECDSA are a few bytes longer or shorter, by chance: so much less of a handshake is sure to be less than all of it. */
const LEEWAY = 8;

/** How many bytes an origin of a cell says until the proxy's handshake with it is whole; 0 without TLS. */
export async function flightBytesOf(cell: Cell): Promise<number> {
  if (cell.up.carrier !== 'tls') return 0;
  const world = new MatrixWorld(cell);
  let bytes = 0;
  let flight = 0;
  const line = (stream: L4Stream): L4Stream => {
    let writes = 0;
    return tapped(stream, {
      onData: (chunk) => void (bytes += chunk.length),
      // The first is the ClientHello, the second what ends the handshake.
      onWrite: () => {
        if (++writes === 2) flight = bytes;
      },
    });
  };
  world.origin(cell.up, ['/'], (request) => request.play(answerScript(cell.up.protocol, ANSWER)), { line });
  const client = await world.connect();
  client.ask('/', GET);
  await world.settle();
  await world.finish();
  return flight - LEEWAY;
}

/** One case under way. */
interface Run {
  readonly it: ConnectCase;
  readonly target: string;
  readonly origin: Origin;
  readonly asking: Asking;
}

export async function runConnects(cases: readonly ConnectCase[]): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell);
  const begin = async (it: ConnectCase, index: number): Promise<Run> => {
    const target = `/case/${index}`;
    const script = answerScript(it.cell.up.protocol, ANSWER);
    const origin = world.origin(it.cell.up, [target], (request) => request.play(script), optionsOf(it));
    const client = await world.connect();
    return { it, target, origin, asking: client.ask(target, GET) };
  };
  const runs = await Promise.all(cases.map(begin));
  await world.settle();
  const early = runs.filter(({ it, target }) => expectedOf(it).waitMs === 0 && world.logsOf(target).length === 0);
  await world.pass(11_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: breachesOf(world, run) }));
  for (const { it } of early) findings.push({ name: it.name, breaches: ['it was not answered at once'] });
  const ends = await world.finish(true);
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: ends });
}

function optionsOf({ fault }: ConnectCase): OriginOptions {
  switch (fault.kind) {
    case 'refused':
      return { connect: () => Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })) };
    case 'black hole':
      return { connect: () => new Promise(() => {}) };
    case 'plaintext':
      return { connect: async () => plaintext() };
    case 'handshake':
      return { line: (stream) => faulty(stream, [fault.fault]) };
  }
}

/** An origin that speaks before it is asked, and without TLS. */
function plaintext(): L4Stream {
  const { a, b } = memoryPair();
  b.attach({ onData() {}, onDrain() {}, onEnd: () => b.end(), onClose() {} });
  b.write(Uint8Array.from(Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n${EVIL}`)));
  return a;
}

function breachesOf(world: MatrixWorld, { it, target, origin, asking }: Run): string[] {
  const { statuses } = expectedOf(it);
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const seen = asking.seen();
  const [log, ...more] = world.logsOf(target);
  check(log !== undefined && more.length === 0, `logged ${more.length + (log === undefined ? 0 : 1)} times`);
  check(statuses.includes(seen.status), `answered ${seen.status}, not ${statuses.join(' or ')}`);
  check(log?.status === seen.status, `logged with status ${log?.status}`);
  const outcome = seen.status === 504 ? 'timeout' : 'upstream_error';
  check(log?.outcome === outcome, `logged as ${log?.outcome} (${log?.reason}), not ${outcome}`);
  check(log?.source === 'upstream', `blamed on ${log?.source}`);
  check(seen.ending === 'whole', `the answer is ${seen.ending}`);
  check(!seen.body.includes(EVIL), `the client has seen ${JSON.stringify(seen.body)}`);
  check(
    origin.connections.every(({ requests }) => requests.length === 0),
    'a request has come to the origin',
  );
  return breaches;
}
