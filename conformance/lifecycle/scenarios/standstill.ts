/** Time that stands still: a worker whose event loop is blocked (M3), and a server that is stopped as a whole and goes on (M10). Nobody may be timed out for it. */
import { setTimeout as delay } from 'node:timers/promises';
import { Http1Connection } from '../http1-connection.ts';
import { lightClients } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { HeldWebSocket } from './held-websocket.ts';

async function runBlock(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2 });
  const load = stage.load(target, lightClients());
  const webSockets = await Promise.all(Array.from({ length: 8 }, () => HeldWebSocket.open(target.load.http)));
  await load.hasBegun();
  const from = target.server.output.length;
  target.sabotageWorker('block');
  // Long enough for a client's and a server's short limits to pass meanwhile.
  const longEnough = delay(stage.isLong ? 5_000 : 3_000);
  stage.must('a worker is blocked', await target.server.until(() => target.sabotaged().length === 1, 30_000), 'none was');
  // The other one serves; the queue is one, so whoever comes new is served. Until it is released it is blocked, however long that takes here.
  const connection = await Http1Connection.open(target.load.http);
  const { status } = await connection.exchange({ bytes: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), timeoutMs: 15_000 });
  connection.close();
  stage.must('whoever comes new is served meanwhile', status === 200, `status ${status}`);
  const isTold = await target.server.says(/does not turn its event loop/, 15_000, from);
  stage.must('it is told of', isTold, target.server.output.slice(from));
  await longEnough;
  target.releaseWorkers();
  for (const [index, webSocket] of webSockets.entries()) {
    stage.check(`connection ${index} lives on`, await webSocket.echo(`behind ${index}`));
    await webSocket.close();
  }
  await load.stop();
  stage.nothingFailed('nobody was timed out', load.tally);
  stage.say(target.server.output.slice(from).trim());
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

async function runPause(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2 });
  const load = stage.load(target, lightClients());
  const webSockets = await Promise.all(Array.from({ length: 4 }, () => HeldWebSocket.open(target.load.http)));
  await load.hasBegun();
  const everyone = [target.server.pid, ...target.server.descendants()];
  const [generation] = target.server.descendants();
  for (const [pids, ms] of [
    [everyone, stage.isLong ? 10_000 : 4_000],
    // Only the process that serves: the keeper must not take it for dead.
    [everyone.slice(1), 2_000],
  ] as const) {
    for (const pid of pids) process.kill(pid, 'SIGSTOP');
    await delay(ms);
    for (const pid of pids) process.kill(pid, 'SIGCONT');
    // An answer on each of its connections: it goes on.
    for (const [index, webSocket] of webSockets.entries()) {
      stage.check(`connection ${index} lives on after ${pids.length} were stopped`, await webSocket.echo(`behind ${ms}`));
    }
  }
  const isSame = generation !== undefined && target.server.descendants().includes(generation);
  stage.must('it is not taken for dead', isSame, 'another process serves');
  for (const webSocket of webSockets) await webSocket.close();
  await load.stop();
  stage.nothingFailed('nobody was timed out', load.tally);
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

/** Time that stands still. */
export const standstill: readonly Scenario[] = [
  { id: 'blocked-worker', targets: ['echo-server', 'reverse'], isHeavy: false, run: runBlock },
  { id: 'paused', targets: ['echo-server', 'reverse'], isHeavy: false, run: runPause },
];
