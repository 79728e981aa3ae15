/**
 * The orderly end, with clients of all kinds of slowness (M8): what is under way ends, nothing is cut before the deadline, and the process ends as soon as nothing is
 * left. A second signal hastens it; SIGKILL of the process that serves costs its connections, and no others.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { openNodeHttp2 } from '../clients/http2.ts';
import { unexplained } from '../culprits.ts';
import { Http1Connection, openSocket } from '../http1-connection.ts';
import { lightClients } from '../mixes.ts';
import { monotonicMs } from '../monotonic.ts';
import { isPattern } from '../pattern.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { endingText } from '../server-process.ts';
import { reasonOf } from '../tally.ts';
import type { Target } from '../targets.ts';
import { HeldWebSocket } from './held-websocket.ts';
import { generationOf } from './upgrades.ts';

const MIB = 1_048_576;

/** So long that nothing of it is waited for, however slow the machine: a server that does not end early is seen by that. */
const GRACE_MS = 60_000;

/** Of a client: longer than anything that happens here, and shorter than the end of it all. */
const PATIENCE_MS = 45_000;

/** Runs something, and gives its problem as a text. */
async function problemOf(doing: Promise<unknown>): Promise<string | null> {
  try {
    const problem = await doing;
    return typeof problem === 'string' ? problem : null;
  } catch (error) {
    return reasonOf(error);
  }
}

async function get(target: Target, path: string, take?: (chunk: Buffer) => Promise<void> | undefined): Promise<string | null> {
  const connection = await Http1Connection.open(target.load.http);
  try {
    const bytes = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const { status } = await connection.exchange({ bytes, timeoutMs: PATIENCE_MS, ...(take === undefined ? {} : { onBody: take }) });
    return status === 200 ? null : `status ${status}`;
  } finally {
    connection.close();
  }
}

/** A request of which some bytes are sent now and the others later. */
async function inTwo(target: Target, first: string, second: string, later: Promise<unknown>, saysClose: boolean): Promise<string | null> {
  const connection = await Http1Connection.open(target.load.http);
  try {
    connection.socket.write(first);
    await later;
    const { status, body, fields } = await connection.exchange({ bytes: Buffer.from(second), timeoutMs: PATIENCE_MS });
    if (status !== 200) return `status ${status}`;
    // The head of an answer that had begun before could not say it.
    if (saysClose && fields.get('connection') !== 'close') return 'the answer does not say that the connection ends';
    return body.toString() === 'hello' ? null : `another body: ${body.toString()}`;
  } finally {
    connection.close();
  }
}

async function slowDownload(target: Target): Promise<string | null> {
  let position = 0;
  const problem = await get(target, `/bytes?n=${32 * MIB}`, (chunk) => {
    if (!isPattern(chunk, position)) throw new Error('wrong bytes');
    position += chunk.length;
    return position % (4 * MIB) < chunk.length ? delay(600) : undefined;
  });
  return problem ?? (position === 32 * MIB ? null : `${position} bytes`);
}

/** A hundred streams of one connection that wait for their answers. */
async function hundredStreams(target: Target, begun: () => void): Promise<string | null> {
  const { https } = target.load;
  if (https === null) return null;
  const session = await openNodeHttp2(https.port, https.ca);
  session.on('error', () => undefined);
  const closed = once(session, 'close');
  const goaways: number[] = [];
  session.on('goaway', (_code: number, lastStream: number) => goaways.push(lastStream));
  const all = Array.from({ length: 100 }, async () => {
    const stream = session.request({ ':path': '/slow?ms=5000' });
    return await new Promise<string | null>((resolve) => {
      let status = 0;
      let text = '';
      stream.on('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('error', (error: Error) => resolve(error.message));
      stream.on('close', () => resolve(status === 200 && text.length > 0 ? null : `status ${status}, reset with ${stream.rstCode}`));
    });
  });
  // Answered behind the heads of all streams: they are there.
  session.ping(() => begun());
  const problems = (await Promise.all(all)).filter((problem) => problem !== null);
  await closed;
  if (problems.length > 0) return `${problems.length} of 100: ${problems[0] ?? ''}`;
  // First a warning that refuses nothing, then the last stream that was taken: the client's hundredth (RFC 9113 §6.8).
  return goaways.join(' ') === `${2 ** 31 - 1} 199` ? null : `GOAWAY of ${goaways.join(' and ') || 'nothing'}`;
}

async function runStop(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: GRACE_MS });
  const stopped = Promise.withResolvers<void>();
  const head = 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n';
  const webSocket = await HeldWebSocket.open(target.load.http);
  const streams = Promise.withResolvers<void>();
  const isIdle = Promise.withResolvers<void>();
  const running = {
    'mid-head': problemOf(inTwo(target, head, '\r\nhello', stopped.promise, true)),
    'mid-body': problemOf(
      inTwo(
        target,
        `${head}\r\nhel`,
        'lo',
        stopped.promise.then(() => delay(1_000)),
        false,
      ),
    ),
    'a request on an idle connection': problemOf(idle(target, isIdle.resolve, stopped.promise)).finally(isIdle.resolve),
    'a late answer': problemOf(get(target, '/slow?ms=6000')),
    'a long download': problemOf(slowDownload(target)),
    'HTTP/2 with 100 streams': problemOf(hundredStreams(target, streams.resolve)).finally(streams.resolve),
    'a WebSocket': problemOf(talkOn(webSocket, stopped.promise)),
  };
  await Promise.all([streams.promise, isIdle.promise]);
  const count = Object.keys(running).length;
  const areThere = await target.server.until(async () => (await openConnections(target)) === count, 30_000);
  stage.must('all of them have been let in', areThere, `${await openConnections(target)} of ${count}`);
  const since = performance.now();
  target.server.signal('SIGTERM');
  // While these are under way it cannot have ended: who is refused then is refused by a server that stops.
  const isClosed = await target.server.until(async () => target.server.ending !== null || (await isRefused(target)), GRACE_MS);
  stage.must('nobody is let in any more', isClosed && target.server.ending === null, 'connections were accepted to the end');
  stage.figure(`closed after ${(performance.now() - since).toFixed(0)} ms`);
  stopped.resolve();
  for (const [name, problem] of Object.entries(running)) stage.check(name, await problem);
  const lastMs = performance.now() - since;
  const ending = await target.server.exit(GRACE_MS + 30_000);
  const tookMs = performance.now() - since;
  stage.must('it ends with 0', ending?.code === 0, `${endingText(ending)}: ${target.server.output.slice(-400)}`);
  stage.must(
    'it ends early',
    tookMs < GRACE_MS,
    `the last client was done after ${lastMs.toFixed(0)} ms, it ended after ${tookMs.toFixed(0)}`,
  );
  stage.must('no process is left', target.server.descendants().length === 0, `${target.server.descendants().length} are`);
  stage.figure(`ended ${Math.max(0, tookMs - lastMs).toFixed(0)} ms after its last client`);
}

/** A connection that has been idle, and asks once more while the server stops. */
async function idle(target: Target, begun: () => void, stopped: Promise<void>): Promise<string | null> {
  const connection = await Http1Connection.open(target.load.http);
  try {
    const bytes = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await connection.exchange({ bytes, timeoutMs: PATIENCE_MS });
    begun();
    await stopped;
    const { status, fields } = await connection.exchange({ bytes, timeoutMs: PATIENCE_MS });
    if (status !== 200) return `status ${status}`;
    return fields.get('connection') === 'close' ? null : 'the answer does not say that the connection ends';
  } finally {
    connection.close();
  }
}

async function talkOn(webSocket: HeldWebSocket, stopped: Promise<void>): Promise<string | null> {
  const before = await webSocket.echo('before');
  await stopped;
  const after = await webSocket.echo('while it stops');
  return before ?? after ?? (await webSocket.close());
}

/** Connections that the server counts, of all its services. */
async function openConnections(target: Target): Promise<number> {
  const { value } = await target.server.admin('GET', '/connections');
  const services = Object.values((value['services'] ?? {}) as Readonly<Record<string, { readonly connections: number }>>);
  return services.reduce((sum, { connections }) => sum + connections, 0);
}

async function isRefused(target: Target): Promise<boolean> {
  try {
    (await openSocket(target.load.http)).destroy();
    return false;
  } catch {
    return true;
  }
}

/** The deadline: what does not end by itself is cut then, and not before. */
async function runDeadline(stage: Stage): Promise<void> {
  const graceMs = 4_000;
  const target = await stage.start({ threads: 2, graceMs });
  const webSocket = await HeldWebSocket.open(target.load.http);
  stage.check('it talks', await webSocket.echo('before'));
  const since = performance.now();
  target.server.signal('SIGTERM');
  let answers = 0;
  while ((await webSocket.echo(`while it stops ${answers}`)) === null) {
    answers++;
    await delay(50);
  }
  const ending = await target.server.exit(60_000);
  stage.must('it still talks before the deadline', answers > 1, `${answers} answers`);
  // The server's clock began behind ours, and we see the end behind it: a slow machine makes this longer only.
  const cutMs = webSocket.endedAt - since;
  stage.must(
    'it is cut at the deadline',
    cutMs > graceMs - 50 && cutMs < Number.POSITIVE_INFINITY,
    `after ${cutMs.toFixed(0)} ms of ${graceMs}`,
  );
  stage.must('it ends with 0', ending?.code === 0, endingText(ending));
  stage.figure(`cut ${(cutMs - graceMs).toFixed(0)} ms behind the deadline`);
}

/** A balancer in front is to learn of the end first: readiness is false, and whoever still comes is served. */
async function runDelayed(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: GRACE_MS, preStopDelayMs: 15_000 });
  const load = stage.load(target, lightClients());
  await load.hasBegun();
  target.server.signal('SIGTERM');
  const isTold = await target.server.until(async () => (await target.server.admin('GET', '/ready')).status === 503, 15_000);
  stage.must('readiness is false before it closes', isTold, 'it stayed true');
  stage.must('connections are still accepted', !(await isRefused(target)), 'one was refused');
  await load.stop();
  stage.nothingFailed('nothing failed meanwhile', load.tally);
  const isClosed = await target.server.until(async () => target.server.ending !== null || (await isRefused(target)), 30_000);
  stage.must('then it closes', isClosed, 'it accepts on');
  const ending = await target.server.exit(30_000);
  stage.must('it ends with 0', ending?.code === 0, endingText(ending));
}

const WAYS = [
  { first: 'SIGTERM', second: 'SIGINT', code: 130 },
  { first: 'SIGTERM', second: 'SIGTERM', code: 143 },
  { first: 'SIGINT', second: 'SIGINT', code: 130 },
] as const;

/** A second signal. */
async function runSecondSignal(stage: Stage): Promise<void> {
  // What two signals mean is decided where no service is: once on each server, all pairs on one.
  for (const { first, second, code } of stage.targetName === 'echo-server' || stage.isLong ? WAYS : WAYS.slice(0, 1)) {
    const target = await stage.start({ threads: 2, graceMs: GRACE_MS });
    const webSocket = await HeldWebSocket.open(target.load.http);
    stage.check(`${first}, ${second}: it talks`, await webSocket.echo('before'));
    const since = performance.now();
    target.server.signal(first);
    // SIGINT is fast by itself: without a second one it cuts at once and ends with 0.
    if (first === 'SIGTERM') {
      const isStopping = await target.server.until(async () => await isRefused(target), 30_000);
      stage.must(`${first}, ${second}: the first stops it`, isStopping && target.server.ending === null, endingText(target.server.ending));
    }
    target.server.signal(second);
    const ending = await target.server.exit(GRACE_MS);
    const tookMs = performance.now() - since;
    const allowed: readonly (number | null)[] = first === 'SIGINT' ? [0, code] : [code];
    stage.must(
      `${first}, ${second}: ends before the deadline`,
      tookMs < GRACE_MS / 2,
      `${endingText(ending)} after ${tookMs.toFixed(0)} ms`,
    );
    stage.must(`${first}, ${second}: exit code`, allowed.includes(ending?.code ?? null), `${endingText(ending)}, not ${code}`);
    const isAlone = await target.server.until(() => target.server.descendants().length === 0, 30_000);
    stage.must(`${first}, ${second}: nothing is left`, isAlone, `${target.server.descendants().length} processes`);
  }
}

/** What a death may cost of which nobody sees whose it was: three clients (a Unix socket, datagrams of two), and one connection for each of two workers' four sockets. */
const MOST_UNSEEN = 3 + 2 * 4;

/** A process that serves is killed from outside (M4): its connections break, nobody is refused, another takes its place. */
async function runKill(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: GRACE_MS, tellsAccepted: true });
  const load = stage.load(target, lightClients({ lostAfterMs: 5_000 }));
  await load.hasBegun();
  const killedAt = new Map<number, number>();
  for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGTERM'] as const) {
    const before = await generationOf(target);
    stage.must(`${signal}: one serves before`, before > 0, 'nobody says so');
    for (const pid of target.server.descendants()) {
      if (signal !== 'SIGTERM') killedAt.set(pid, monotonicMs());
      process.kill(pid, signal);
    }
    if (signal === 'SIGTERM') {
      // That is the keeper's business: the process that serves does not hear it.
      await load.goesOn(100);
      stage.must('SIGTERM to the process that serves changes nothing', (await generationOf(target)) === before, 'another process serves');
      continue;
    }
    const isReplaced = await target.server.until(async () => (await generationOf(target)) > before, 60_000);
    stage.must(`${signal}: another process serves`, isReplaced, target.server.output.slice(-400));
    await load.goesOn(100);
  }
  await load.stop();
  stage.count(load.tally);
  const refused = load.tally.failures.filter(
    ({ reason }) => reason.startsWith('connect ECONNREFUSED') || reason.includes('no connection in time'),
  );
  stage.must('nobody is refused', refused.length === 0, `${refused.length} were, as ${JSON.stringify(refused[0])}`);
  stage.check('counts', load.tally.imbalance());
  const diedAt = (by: string): number | null => killedAt.get(Number(by.split('.')[0])) ?? null;
  const wrong = unexplained(load.tally.failures, target.accepted(), diedAt, killedAt.size * MOST_UNSEEN);
  stage.check('only connections of the processes that were killed failed', wrong);
  stage.must('some were under way', load.tally.failures.length > 0, 'nothing failed: nobody died, or nothing was sent');
  stage.check('it stops in order', await target.stop());
}

/** The keeper itself is killed: what it started ends by itself after 5 s, long before the deadline of an end in order. */
async function runOrphans(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: GRACE_MS });
  const webSocket = await HeldWebSocket.open(target.load.http);
  stage.check('it talks', await webSocket.echo('before'));
  const keeper = target.server.pid;
  target.server.signal('SIGKILL');
  await target.server.exit(30_000);
  const isAlone = await target.server.until(() => target.server.descendants().length === 0, GRACE_MS / 2);
  stage.must('nothing is left behind', isAlone, `${target.server.descendants().length} processes of ${keeper}`);
}

/** The end in order. */
export const stops: readonly Scenario[] = [
  { id: 'stop', targets: ['echo-server', 'reverse'], isHeavy: false, run: runStop },
  { id: 'stop-deadline', targets: ['echo-server', 'reverse'], isHeavy: false, run: runDeadline },
  { id: 'stop-delayed', targets: ['echo-server'], isHeavy: false, run: runDelayed },
  { id: 'stop-hastened', targets: ['echo-server', 'reverse'], isHeavy: false, run: runSecondSignal },
  { id: 'generation-killed', targets: ['echo-server', 'reverse'], isHeavy: false, run: runKill },
  { id: 'keeper-killed', targets: ['echo-server', 'reverse'], isHeavy: false, run: runOrphans },
];
