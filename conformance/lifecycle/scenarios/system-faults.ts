/** System calls that fail now and then (M16), as strace has them fail: the server lives, or ends with a reason. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCommand, installCommand, type PeerProgram } from '@ferrata/tools/peers';
import { freshConnections, keptConnections } from '../clients/http1.ts';
import type { LoadClient } from '../load.ts';
import type { Scenario, Stage } from '../scenario.ts';

const STRACE: PeerProgram = { command: 'strace', debianPackage: 'strace', purpose: 'to have system calls fail' };

interface Fault {
  readonly name: string;
  /** As `strace --inject` wants it. */
  readonly inject: string;
  /** How many clients may see one failing call as a failure of their own connections; never as a wrong answer. */
  readonly mostHurt: number;
  /** In the long form only. */
  readonly isLong?: boolean;
}

/** Two with a new connection each time, two that keep theirs, with small bodies and larger ones. */
const CLIENTS: readonly LoadClient[] = [
  freshConnections({ pauseMs: 5 }),
  freshConnections({ pauseMs: 5 }),
  keptConnections({ pauseMs: 5, bodyBytes: 200 }),
  keptConnections({ pauseMs: 5, bodyBytes: 20_000 }),
];

/** More than what fails at the start. */
const ENOUGH_ANSWERS = 200;

const FAULTS: readonly Fault[] = [
  { name: 'accept4 ECONNABORTED', inject: 'accept4:error=ECONNABORTED:when=5+7', mostHurt: 1 },
  { name: 'accept4 ENOBUFS', inject: 'accept4:error=ENOBUFS:when=5+7', mostHurt: 1, isLong: true },
  // libuv accepts all that wait then, and closes them.
  { name: 'accept4 EMFILE', inject: 'accept4:error=EMFILE:when=5+7', mostHurt: CLIENTS.length },
  { name: 'writev EAGAIN', inject: 'writev:error=EAGAIN:when=5+7', mostHurt: 0 },
  { name: 'write EINTR', inject: 'write:error=EINTR:when=50+97', mostHurt: 0, isLong: true },
  { name: 'writev EPIPE', inject: 'writev:error=EPIPE:when=10+17', mostHurt: 1 },
  // libuv gives up where it cannot watch a socket: the process ends, and another takes its place.
  { name: 'epoll_ctl ENOMEM', inject: 'epoll_ctl:error=ENOMEM:when=40+200', mostHurt: CLIENTS.length },
  { name: 'writev ECONNRESET', inject: 'writev:error=ECONNRESET:when=10+17', mostHurt: 1 },
];

async function run(stage: Stage): Promise<void> {
  if (!hasCommand(STRACE.command)) {
    stage.skip('strace', `${STRACE.debianPackage} is missing; install it with: ${installCommand([STRACE])}`);
    return;
  }
  const waiting = stage.isLong ? [...FAULTS] : FAULTS.filter(({ isLong }) => isLong !== true);
  const lane = async (): Promise<void> => {
    for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) await runOne(stage, fault);
  };
  await Promise.all([lane(), lane()]);
}

async function runOne(stage: Stage, { name, inject, mostHurt }: Fault): Promise<void> {
  const [call = ''] = inject.split(':');
  const record = join(stage.rig.folder, `strace-${name.replace(' ', '-')}`);
  const strace = ['strace', '--follow-forks', '--seccomp-bpf', '--quiet=all', '--signal=none'] as const;
  const target = await stage.rig
    .startEcho({
      threads: 1,
      // By seccomp the kernel stops it for this call only: all others are as fast as ever.
      wrapper: [...strace, `--output=${record}`, `--trace=${call}`, `--inject=${inject}`],
    })
    .catch((error: unknown) => (error instanceof Error ? error : new Error(String(error))));
  if (target instanceof Error) {
    // A controlled end with a reason is allowed, if it is one.
    stage.must(`${name}: starts, or says why not`, target.message.includes('echo: '), target.message);
    return;
  }
  try {
    const load = stage.load(target, CLIENTS);
    const injected = (): number => readFileSync(record, 'latin1').split('(INJECTED)').length - 1;
    const enough = stage.isLong ? 5 * ENOUGH_ANSWERS : ENOUGH_ANSWERS;
    const isServing = await target.server.until(() => load.tally.answered >= enough && injected() > 0, 60_000);
    await load.stop();
    stage.count(load.tally);
    stage.check(`${name}, counts`, load.tally.imbalance());
    stage.must(`${name}: it serves`, isServing, `${load.tally.answered} answers; ${load.tally.failureText()}`);
    stage.must(`${name}: it lives`, target.server.ending === null, target.server.output.slice(-400));
    const wrong = load.tally.failures.filter(({ reason }) => /token|body|bytes/.test(reason));
    stage.must(`${name}: no wrong answer`, wrong.length === 0, JSON.stringify(wrong[0]));
    const times = injected();
    stage.must(`${name}: calls did fail`, times > 0, 'none did');
    const hurt = load.tally.failed + load.tally.cut;
    stage.must(`${name}: nobody else notices`, hurt <= times * mostHurt, `${hurt} by ${times} calls: ${load.tally.failureText()}`);
    stage.figure(`${name} ${times} times, ${hurt} hurt`);
  } finally {
    await target.kill();
  }
}

/** System calls that fail. */
export const systemFaults: Scenario = { id: 'system-faults', targets: ['echo-server'], isHeavy: false, programs: [STRACE], run };
