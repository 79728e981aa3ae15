/** Connections that stand idle, at the cap: C9 of the fault list. What ten thousand of them cost is in the benches of ferrata. */
import type { Asking, ClientEnd } from './client-end.ts';
import { type Cell, isPlain, type Sampling } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld, type Plant } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript, type Request } from './scripts.ts';

const GET: Request = { method: 'GET', framing: 'none', pieces: [], trailers: [] };
const FINE: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['fine'], trailers: [] };

/** The cap. */
const PLACES = 4;
/** Of all patterns, one in so many is run where there are wrappers or TLS, beside the two that are all busy and all idle. */
const OTHER_STRIDE = 11;

export interface IdleCase {
  readonly name: string;
  readonly cell: Cell;
  /** Of each connection, in the order of their coming: it carries a request. */
  readonly busy: readonly boolean[];
}

/** Every pattern of busy and idle ones. */
export function idleBatches(cell: Cell, { seed }: Sampling): IdleCase[][] {
  const last = 2 ** PLACES - 1;
  const patterns = Array.from({ length: last + 1 }, (_, bits) => bits);
  const taken = patterns.filter((bits) => isPlain(cell) || bits === 0 || bits === last || (bits + seed) % OTHER_STRIDE === 0);
  return taken.map((bits) => {
    const busy = Array.from({ length: PLACES }, (_, index) => ((bits >> index) & 1) === 1);
    return [{ name: `${cell.name}: ${busy.map((isBusy) => (isBusy ? 'busy' : 'idle')).join(', ')}`, cell, busy }];
  });
}

/** @returns which connection makes room for one more: the one that came first of those that are idle; null: none is */
export function expectedOf({ busy }: IdleCase): number | null {
  const index = busy.indexOf(false);
  return index < 0 ? null : index;
}

export async function runIdle(cases: readonly IdleCase[], plant: Plant = {}): Promise<Finding[]> {
  const [it] = cases;
  if (it === undefined) return [];
  const { cell, busy } = it;
  const world = new MatrixWorld(cell, { plant, server: { maxConnections: PLACES } });
  const held: OriginRequest[] = [];
  world.origin(cell.up, ['/held'], (request) => void held.push(request));
  world.origin(cell.up, ['/fine'], (request) => request.play(answerScript(cell.up.protocol, FINE)));
  const clients: ClientEnd[] = [];
  for (let count = 0; count < PLACES; count++) clients.push(await world.connect());
  for (const client of clients) client.ask('/fine', GET);
  await world.settle();
  const askings = clients.map((client, index) => (busy[index] === true ? client.ask('/held', GET) : null));
  await world.settle();
  const newcomer = await world.connect();
  const asking = newcomer.ask('/fine', GET);
  await world.settle();
  const wereOver = clients.map(({ isOver }) => isOver);
  for (const request of held) request.play(answerScript(cell.up.protocol, FINE));
  await world.settle();
  const breaches = breachesOf(it, { wereOver, askings, newcomer: asking, isNewcomerOver: newcomer.isOver });
  return findingsOf([{ name: it.name, breaches }], { name: `the world of ${it.name}`, breaches: await world.finish() });
}

interface Observed {
  readonly wereOver: readonly boolean[];
  readonly askings: readonly (Asking | null)[];
  readonly newcomer: Asking;
  readonly isNewcomerOver: boolean;
}

function breachesOf(it: IdleCase, { wereOver, askings, newcomer, isNewcomerOver }: Observed): string[] {
  const breaches: string[] = [];
  const check = (holds: boolean, what: string): void => void (holds || breaches.push(what));
  const closed = expectedOf(it);
  wereOver.forEach((isOver, index) => {
    check(isOver === (index === closed), `connection ${index} is ${isOver ? 'over' : 'open'}`);
  });
  for (const [index, asking] of askings.entries()) {
    const seen = asking?.seen();
    check(seen === undefined || (seen.status === 200 && seen.ending === 'whole'), `request ${index} got ${JSON.stringify(seen)}`);
  }
  const { status } = newcomer.seen();
  check(status === (closed === null ? 0 : 200), `the newcomer got ${status}`);
  check(isNewcomerOver === (closed === null), `the newcomer's connection is ${isNewcomerOver ? 'over' : 'open'}`);
  return breaches;
}
