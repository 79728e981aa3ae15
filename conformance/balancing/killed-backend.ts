/** One of three real backends is killed under load, and comes back: nobody is to notice, and it is to be used again soon. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, get, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { LoadBalancer, tcpCheck } from '@ferrata/load-balancing';
import { balance, HttpProxy } from '@ferrata/proxy';
import { killOnExit } from '../rig/clean-up.ts';
import { askProcess, endProcess } from '../rig/peer-process.ts';
import { serve } from '../rig/serve.ts';
import { type Outcome, outcomeOf } from '../runner.ts';
import type { BackendWord } from './backend-program.ts';

const BACKENDS = 3;
const VICTIM = 1;
const CLIENTS = 16;
/** Between two requests of a client: what is to be seen is who is asked, not how many can be. */
const PAUSE_MS = 8;
const INTERVAL_MS = 500;
const JITTER = 0.1;
/** A tick of the timers, a check, and other work of the machine. */
const SLACK_MS = 300;

/** When what happens, ms from the start. */
const PLAN = { killMs: 1_200, returnMs: 3_000, endMs: 5_000 } as const;

class Backend {
  readonly child: ChildProcess;
  readonly started: BackendWord;

  private constructor(child: ChildProcess, started: BackendWord) {
    this.child = child;
    this.started = started;
  }

  static async start(port: number): Promise<Backend> {
    const child = fork(fileURLToPath(new URL('backend-program.ts', import.meta.url)), [String(port)]);
    killOnExit(child);
    const [started] = (await Promise.race([once(child, 'message'), once(child, 'exit').then(() => [null])])) as [BackendWord | null];
    if (started === null) throw new Error('a backend did not start');
    return new Backend(child, started);
  }

  async word(): Promise<BackendWord> {
    const word = await askProcess(this.child, 'how many?');
    if (word === null) throw new Error('a backend says nothing');
    return word as BackendWord;
  }
}

/** What clients have seen. */
interface Tally {
  sent: number;
  answered: number;
  readonly problems: Map<string, number>;
}

/** Plays it once. */
export async function checkKilledBackend(): Promise<readonly Outcome[]> {
  const backends = await Promise.all(Array.from({ length: BACKENDS }, () => Backend.start(0)));
  const { port } = (backends[VICTIM] as Backend).started;
  const environment = new HttpEnvironment();
  const balancer = new LoadBalancer({
    environment,
    backends: backends.map(({ started }) => ({ address: `127.0.0.1:${started.port}` })),
    health: { check: tcpCheck(), intervalMs: INTERVAL_MS, jitter: JITTER, timeoutMs: 300 },
    outliers: { consecutiveFailures: 3, baseEjectionMs: INTERVAL_MS, maxEjectionMs: INTERVAL_MS },
  });
  balancer.start();
  // A third of what is under way is lost at once, which is more than the budget of retries is by default.
  const proxy = new HttpProxy(balance(balancer), { environment, maxRetries: 1, retryShare: 1 });
  const serving = await serve(new HttpServer(proxy, { environment }));
  const agent = new Agent({ keepAlive: true, maxSockets: CLIENTS });
  const tally: Tally = { sent: 0, answered: 0, problems: new Map() };
  const startedAt = performance.now();
  const until = async (ms: number): Promise<void> => await delay(Math.max(0, startedAt + ms - performance.now()));
  try {
    const clients = Array.from({ length: CLIENTS }, () => client(agent, serving.port, tally, startedAt + PLAN.endMs));
    await until(PLAN.killMs);
    const before = await (backends[VICTIM] as Backend).word();
    await endProcess((backends[VICTIM] as Backend).child);
    await until(PLAN.killMs + 1_200);
    const wasSeen = !balancer.isReady(balancer.backends[VICTIM] ?? raise());
    await until(PLAN.returnMs);
    const returned = await Backend.start(port);
    backends[VICTIM] = returned;
    await Promise.all(clients);
    const after = await returned.word();
    const left = balancer.backends.reduce((sum, backend) => sum + balancer.stateOf(backend).inflight, 0);
    return await Promise.all([
      outcomeOf('killed backend/no request fails', () =>
        tally.problems.size === 0 && tally.answered === tally.sent
          ? null
          : `of ${tally.sent} sent ${tally.answered} were answered; ${[...tally.problems].map(([what, count]) => `${count} × ${what}`).join(', ')}`,
      ),
      outcomeOf('killed backend/there was load, and it was shared', () =>
        tally.sent >= 2_000 && before.requests >= 100
          ? null
          : `${tally.sent} requests in all, ${before.requests} at the backend before it was killed`,
      ),
      outcomeOf('killed backend/it is not ready while it is gone', () => (wasSeen ? null : 'it counts as ready')),
      outcomeOf('killed backend/it is used again within an interval and its jitter', () => {
        const afterMs = after.firstAt === null ? Infinity : after.firstAt - after.listensSince;
        return afterMs <= INTERVAL_MS * (1 + JITTER) + SLACK_MS && after.requests >= 50
          ? null
          : `the first request came ${afterMs} ms after it was back, ${after.requests} in all`;
      }),
      outcomeOf('killed backend/nothing counts as under way afterwards', () => (left === 0 ? null : `${left} do`)),
    ]);
  } finally {
    agent.destroy();
    await serving.close();
    proxy.close();
    balancer.close();
    await Promise.all(backends.map(async ({ child }) => await endProcess(child)));
  }
}

async function client(agent: Agent, port: number, tally: Tally, until: number): Promise<void> {
  while (performance.now() < until) {
    tally.sent++;
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        get({ agent, host: '127.0.0.1', port, path: '/' }, resolve).on('error', reject);
      });
      let text = '';
      for await (const chunk of response.setEncoding('latin1')) text += String(chunk);
      if (response.statusCode === 200 && text === 'served') tally.answered++;
      else note(tally, `status ${String(response.statusCode)}`);
    } catch (thrown) {
      note(tally, thrown instanceof Error ? thrown.message : String(thrown));
    }
    await delay(PAUSE_MS);
  }
}

function note({ problems }: Tally, what: string): void {
  problems.set(what, (problems.get(what) ?? 0) + 1);
}

function raise(): never {
  throw new Error('the balancer has lost a backend');
}
