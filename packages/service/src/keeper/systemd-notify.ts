/**
 * Tells systemd of the server's state, for units of `Type=notify`: sd_notify(3).
 *
 * Node has no datagrams over Unix sockets, so the program `systemd-notify`, which is a part of systemd, sends them: the unit needs `NotifyAccess=all`. One runs at
 * a time, so that what is told arrives in order; of each kind only the last one waits. (Not of all kinds together: a unit of `Type=notify-reload` must hear both that a
 * reload has begun and that it has ended.)
 */
import { spawn } from 'node:child_process';
import { textOf } from '@ferrata/error';
import { currentEnvironment, type Environment } from '../environment.ts';
import { describeEnd } from './generation-process.ts';
import { noServiceManager, type ServiceManager } from './service-manager.ts';

/** A notifier that has not ended by then is given up: systemd does not read its socket. */
const NOTIFIER_TIMEOUT_MS = 10_000;

/** Runs `systemd-notify` with such arguments. @returns null when it has told them, or why it could not; a rejection says so, too */
export type RunNotifier = (notifySocket: string, args: readonly string[]) => Promise<string | null>;

/** What `serviceManager` works with. */
export interface ServiceManagerOptions {
  readonly env: Environment;
  readonly pid: number;
  /** Called once at most: the first failure says all. */
  readonly onTrouble: (text: string) => void;
  readonly run?: RunNotifier;
  /** Microseconds of CLOCK_MONOTONIC, which systemd compares with its own. */
  readonly monotonicUsec?: () => bigint;
}

/** Names of the variables, none of which is for the processes that are spawned. */
export const notifyVariables = ['NOTIFY_SOCKET', 'WATCHDOG_USEC', 'WATCHDOG_PID'] as const;

/** The service manager that the environment names; nobody, if it names none. */
export function serviceManager(options: ServiceManagerOptions): ServiceManager {
  const socket = options.env['NOTIFY_SOCKET'];
  return socket === undefined || socket === '' ? noServiceManager : new Systemd(socket, options);
}

class Systemd implements ServiceManager {
  readonly watchdogMs: number | null;
  readonly #socket: string;
  readonly #options: ServiceManagerOptions;
  readonly #run: RunNotifier;
  /** What is still to be told: a newer message of a kind takes the place of an older one that waits, at the end. */
  readonly #waiting = new Map<string, readonly string[]>();
  #isRunning = false;
  #hasComplained = false;

  constructor(socket: string, options: ServiceManagerOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#run = options.run ?? runNotifier;
    this.watchdogMs = watchdogOf(options);
  }

  ready(status: string): void {
    this.#tell('ready', ['READY=1', `MAINPID=${this.#options.pid}`, statusLine(status)]);
  }

  reloading(status: string): void {
    const usec = this.#options.monotonicUsec?.() ?? process.hrtime.bigint() / 1_000n;
    this.#tell('reloading', ['RELOADING=1', `MONOTONIC_USEC=${usec}`, statusLine(status)]);
  }

  stopping(status: string): void {
    this.#tell('stopping', ['STOPPING=1', statusLine(status)]);
  }

  status(status: string): void {
    this.#tell('status', [statusLine(status)]);
  }

  feedWatchdog(): void {
    this.#tell('watchdog', ['WATCHDOG=1']);
  }

  #tell(kind: string, message: readonly string[]): void {
    this.#waiting.delete(kind);
    this.#waiting.set(kind, message);
    if (!this.#isRunning) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#isRunning = true;
    for (;;) {
      const next = this.#waiting.entries().next().value;
      if (next === undefined) break;
      this.#waiting.delete(next[0]);
      const why = await this.#run(this.#socket, next[1]).catch(textOf);
      // What comes next is tried all the same: a machine under load may fail one of them.
      if (why === null || this.#hasComplained) continue;
      this.#hasComplained = true;
      this.#options.onTrouble(`systemd cannot be told how the server is: ${why}`);
    }
    this.#isRunning = false;
  }
}

/** Why a configuration is no good may be told at any length, and an argument of a program may not. */
const MAX_STATUS_LENGTH = 1_000;

/** A line end would begin another variable, and a NUL ends an argument. */
function statusLine(status: string): string {
  return `STATUS=${status
    .slice(0, MAX_STATUS_LENGTH)
    .toWellFormed()
    .replaceAll(/[\u0000-\u001f\u007f]+/g, ' ')}`;
}

function watchdogOf({ env, pid }: ServiceManagerOptions): number | null {
  const { WATCHDOG_USEC: usec, WATCHDOG_PID: owner } = env;
  if (usec === undefined || !/^[1-9][0-9]{0,15}$/.test(usec)) return null;
  // Meant for another process of the unit.
  if (owner !== undefined && owner !== String(pid)) return null;
  return Number(usec) / 1_000;
}

const runNotifier: RunNotifier = (notifySocket, args) =>
  new Promise((resolve) => {
    const child = spawn('systemd-notify', [...args], {
      env: { PATH: currentEnvironment()['PATH'], NOTIFY_SOCKET: notifySocket },
      stdio: 'ignore',
    });
    // Node's own `timeout` would keep the process alive when the program cannot be run at all.
    const killer = setTimeout(() => child.kill('SIGKILL'), NOTIFIER_TIMEOUT_MS);
    const end = (why: string | null): void => {
      clearTimeout(killer);
      resolve(why);
    };
    child.on('error', (error) => end(`systemd-notify could not be run: ${error.message}`));
    child.on('exit', (code, signal) => end(code === 0 ? null : `systemd-notify ${describeEnd({ code, signal, why: null })}`));
  });
