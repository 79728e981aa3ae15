/** Origins that do not read what is sent to them: U17 of the fault list. What the proxy holds meanwhile is measured, and bounded. */
import { latin1Decode } from '@ferrata/bytes';
import { SettingId } from '@ferrata/http2-framing';
import { rechunked } from '@ferrata/stream';
import { positionalBytes } from '@ferrata/testkit';
import type { ClientEnd, Upload } from './client-end.ts';
import { type Cell, hasTls, isPlain, type Sampling, sampledPositions } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Origin, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript } from './scripts.ts';

/** Each connection, each stream, and what is kept for another try: so much is full. */
const HIGH_WATER_BYTES = 8_192;
/** Within one turn of the event loop so much comes before anybody looks whether there is room: see `maxLookAheadBytes` of @ferrata/http. */
const TURN_BYTES = 16_384;
/** Node’s TLS reads on until its own stream and the one below it are full, whatever is full above them; and a record more (RFC 8446 §5.1). */
const TLS_BYTES = 2 * 65_536 + 16_384;

const PIECE_BYTES = 1_024;
/** More than may be held, but for TLS on one side and wrappers on the other. */
const PIECES = 64;
const PIECES_OVER_TLS = 384;
/** So many bytes lie between the places where origins stop. */
const STRIDE = 9_173;

const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

export interface PressureCase {
  readonly name: string;
  readonly cell: Cell;
  /** Bytes of what it is sent that the origin reads, of a body where windows count. */
  readonly position: number;
  /** It reads on after a while. */
  readonly isPatient: boolean;
}

/** Wherever it stops, it reads on, or not; where there are wrappers or TLS, at the first byte and at one other. */
export function pressureBatches(cell: Cell, { seed }: Sampling): PressureCase[][] {
  const most = (PIECES * PIECE_BYTES) / 2;
  const positions = isPlain(cell) ? sampledPositions(most, [1], { stride: STRIDE, seed }) : [0, 1 + (seed % most)];
  const cases = positions.flatMap((position) =>
    [true, false].map((isPatient) => {
      const name = `${cell.name}: the origin stops at ${position}${isPatient ? ', and reads on' : ' for ever'}`;
      return { name, cell, position, isPatient };
    }),
  );
  return [cases];
}

/** U17: twice what makes one side full, and what is under way. */
export function mostHeldOf({ down, up }: Cell): number {
  const tls = (down.carrier === 'tls' ? TLS_BYTES : 0) + (up.carrier === 'tls' ? TLS_BYTES : 0);
  return 2 * HIGH_WATER_BYTES + TURN_BYTES + tls;
}

/** One case under way. */
interface Run {
  readonly it: PressureCase;
  readonly target: string;
  readonly body: string;
  readonly client: ClientEnd;
  readonly upload: Upload;
  readonly origin: Origin;
  readonly requests: OriginRequest[];
  held: number;
}

export async function runPressure(cases: readonly PressureCase[], plant: Plant = {}): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const { cell } = first;
  const world = new MatrixWorld(cell, {
    plant,
    carriers: { highWaterBytes: HIGH_WATER_BYTES, pieceBytes: PIECE_BYTES },
    proxy: { maxReplayBytes: HIGH_WATER_BYTES },
    server: { http2: { connection: { initialWindowBytes: HIGH_WATER_BYTES, isWindowGrowthEnabled: false } } },
  });
  const runs = await Promise.all(cases.map((it, index) => begin(world, it, index)));
  const flow = async (): Promise<void> => {
    let before: number;
    do {
      before = world.carriers.activity;
      for (const { upload } of runs) upload.goOn();
      await world.settle();
    } while (world.carriers.activity !== before);
  };
  await world.settle();
  await flow();
  for (const run of runs) run.held = run.client.carried.taken() - (run.origin.connections[0]?.carried.given() ?? 0);
  for (const { it, origin } of runs) if (it.isPatient) for (const connection of origin.connections) connection.readOn();
  await flow();
  for (const { requests } of runs) for (const request of requests) if (request.isWhole) request.play(answerScript(cell.up.protocol, FINE));
  await world.settle();
  await world.pass(75_000);
  const findings = runs.map((run) => ({ name: run.it.name, breaches: breachesOf(world, run) }));
  return findingsOf(findings, { name: `the world of ${cell.name}`, breaches: await world.finish() });
}

async function begin(world: MatrixWorld, it: PressureCase, index: number): Promise<Run> {
  const { cell, position } = it;
  const target = `/case/${index}`;
  const requests: OriginRequest[] = [];
  // The first piece that an origin is sent is the last that it reads.
  // Byte by byte that would take too long.
  const isVirtual = cell.down.carrier === 'virtual' || cell.up.carrier === 'virtual';
  const count = hasTls(cell) && !isVirtual ? PIECES_OVER_TLS : PIECES;
  const sizes = [position, ...Array.from({ length: count + 8 }, () => PIECE_BYTES)];
  const origin = world.origin(cell.up, [target], (request) => void requests.push(request), {
    onConnection: (connection) => connection.stopAt(position),
    ...(position === 0 || cell.up.carrier === 'tls' ? {} : { line: (stream) => rechunked(stream, { outgoing: sizes }) }),
    h2: { settings: [[SettingId.initialWindowSize, position]] },
    peer: cell.up.protocol === 'http2' ? { http2: { connection: { sendHighWaterBytes: HIGH_WATER_BYTES } } } : {},
  });
  const body = latin1Decode(positionalBytes(count * PIECE_BYTES, index), 0, count * PIECE_BYTES);
  const pieces = Array.from({ length: count }, (_, at) => body.slice(at * PIECE_BYTES, (at + 1) * PIECE_BYTES));
  const client = await world.connect();
  return { it, target, body, client, upload: client.upload(target, pieces), origin, requests, held: 0 };
}

function breachesOf(world: MatrixWorld, { it, target, body, upload, origin, requests, held }: Run): string[] {
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const most = mostHeldOf(it.cell);
  check(held <= most, `${held} bytes were held, more than ${most}`);
  const seen = upload.seen();
  const [log, ...more] = world.logsOf(target);
  check(more.length === 0, `logged ${more.length + 1} times`);
  check(origin.connections.length === 1, `${origin.connections.length} connections`);
  if (it.isPatient) {
    check(seen.status === 200 && seen.body === 'fine', `answered ${seen.status}`);
    check(log?.outcome === 'completed', `logged as ${log?.outcome} (${log?.reason})`);
    check(requests[0]?.body === body, `the origin has ${requests[0]?.body.length} bytes, or others`);
    return breaches;
  }
  check(seen.status === 504 && seen.ending === 'whole', `answered ${seen.status}, ${seen.ending}`);
  check(log?.outcome === 'timeout' && log.source === 'upstream', `logged as ${log?.outcome} (${log?.reason}) of ${log?.source}`);
  check(
    requests.every(({ isWhole }) => !isWhole),
    'a part looks whole to the origin',
  );
  return breaches;
}
