/**
 * The main thread of a generation, as a process: its channel, its descriptors, its threads, and its end.
 *
 * It carries no traffic. An exception that nobody caught here ends the process with exit code 70: what state it is in then nobody knows, the sockets are the keeper's, and
 * another generation takes over.
 */
import type { Readable } from 'node:stream';
import { systemClock } from '@ferrata/clock';
import { describeThrown } from '../describe-thrown.ts';
import type { ServerPlan } from '../server-plan.ts';
import { Generation } from './generation.ts';
import { reportHang } from './hang-report.ts';
import { ProcessChannel } from './keeper-channel.ts';
import { processDescriptors } from './process-descriptors.ts';
import { ProgramThreads } from './worker-thread.ts';

/** The exit code of a generation whose main thread met an exception that nobody caught; `EX_SOFTWARE` of sysexits. */
export const UNCAUGHT_EXIT_CODE = 70;

/** For what was written and sent to leave the process. */
const FLUSH_LIMIT_MS = 1_000;

/** A process that does not end by itself when everything is over (a timer of the program's) is ended after this. */
const LINGER_MS = 1_000;

/**
 * Runs a generation to its end, in a process that a keeper has spawned.
 *
 * @returns 0: ended in order, or sockets were missing · 1: could not start, or the keeper was gone · 2: configuration wrong
 */
export async function runSupervisor(plan: ServerPlan): Promise<number> {
  const channel = new ProcessChannel();
  const threads = new ProgramThreads(plan.moduleUrl, plan.options.name, plan.options.workers);
  const generation = new Generation(plan, {
    channel,
    clock: systemClock,
    startThread: threads.start,
    reportHang: (threadId) => reportHang(threadId, systemClock),
    descriptors: processDescriptors,
  });
  for (const output of [process.stdout, process.stderr]) {
    // A disk that is full or a reader that is gone ends no server. What workers write then is dropped, or it would fill their memory.
    output.on('error', () => {});
    output.on('unpipe', (source: Readable) => source.resume());
  }
  // The wake-ups of a clock keep no process alive, and there are moments when nothing else does: every worker is waiting to be replaced, say.
  const alive = setInterval(() => {}, 2 ** 30);
  const handleUncaught = (thrown: unknown): void => {
    process.exitCode = UNCAUGHT_EXIT_CODE;
    try {
      const text = `an exception in the main thread that nobody caught: ${describeThrown(thrown)}; this process ends, and another takes its place`;
      generation.notify({ severity: 'error', text });
    } finally {
      void atMost(channel.sent()).then(() => process.exit(UNCAUGHT_EXIT_CODE));
    }
  };
  // Rejections that nobody handles come here too.
  process.on('uncaughtException', handleUncaught);

  const code = await generation.run();
  await atMost(threads.outputEnd());
  await atMost(Promise.all([written(process.stdout), written(process.stderr), channel.sent()]));
  // A thread that hangs in the kernel lets no process exit: Node would wait for it. Everything has been said.
  if (threads.liveCount > 0) process.kill(process.pid, 'SIGKILL');
  clearInterval(alive);
  if (process.connected) process.disconnect();
  setTimeout(() => process.exit(), LINGER_MS).unref();
  return code;
}

async function written(stream: NodeJS.WriteStream): Promise<void> {
  if (stream.writableLength === 0) return;
  // The callback comes after everything written before, also when that fails.
  await new Promise<void>((resolve) => void stream.write('', () => resolve()));
}

async function atMost(done: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, FLUSH_LIMIT_MS);
    const finish = (): void => {
      clearTimeout(timer);
      resolve();
    };
    done.then(finish, finish);
  });
}
