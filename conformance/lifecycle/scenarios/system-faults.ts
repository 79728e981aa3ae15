/** System calls that fail now and then (M16), as strace has them fail: the server lives, or ends with a reason. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installCommand, type PeerProgram, providePrograms } from '@ferrata/tools/peers';
import { freshConnections, keptConnections } from '../clients/http1.ts';
import type { Scenario, Stage } from '../scenario.ts';

const STRACE: PeerProgram = { command: 'strace', debianPackage: 'strace', purpose: 'to have system calls fail' };

interface Fault {
  readonly name: string;
  /** As `strace --inject` wants it. */
  readonly inject: string;
  /** The client may see it as a failure of its own connection; never as a wrong answer. */
  readonly mayFail: boolean;
  /** In the long form only. */
  readonly isLong?: boolean;
}

const FAULTS: readonly Fault[] = [
  { name: 'accept4 ECONNABORTED', inject: 'accept4:error=ECONNABORTED:when=5+7', mayFail: true },
  { name: 'accept4 ENOBUFS', inject: 'accept4:error=ENOBUFS:when=5+7', mayFail: true, isLong: true },
  { name: 'accept4 EMFILE', inject: 'accept4:error=EMFILE:when=5+7', mayFail: true },
  { name: 'writev EAGAIN', inject: 'writev:error=EAGAIN:when=5+7', mayFail: false },
  { name: 'write EINTR', inject: 'write:error=EINTR:when=50+97', mayFail: false, isLong: true },
  { name: 'writev EPIPE', inject: 'writev:error=EPIPE:when=10+17', mayFail: true },
  { name: 'epoll_ctl ENOMEM', inject: 'epoll_ctl:error=ENOMEM:when=40+200', mayFail: true },
  { name: 'writev ECONNRESET', inject: 'writev:error=ECONNRESET:when=10+17', mayFail: true },
];

async function run(stage: Stage): Promise<void> {
  const missing = providePrograms([STRACE], (line) => stage.say(line));
  if (missing.length > 0) {
    stage.skip('strace', `${STRACE.debianPackage} is missing; install it with: ${installCommand(missing)}`);
    return;
  }
  const waiting = stage.isLong ? [...FAULTS] : FAULTS.filter(({ isLong }) => isLong !== true);
  const lane = async (): Promise<void> => {
    for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) await runOne(stage, fault);
  };
  await Promise.all([lane(), lane()]);
}

async function runOne(stage: Stage, { name, inject, mayFail }: Fault): Promise<void> {
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
    const clients = [{}, {}, { bodyBytes: 200 }, { bodyBytes: 20_000 }];
    const load = stage.load(
      target,
      clients.map(({ bodyBytes }) =>
        bodyBytes === undefined ? freshConnections({ pauseMs: 5 }) : keptConnections({ pauseMs: 5, bodyBytes }),
      ),
    );
    await delay(stage.isLong ? 5_000 : 2_000);
    const isServing = await target.server.until(() => load.tally.answered > 20, 30_000);
    await load.stop();
    stage.count(load.tally);
    stage.check(`${name}, counts`, load.tally.imbalance());
    stage.must(`${name}: it serves`, isServing, `${load.tally.answered} answers; ${load.tally.failureText()}`);
    stage.must(`${name}: it lives`, target.server.ending === null, target.server.output.slice(-400));
    const wrong = load.tally.failures.filter(({ reason }) => /token|body|bytes/.test(reason));
    stage.must(`${name}: no wrong answer`, wrong.length === 0, JSON.stringify(wrong[0]));
    if (!mayFail) stage.must(`${name}: nobody notices`, load.tally.failed + load.tally.cut === 0, load.tally.failureText());
    const times = readFileSync(record, 'latin1').split('(INJECTED)').length - 1;
    stage.must(`${name}: calls did fail`, times > 0, 'none did');
    stage.figure(`${name} ${times} times`);
  } finally {
    await target.kill();
  }
}

/** System calls that fail. */
export const systemFaults: Scenario = { id: 'system-faults', targets: ['echo-server'], isHeavy: false, run };
