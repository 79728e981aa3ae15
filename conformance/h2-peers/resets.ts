/**
 * One side gives an exchange up while others run on the same connection: the other side must learn of it, an answer that is cut short must not
 * look whole, and the others must not notice (RFC 9113 §5.4.2, invariant I7).
 */
import { inTime } from '../http1-peers/deadline.ts';
import { type Outcome, outcomeOf } from '../runner.ts';
import type { ActClient, Begun } from './act-clients.ts';
import { type ActKind, actBytes, type Endings, PART_BYTES, pathOf } from './acts.ts';
import type { Where } from './where.ts';

/** A way from a client to a server that does what paths say. */
export interface ActRoute {
  readonly name: string;
  readonly open: (where: Where) => ActClient;
  readonly where: Where;
  readonly endings: Endings;
  /** A proxy of ours stands in front of a server that knows REFUSED_STREAM. */
  readonly asksAgain: boolean;
}

/** Exchanges that run meanwhile, and how much each of them fetches: more than a window. */
const OTHERS = 12;
const OTHER_BYTES = 150_000;

/** More than is sent before a cut. */
const CUT_BYTES = PART_BYTES * 4;

type Scene = (act: ActKind, route: ActRoute, client: ActClient, token: string) => Promise<string | null>;

/** The client gives it up at a place. */
const givesUp =
  (sends: 'nothing' | 'part', place: 'at once' | 'after the head' | 'after a turn'): Scene =>
  async (act, route, client, token) => {
    const begun = await client.begin(pathOf(act, token, CUT_BYTES), sends);
    if (place === 'after the head') await inTime('the head', begun.head);
    // Until the server has seen it; what it never saw it need not see end.
    if (place === 'after a turn') await until(() => route.endings.countOf(token) > 0);
    begun.reset();
    if (await isWhole(begun)) return 'the answer that was given up is whole';
    if (place === 'at once') return null;
    const ending = await inTime('the end at the server', route.endings.of(token));
    return ending === 'cut' ? null : 'the server was not told';
  };

/** The server gives it up behind a part of the body. */
const isCut: Scene = async (act, _route, client, token) => {
  const begun = await client.begin(pathOf(act, token, CUT_BYTES), 'nothing');
  return (await isWhole(begun)) ? 'an answer that was cut short looks whole' : null;
};

const SCENES: Readonly<Record<string, readonly [act: ActKind, scene: Scene]>> = {
  'client/at-once': ['hold', givesUp('nothing', 'at once')],
  'client/before-the-answer': ['hold', givesUp('nothing', 'after a turn')],
  'client/within-the-body': ['stream', givesUp('nothing', 'after the head')],
  'client/within-its-upload': ['hold', givesUp('part', 'after a turn')],
  'client/within-both': ['stream', givesUp('part', 'after the head')],
  'server/within-the-body': ['cut', isCut],
};

/** Every scene on a route, each amid others. @param token makes one that nobody had */
export async function runResets(route: ActRoute, token: () => string, isWanted: (id: string) => boolean): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const client = route.open(route.where);
  for (const [name, [act, scene]] of Object.entries(SCENES)) {
    const id = `${route.name}/reset/${name}`;
    if (isWanted(id)) outcomes.push(await outcomeOf(id, async () => await amidOthers(client, token, scene(act, route, client, token()))));
  }
  const id = `${route.name}/reset/server/refused`;
  if (route.asksAgain && isWanted(id)) outcomes.push(await outcomeOf(id, async () => await refusedOnce(route, client, token())));
  await client.close();
  return outcomes;
}

async function amidOthers(client: ActClient, token: () => string, scene: Promise<string | null>): Promise<string | null> {
  const others = Array.from({ length: OTHERS }, () => fetched(client, token()));
  const problem = await scene;
  const problems = [problem, ...(await Promise.all(others)), await fetched(client, token())].filter((one) => one !== null);
  return problems.length === 0 ? null : [...new Set(problems)].join('; ');
}

/** One that must come whole. */
async function fetched(client: ActClient, token: string): Promise<string | null> {
  try {
    const begun = await client.begin(pathOf('bytes', token, OTHER_BYTES), 'nothing');
    const body = await inTime('another answer', begun.whole);
    return Buffer.compare(body, actBytes(token, OTHER_BYTES)) === 0 ? null : `another answer has ${body.length} bytes that are not its own`;
  } catch (error) {
    return `another exchange: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** REFUSED_STREAM says that nothing was done, so a proxy asks again (RFC 9113 §8.7). */
async function refusedOnce(route: ActRoute, client: ActClient, token: string): Promise<string | null> {
  const begun = await client.begin(pathOf('refuse', token, 500), 'nothing');
  const body = await inTime('the answer', begun.whole);
  if (Buffer.compare(body, actBytes(token, 500)) !== 0) return 'another body';
  const count = route.endings.countOf(token);
  return count === 2 ? null : `the server was asked ${count} times`;
}

async function isWhole(begun: Begun): Promise<boolean> {
  return await inTime(
    'the end at the client',
    begun.whole.then(
      () => true,
      () => false,
    ),
  );
}

/** Turns of the event loop until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  const turns = async (): Promise<void> => {
    while (!isSo()) await new Promise<void>((resolve) => setTimeout(resolve, 1));
  };
  await inTime('the request at the server', turns());
}
