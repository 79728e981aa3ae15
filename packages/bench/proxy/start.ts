/** How what is measured is started: programs on Node that say when they are ready, and commands that are given a port. */
import { fileURLToPath } from 'node:url';
import { untilAccepting } from './ports.ts';
import type { ProcessGroup, RunningProcess } from './processes.ts';

export const FERRATA_COMMAND: string = fileURLToPath(new URL('../../ferrata/src/main.ts', import.meta.url));

/** How long a Node proxy may take until it prints that it is ready. */
const READY_TIMEOUT_MS = 60_000;

/** A proxy that is up. */
export interface RunningProxy {
  /** `http://127.0.0.1:PORT` of its listener. */
  readonly url: string;
  /** Its process; workers are its children. */
  readonly process: RunningProcess;
}

/** Where a proxy is started. */
export interface StartContext {
  readonly processes: ProcessGroup;
  /** URL of the origin. */
  readonly to: string;
  /** CPUs for the proxy, as `taskset -c` takes them; null: any. */
  readonly cores: string | null;
  /** Limit of open files in force. */
  readonly openFiles: number;
  /** Options of Node itself for a proxy that runs on it. Default none. */
  readonly nodeFlags?: readonly string[];
}

/**
 * Starts a Node program that prints `ready http://127.0.0.1:PORT`, or `ready https://…`.
 *
 * @throws {Error} with its last words when it ends before that, or takes too long
 */
export async function startNode(
  name: string,
  args: readonly string[],
  context: Pick<StartContext, 'processes' | 'cores' | 'nodeFlags'>,
): Promise<RunningProxy> {
  let announce: (url: string) => void = () => {};
  const ready = new Promise<string>((resolve) => {
    announce = resolve;
  });
  const running = await context.processes.start({
    name,
    command: process.execPath,
    args: [...(context.nodeFlags ?? []), ...args],
    cores: context.cores,
    onLine: (line) => {
      const match = /^ready (https?:\/\/\S+)$/.exec(line.trim());
      if (match?.[1] !== undefined) announce(match[1]);
    },
  });
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, READY_TIMEOUT_MS, null);
  });
  const url = await Promise.race([ready, tooLate, running.exited.then(() => null)]);
  clearTimeout(timer);
  if (url !== null) return { url, process: running };
  const reason =
    running.exitStatus === null ? `printed no "ready" line within ${READY_TIMEOUT_MS / 1000} s` : `ended with ${running.exitStatus}`;
  const lastWords = running.errorOutput;
  await running.kill();
  throw new Error(`${name} ${reason}${lastWords === '' ? '' : `:\n${lastWords}`}`);
}

/** A command that listens on a port that it is given. */
export interface ListeningCommand {
  /** Default: that of the command. */
  readonly name?: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  /** See `StartOptions.outputFile`. */
  readonly outputFile?: string;
}

/** Starts a command that listens. @throws {Error} with its last words when it does not */
export async function startCommand(
  { command, name = command, args, port, outputFile }: ListeningCommand,
  { processes, cores }: Pick<StartContext, 'processes' | 'cores'>,
): Promise<RunningProxy> {
  const running = await processes.start({ name, command, args, cores, ...(outputFile === undefined ? {} : { outputFile }) });
  await untilAccepting(running, port);
  return { url: `http://127.0.0.1:${port}`, process: running };
}
