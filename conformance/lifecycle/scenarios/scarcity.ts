/** Too little of something: descriptors (M1), heap (M2), room on a disk, a reader of standard output (M11, M12). */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCommand } from '@ferrata/tools/peers';
import { freshConnections, keptConnections } from '../clients/http1.ts';
import { Http1Connection, openSocket } from '../http1-connection.ts';
import { sumOf } from '../process-figures.ts';
import type { Scenario, Stage } from '../scenario.ts';
import type { Target } from '../targets.ts';

const GET = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n');

/** @returns null if a new connection is answered */
async function problemOfOne(target: Target, timeoutMs = 20_000): Promise<string | null> {
  let connection: Http1Connection | null = null;
  try {
    connection = await Http1Connection.open(target.load.http);
    const { status } = await connection.exchange({ bytes: GET, timeoutMs });
    return status === 200 ? null : `status ${status}`;
  } catch (error) {
    return String(error);
  } finally {
    connection?.close();
  }
}

/** Time in which processor time is counted, and how much of it connections that do nothing may cost: a loop that does not rest takes all there is. */
const SPAN_MS = 2_000;
const MOST_MORE_MS = 400;

/** Of the processes that serve, in so long. */
async function processorTime(target: Target): Promise<number> {
  const before = sumOf(target.server.descendants()).processorMs;
  await delay(SPAN_MS);
  return sumOf(target.server.descendants()).processorMs - before;
}

/** More connections than there are descriptors: idle ones make room, the process lives, and it recovers by itself. */
async function runDescriptors(stage: Stage): Promise<void> {
  if (!hasCommand('prlimit')) {
    stage.skip('256 descriptors', 'prlimit (util-linux) must be there');
    return;
  }
  const target = await stage.start({ threads: 2, wrapper: ['prlimit', '--nofile=256:256'] });
  const idleMs = await processorTime(target);
  const idle: Socket[] = [];
  let refused = 0;
  for (let index = 0; index < 400; index++) {
    try {
      const socket = await openSocket(target.load.http);
      socket.on('error', () => undefined);
      socket.write(GET);
      idle.push(socket);
    } catch {
      refused++;
    }
    if (index % 20 === 0) await delay(5);
  }
  stage.must('nobody is refused', refused === 0, `${refused} were`);
  // Whoever has no descriptor to accept with must not ask again and again.
  const busyMs = await processorTime(target);
  stage.figure(`${busyMs - idleMs} ms more of processor time in ${SPAN_MS} ms than when idle`);
  stage.must(
    'it does not turn for nothing',
    busyMs < idleMs + MOST_MORE_MS,
    `${busyMs} ms of processor time in ${SPAN_MS} ms, ${idleMs} when idle`,
  );
  let served = 0;
  for (let index = 0; index < 20; index++) if ((await problemOfOne(target)) === null) served++;
  stage.must('whoever comes new is served, idle ones make room', served >= 18, `${served} of 20`);
  stage.must('it lives', target.server.ending === null, target.server.output.slice(-400));
  for (const socket of idle) socket.destroy();
  const isWell = await target.server.until(async () => (await problemOfOne(target)) === null, 30_000);
  stage.must('it recovers by itself', isWell, (await problemOfOne(target)) ?? '');
  const load = stage.load(target, [freshConnections({ pauseMs: 2 }), keptConnections({ pauseMs: 2 })]);
  await load.goesOn(200);
  await load.stop();
  stage.nothingFailed('behind it nothing fails', load.tally);
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

/**
 * A heap that is nearly full, and then one that is too small for what a worker is made to hold. First the worker sheds in stages, lives and recovers; at worst it
 * goes, and another comes.
 */
async function runHeap(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, maxOldGenerationMb: 64 });
  const load = stage.load(target, [keptConnections({ pauseMs: 5 }), keptConnections({ pauseMs: 5 }), freshConnections({ pauseMs: 5 })]);
  await load.hasBegun();
  let from = target.server.output.length;
  target.sabotageWorker('fill');
  for (const level of ['tight', 'critical']) {
    const isShort = await target.server.says(new RegExp(`memory is running out \\(${level}\\)`), 20_000, from);
    stage.must(`a heap that is nearly full: it is ${level}`, isShort, target.server.output.slice(from));
  }
  const isShed = await target.server.until(() => load.tally.failures.some(({ reason }) => reason === 'status 503'), 15_000);
  stage.must('a heap that is nearly full: requests are shed', isShed, 'none was answered by 503');
  target.releaseWorkers();
  stage.must('it recovers', await target.server.says(/memory is no longer short/, 20_000, from), target.server.output.slice(from));
  const [filled] = target.sabotaged();
  const shed = load.tally.failures.filter(({ reason, servedBy }) => reason !== 'status 503' || (servedBy !== null && servedBy !== filled));
  stage.must('all that was not answered was shed by it', shed.length === 0, JSON.stringify(shed[0]));
  stage.must('its worker lives', (await restarts(target)) === 0, target.server.output.slice(from));
  from = target.server.output.length;
  target.sabotageWorker('heap');
  const isTold = await target.server.says(/worker \d+.*(?:heap|memory)/i, 30_000, from);
  stage.must('it is told of', isTold, target.server.output.slice(from));
  await target.server.until(async () => (await restarts(target)) > 0, 30_000);
  const isWhole = await target.server.until(async () => {
    const { value } = await target.server.admin('GET', '/workers');
    return (value['workers'] as readonly { readonly state: string }[]).every(({ state }) => state === 'running');
  }, 60_000);
  stage.must('all workers are there again', isWhole, target.server.output.slice(from));
  await load.goesOn(50);
  await load.stop();
  stage.count(load.tally);
  const [, dead] = target.sabotaged();
  const strangers = load.tally.failures.filter(({ reason, servedBy }) => reason !== 'status 503' && servedBy !== null && servedBy !== dead);
  stage.must('only its own connections fail', strangers.length === 0, JSON.stringify(strangers[0]));
  const refused = load.tally.failures.filter(({ reason }) => reason.startsWith('connect '));
  stage.must('nobody is refused', refused.length === 0, JSON.stringify(refused[0]));
  stage.must('the process is the same', target.server.descendants().length === 1, `${target.server.descendants().length}`);
  stage.check('it stops in order', await target.stop());
}

/** How often workers have been replaced. */
async function restarts(target: Target): Promise<number> {
  const { value } = await target.server.admin('GET', '/workers');
  return (value['workers'] as readonly { readonly restarts: number }[]).reduce((sum, worker) => sum + worker.restarts, 0);
}

/** A file for its pid where none can be written; a standard output that is full, closed, or never read. */
async function runSinks(stage: Stage): Promise<void> {
  // A full disk, as far as a write is concerned.
  const full = openSync('/dev/full', 'w');
  try {
    const target = await stage.start({ threads: 1, process: { stdout: full, readyLine: null } });
    const isUp = await target.server.until(async () => await isReady(target), 60_000);
    stage.must('a full standard output: it serves', isUp, target.server.output.slice(-400));
    stage.check('a full standard output: it stops in order', await target.stop());
  } finally {
    closeSync(full);
  }
  const pidFile = join(stage.rig.folder, `sinks-${stage.targetName}.pid`);
  const target = await stage.start({ threads: 1, pidFile });
  stage.must(
    'the pid file has the pid of the process that was started',
    readFileSync(pidFile, 'utf8').trim() === String(target.server.pid),
    readFileSync(pidFile, 'utf8'),
  );
  target.server.closeOutput();
  for (let index = 0; index < 5; index++) stage.check(`closed outputs: request ${index}`, await problemOfOne(target));
  target.configure({ message: 'm2' });
  target.server.signal('SIGHUP');
  target.sabotageWorker('die');
  const isTaken = await target.server.until(async () => target.sabotaged().length > 0 && (await restarts(target)) > 0, 30_000);
  stage.must('closed outputs: a worker that dies is replaced', isTaken, 'it was not');
  stage.must('closed outputs: it lives', target.server.ending === null, 'it has ended');
  const isWell = await target.server.until(async () => (await problemOfOne(target)) === null, 30_000);
  stage.must('closed outputs: it serves', isWell, (await problemOfOne(target)) ?? '');
  stage.check('closed outputs: it stops in order', await target.stop());
  const inTheWay = join(stage.rig.folder, 'a-folder.pid');
  mkdirSync(inTheWay);
  for (const [name, path] of [
    ['a folder is there', inTheWay],
    ['no such folder', '/nowhere/at/all.pid'],
  ] as const) {
    const failing = await stage.rig.startEcho({ threads: 1, pidFile: path, process: { readyLine: null } });
    const ending = await failing.server.exit(60_000);
    stage.must(
      `pid file, ${name}: ends with 1`,
      ending?.code === 1,
      `${ending?.code ?? ending?.signal}: ${failing.server.output.slice(-400)}`,
    );
    stage.must(`pid file, ${name}: says why`, failing.server.output.includes(path), failing.server.output.slice(-400));
    await failing.kill();
  }
  await fullDisk(stage);
}

async function isReady(target: Target): Promise<boolean> {
  try {
    return (await target.server.admin('GET', '/ready', 10_000)).status === 200;
  } catch {
    return false;
  }
}

/** A disk that is full: a file system of two pages, which the file for the pid finds taken. */
async function fullDisk(stage: Stage): Promise<void> {
  const name = 'pid file, a full disk';
  const disk = join(stage.rig.folder, 'full-disk');
  mkdirSync(disk);
  const mount = `mount -t tmpfs -o size=8k tmpfs ${disk} && head -c 65536 /dev/zero > ${disk}/filling; exec "$0" "$@"`;
  if (spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', disk]).status !== 0) {
    stage.skip(name, 'a file system of its own needs root and `unshare --mount`');
    return;
  }
  const target = await stage.rig.startEcho({
    threads: 1,
    pidFile: join(disk, 'server.pid'),
    wrapper: ['unshare', '--mount', 'sh', '-c', mount],
    process: { readyLine: null },
  });
  const ending = await target.server.exit(60_000);
  stage.must(`${name}: ends with 1`, ending?.code === 1, `${ending?.code ?? ending?.signal}: ${target.server.output.slice(-400)}`);
  stage.must(`${name}: says why`, /pid.*(?:ENOSPC|no space)/i.test(target.server.output), target.server.output.slice(-400));
  await target.kill();
}

/** More than a pipe between two processes holds, and what Node reads ahead of it. */
const PIPE_BYTES = 500_000;

/** An output that nobody reads, while the server has very much to tell. */
async function runSlowOutput(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, hasAccessLog: true });
  target.server.holdOutput();
  const load = stage.load(target, [keptConnections(), keptConnections(), keptConnections(), freshConnections()]);
  await load.hasBegun();
  if (stage.targetName === 'echo-server') {
    // Each reload that is refused is told of, with the name of what there is not.
    target.writeConfig(JSON.stringify({ ['x'.repeat(20_000)]: 1 }));
    let told = 0;
    for (let index = 0; index < 40; index++) told += String((await target.server.admin('POST', '/reload')).value['why']).length;
    stage.must('it had more to tell than a pipe holds', told > PIPE_BYTES, `${told} bytes`);
  } else {
    // Each request is a line of some hundred bytes.
    await load.goesOn(PIPE_BYTES / 100);
  }
  // Whoever waits for a pipe that nobody reads waits for ever.
  stage.check('it serves', await problemOfOne(target));
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  target.server.signal('SIGTERM');
  const ending = await target.server.exit(60_000);
  stage.must('it ends though nobody reads', ending?.code === 0, String(ending?.code ?? ending?.signal ?? 'it has not ended'));
}

/** Too little of something. */
export const scarcity: readonly Scenario[] = [
  { id: 'no-descriptors', targets: ['echo-server', 'reverse'], isHeavy: false, run: runDescriptors },
  { id: 'no-heap', targets: ['echo-server'], isHeavy: false, run: runHeap },
  { id: 'no-sinks', targets: ['echo-server'], isHeavy: false, run: runSinks },
  { id: 'slow-output', targets: ['echo-server', 'reverse'], isHeavy: false, run: runSlowOutput },
];
