/** PROXY headers that are none, are cut, or come from whom nobody has asked: C10 of the fault list. "The PROXY protocol, versions 1 & 2". */
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import type { L4Sink, L4Stream, StreamAddress } from '@ferrata/stream';
import { Door } from './door.ts';
import { type Cell, type Sampling, sampledPositions } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld } from './matrix-world.ts';
import { type Answer, answerScript, type Request, requestScript } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

const SOURCE: StreamAddress = { kind: 'ip', host: '203.0.113.9', port: 4_711 };
/** The proxy in front, which is believed, and somebody who is not. */
const FRONT: StreamAddress = { kind: 'ip', host: '10.1.0.1', port: 1_024 };
const STRANGER: StreamAddress = { kind: 'ip', host: '192.0.2.66', port: 1_024 };

/** How long a header is waited for. */
const TIMEOUT_MS = 5_000;

/** The same addresses in binary (§2.2): signature, PROXY over TCP/IPv4, the length of what follows, addresses, ports. */
const VERSION_2: readonly number[] = [
  13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, 33, 17, 0, 12, 203, 0, 113, 9, 198, 51, 100, 1, 18, 103, 1, 187,
];

const HEADERS: Readonly<Record<string, Uint8Array>> = {
  'version 1': latin1Encode('PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n'),
  'version 2': Uint8Array.from(VERSION_2),
};

/** Version 2 with a length of `bytes`, in place of the true one (§2.2). */
function withLength(bytes: number): Uint8Array {
  return Uint8Array.from(VERSION_2.with(14, bytes >>> 8).with(15, bytes & 0xff));
}

/** What is no header, to its end. */
const WRONG: Readonly<Record<string, Uint8Array>> = {
  'none at all': latin1Encode('GET /evil HTTP/1.1\r\nHost: h\r\n\r\n'),
  'the preface of HTTP/2': latin1Encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  'a line of 108 bytes (§2.1)': latin1Encode(`PROXY TCP4 ${'1'.repeat(95)}\r\n`),
  'a line without an end': latin1Encode(`PROXY UNKNOWN ${'x'.repeat(200)}`),
  'a port that is none': latin1Encode('PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n'),
  'an address that is none': latin1Encode('PROXY TCP4 1.2.3.456 5.6.7.8 1 2\r\n'),
  'a family that does not fit': latin1Encode('PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n'),
  'version 3': Uint8Array.from(VERSION_2.with(12, 0x31)),
  'a length below that of its addresses': withLength(4),
  'a length beyond the limit': withLength(0xffff),
  'a checksum that is wrong (§2.2.3)': Uint8Array.from([...VERSION_2.with(15, 19), 0x03, 0, 4, 0, 0, 0, 0]),
};

/** How it goes on behind what was said. */
type Behind = 'end' | 'reset' | 'stall';

export interface DoorCase {
  readonly name: string;
  readonly cell: Cell;
  readonly from: StreamAddress;
  readonly bytes: Uint8Array;
  /** Null: a request follows. */
  readonly behind: Behind | null;
  /** It is let in, and the request is served. */
  readonly isFine: boolean;
}

export function doorBatches(cell: Cell, sampling: Sampling): DoorCase[][] {
  const of = (what: string, bytes: Uint8Array, more: Partial<DoorCase>): DoorCase => ({
    name: `${cell.name}: ${what}`,
    cell,
    from: FRONT,
    bytes,
    behind: null,
    isFine: false,
    ...more,
  });
  const whole = Object.entries(HEADERS);
  const cut = whole.flatMap(([what, header]) =>
    sampledPositions(header.length - 1, [], sampling).flatMap((position) =>
      (['end', 'reset', 'stall'] as const).map((behind) =>
        of(`${what}: ${behind} at ${position} of ${header.length}`, header.slice(0, position), { behind }),
      ),
    ),
  );
  return [
    [
      ...whole.map(([what, header]) => of(what, header, { isFine: true })),
      ...whole.map(([what, header]) => of(`${what} from a stranger`, header, { from: STRANGER })),
      ...Object.entries(WRONG).map(([what, bytes]) => of(what, bytes, {})),
      ...cut,
    ],
  ];
}

/** A client's end below TLS: what it hears where nothing is to be said. */
class Silent implements L4Sink {
  readonly stream: L4Stream;
  heard = '';
  isOver = false;

  constructor(stream: L4Stream) {
    this.stream = stream;
    stream.attach(this);
  }
  onData(chunk: Uint8Array): void {
    this.heard += latin1Decode(chunk, 0, chunk.length);
  }
  onDrain(): void {}
  onEnd(): void {
    this.isOver = true;
  }
  onClose(): void {
    this.isOver = true;
  }
}

/** What the client of a case has heard, and whether its connection is over. */
interface Told {
  readonly heard: string;
  readonly isOver: boolean;
}

/** One case under way. */
interface Run {
  readonly it: DoorCase;
  readonly told: () => Told;
}

/** @param trusted whose headers are believed */
export async function runDoor(cases: readonly DoorCase[], trusted: readonly string[] | 'all' = ['10.0.0.0/8']): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const seenFrom: string[] = [];
  const world = new MatrixWorld(cell, {
    hooks: { earlyRequestFilter: ({ client }) => void seenFrom.push(JSON.stringify(client.remoteAddress)) },
  });
  world.origin(cell.up, ['/fine', '/evil'], (request) => request.play(answerScript(cell.up.protocol, FINE)));
  const door = new Door(world, { trusted, timeoutMs: TIMEOUT_MS });
  const runs = await Promise.all(cases.map((it) => begin(door, it)));
  await world.settle();
  await world.pass(TIMEOUT_MS - 100);
  const early = runs.map(({ told }) => told());
  await world.pass(200);
  const findings = runs.map(({ it, told }, index) => ({ name: it.name, breaches: breachesOf(it, early[index] as Told, told()) }));
  const ends: string[] = [];
  const fine = cases.filter(({ isFine }) => isFine).length;
  const isTheSource = seenFrom.every((from) => from === JSON.stringify(SOURCE));
  if (seenFrom.length !== fine || !isTheSource) ends.push(`requests have begun from ${seenFrom.join()}, and ${fine} ought to`);
  const { headerFailedCount } = door.listener;
  if (headerFailedCount !== cases.length - fine)
    ends.push(`${headerFailedCount} headers are counted as failed, not ${cases.length - fine}`);
  await door.close();
  ends.push(...(await world.finish()));
  return findingsOf(findings, { name: `the world of ${cell.name}`, breaches: ends });
}

async function begin(door: Door, it: DoorCase): Promise<Run> {
  const line = door.connect(it.from);
  line.write(it.bytes.slice());
  if (it.isFine) {
    const client = await door.client(line);
    const asking = client.ask('/fine', GET);
    return { it, told: () => ({ heard: asking.seen().body, isOver: client.isOver }) };
  }
  const silent = new Silent(line);
  if (it.behind === null) line.write(requestScript(it.cell.down.protocol, GET, '/evil').bytes);
  else if (it.behind === 'end') line.end();
  else if (it.behind === 'reset') line.abort();
  return { it, told: () => ({ heard: silent.heard, isOver: silent.isOver }) };
}

function breachesOf({ isFine, behind }: DoorCase, early: Told, late: Told): string[] {
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const { heard } = late;
  check(heard === (isFine ? 'fine' : ''), `it was told ${JSON.stringify(heard)}`);
  if (behind === 'stall') check(!early.isOver, 'the connection has ended too early');
  else check(early.isOver !== isFine, isFine ? 'the connection has ended' : 'the connection did not end at once');
  check(late.isOver !== isFine, isFine ? 'the connection has ended' : 'the connection is still open');
  return breaches;
}
