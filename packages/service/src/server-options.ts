/** Options of a server, with their defaults, checked once. */
import { writeSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { isAbsolute, resolve } from 'node:path';
import { textOf } from '@ferrata/error';
import { type NetAddress, parseAddress, toNetAddress } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import { isLoopback } from './loopback.ts';
import type { ListenAddress, Notice } from './service.ts';
import { checkOptionNames } from './suggest.ts';

/** A listener of a server that is ready. */
export interface ReadyListener {
  readonly service: string;
  readonly listen: ListenAddress;
  /** The address that it really has: for port 0, with the port that the kernel chose. */
  readonly address: StreamAddress;
}

/** Where the configuration of the services comes from. */
export interface ConfigSource<C> {
  /**
   * Gives the configuration: plain data that can be cloned to other threads. Called at the start (in the process that was started, and in the one that serves) and at each
   * reload. @throws whatever says what is wrong with it: the start or the reload is refused with that sentence
   */
  load(): C | Promise<C>;
}

/** Memory and life of the workers. */
export interface WorkerOptions {
  /** Heap of one worker for what lives long, in MiB; a worker that needs more dies and is replaced. Default: Node's, by the memory of the machine. */
  readonly maxOldGenerationMb?: number;
  /** Heap of one worker for what is new, in MiB. Default 32: fewer collections where many requests are under way at once; more costs that much memory for each worker. */
  readonly maxYoungGenerationMb?: number;
  /** A worker whose event loop stands still so long is told of, with what it was doing. Default 2 000. */
  readonly blockedWarningMs?: number;
  /** A worker whose event loop stands still so long is replaced. Default 30 000. `Infinity`: never. */
  readonly blockedLimitMs?: number;
  /** Delay before a worker that died is replaced: from, doubling to, back to the first after a quiet minute. Default 50 and 10 000. */
  readonly restartDelayMs?: number;
  readonly maxRestartDelayMs?: number;
  /**
   * What an exception that nobody caught does: `replace` ends the worker, and another takes its place; `report` tells of it, and the worker goes on, in whatever state
   * it is then. Default `replace`.
   */
  readonly uncaught?: 'replace' | 'report';
}

/** Options of a `Server`. Times in milliseconds. */
export interface ServerOptions<C = undefined> {
  /** What notices begin with. Default `server`. */
  readonly name?: string;
  readonly config?: ConfigSource<C>;
  /** Worker threads. Default: as many as the process may use processors (`availableParallelism`). 1 to 256. */
  readonly threads?: number;
  readonly workers?: WorkerOptions;
  /** Stopping in order: time for what runs to end. Default 300 000. What is done earlier ends earlier. */
  readonly graceMs?: number;
  /** Stopping in order: how long connections are still accepted, readiness being false already, so that a balancer in front learns of it. Default 0. */
  readonly preStopDelayMs?: number;
  /** An upgrade, or a reload that needs a new process: time for what runs in the old one. Default `graceMs`. */
  readonly upgradeGraceMs?: number;
  /** An upgrade: how long both accept. Default 0. */
  readonly upgradeOverlapMs?: number;
  /** How long a generation may take to become ready before it is given up. Default 60 000. */
  readonly readyTimeoutMs?: number;
  /** Written when the sockets are open and before `user` is taken on, removed at the end. Absolute, or relative to `workingDirectory`. Default: none. */
  readonly pidFile?: string;
  /** Absolute. Default: the one that the process was started in. */
  readonly workingDirectory?: string;
  /** Names or numbers to become when the sockets are open (Linux, macOS; needs root). `group` defaults to the user's own. Default: stay. */
  readonly user?: string | number;
  readonly group?: string | number;
  /** Where the admin endpoint listens: an address of loopback, or a Unix socket (made with mode 0o600). Default: off. */
  readonly admin?: string;
  /** Only looks at the configuration: `run` gives 0 if it would do, 2 if not, and opens nothing. Default false. */
  readonly test?: boolean;
  /** Called in the process that was started, when the first generation is ready. */
  readonly onReady?: (listeners: readonly ReadyListener[]) => void;
  /** Called in the process that was started, with everything worth telling. Default: a line on standard error, `name: text`. */
  readonly onNotice?: (notice: Notice) => void;
}

/** `ServerOptions` with every default filled in. Frozen, in depth. */
export interface ResolvedServerOptions {
  readonly name: string;
  /** Without one: a source that gives `undefined`. */
  readonly config: ConfigSource<unknown>;
  readonly threads: number;
  readonly workers: ResolvedWorkerOptions;
  readonly graceMs: number;
  readonly preStopDelayMs: number;
  readonly upgradeGraceMs: number;
  readonly upgradeOverlapMs: number;
  readonly readyTimeoutMs: number;
  /** Absolute; null: none. */
  readonly pidFile: string | null;
  /** Absolute; null: the one that the process was started in. */
  readonly workingDirectory: string | null;
  readonly user: string | number | null;
  readonly group: string | number | null;
  /** An address of loopback, or a Unix socket with its absolute path; null: off. */
  readonly admin: NetAddress | null;
  readonly test: boolean;
  readonly onReady: ((listeners: readonly ReadyListener[]) => void) | null;
  readonly onNotice: (notice: Notice) => void;
}

/** `WorkerOptions` with every default filled in. */
export interface ResolvedWorkerOptions {
  /** Null: Node's own. */
  readonly maxOldGenerationMb: number | null;
  readonly maxYoungGenerationMb: number;
  readonly blockedWarningMs: number;
  /** May be `Infinity`. */
  readonly blockedLimitMs: number;
  readonly restartDelayMs: number;
  readonly maxRestartDelayMs: number;
  readonly uncaught: 'replace' | 'report';
}

/** The longest time that Node's timers know: a longer one would be over at once. */
export const MAX_TIME_MS = 2_147_483_647;

/** From where to where the numbers go, both ends included; `Infinity` is one of them only where it is the end. */
export const serverRanges = {
  threads: { min: 1, max: 256 },
  graceMs: { min: 0, max: MAX_TIME_MS },
  preStopDelayMs: { min: 0, max: MAX_TIME_MS },
  upgradeGraceMs: { min: 0, max: MAX_TIME_MS },
  upgradeOverlapMs: { min: 0, max: MAX_TIME_MS },
  readyTimeoutMs: { min: 1, max: MAX_TIME_MS },
  // V8 does not come up in less; and no more than a machine can have.
  maxOldGenerationMb: { min: 8, max: 1_048_576 },
  maxYoungGenerationMb: { min: 1, max: 4_096 },
  blockedWarningMs: { min: 10, max: MAX_TIME_MS },
  blockedLimitMs: { min: 100, max: Number.POSITIVE_INFINITY },
  restartDelayMs: { min: 0, max: MAX_TIME_MS },
  maxRestartDelayMs: { min: 0, max: MAX_TIME_MS },
} as const;

const optionNames: Readonly<Record<keyof ServerOptions, true>> = {
  name: true,
  config: true,
  threads: true,
  workers: true,
  graceMs: true,
  preStopDelayMs: true,
  upgradeGraceMs: true,
  upgradeOverlapMs: true,
  readyTimeoutMs: true,
  pidFile: true,
  workingDirectory: true,
  user: true,
  group: true,
  admin: true,
  test: true,
  onReady: true,
  onNotice: true,
};

const workerOptionNames: Readonly<Record<keyof WorkerOptions, true>> = {
  maxOldGenerationMb: true,
  maxYoungGenerationMb: true,
  blockedWarningMs: true,
  blockedLimitMs: true,
  restartDelayMs: true,
  maxRestartDelayMs: true,
  uncaught: true,
};

/**
 * Checks options and fills in defaults.
 *
 * @throws {RangeError} for a number, a text or an address that makes no sense
 * @throws {TypeError} for what is of the wrong type, and for names that are unknown, with the one that was probably meant
 */
export function resolveServerOptions<C>(options: ServerOptions<C> = {}): ResolvedServerOptions {
  checkNames('a server', options, optionNames);
  const name = options.name === undefined ? 'server' : checkText('name', options.name, MAX_NAME_LENGTH);
  const graceMs = count('graceMs', options.graceMs, 300_000);
  const workingDirectory = options.workingDirectory === undefined ? null : checkDirectory(options.workingDirectory);
  const folder = workingDirectory ?? process.cwd();
  return Object.freeze({
    name,
    config: checkSource(options.config),
    threads: count('threads', options.threads, Math.min(availableParallelism(), serverRanges.threads.max)),
    workers: resolveWorkerOptions(options.workers),
    graceMs,
    preStopDelayMs: count('preStopDelayMs', options.preStopDelayMs, 0),
    upgradeGraceMs: count('upgradeGraceMs', options.upgradeGraceMs, graceMs),
    upgradeOverlapMs: count('upgradeOverlapMs', options.upgradeOverlapMs, 0),
    readyTimeoutMs: count('readyTimeoutMs', options.readyTimeoutMs, 60_000),
    pidFile: options.pidFile === undefined ? null : resolve(folder, checkText('pidFile', options.pidFile, MAX_PATH_LENGTH)),
    workingDirectory,
    user: checkAccount('user', options.user),
    group: checkAccount('group', options.group),
    admin: options.admin === undefined ? null : adminAddress(options.admin, folder),
    test: checkSwitch('test', options.test),
    onReady: checkCallback('onReady', options.onReady) ?? null,
    onNotice: checkCallback('onNotice', options.onNotice) ?? noticesOnStandardError(name),
  });
}

const MAX_NAME_LENGTH = 64;
const MAX_PATH_LENGTH = 4_096;
/** The highest user and group; the one above it means "no change" to the kernel. */
const MAX_ACCOUNT = 4_294_967_294;

function resolveWorkerOptions(options: WorkerOptions = {}): ResolvedWorkerOptions {
  checkNames('workers', options, workerOptionNames);
  const { maxOldGenerationMb, uncaught = 'replace' } = options;
  const blockedLimitMs = count('blockedLimitMs', options.blockedLimitMs, 30_000);
  const restartDelayMs = count('restartDelayMs', options.restartDelayMs, 50);
  const resolved = {
    maxOldGenerationMb: maxOldGenerationMb === undefined ? null : count('maxOldGenerationMb', maxOldGenerationMb, 0),
    maxYoungGenerationMb: count('maxYoungGenerationMb', options.maxYoungGenerationMb, 32),
    blockedWarningMs: count('blockedWarningMs', options.blockedWarningMs, Math.min(2_000, blockedLimitMs)),
    blockedLimitMs,
    restartDelayMs,
    maxRestartDelayMs: count('maxRestartDelayMs', options.maxRestartDelayMs, Math.max(10_000, restartDelayMs)),
    uncaught,
  };
  if (resolved.blockedWarningMs > blockedLimitMs)
    throw new RangeError(`blockedWarningMs (${resolved.blockedWarningMs}) must not be above blockedLimitMs (${blockedLimitMs})`);
  if (resolved.maxRestartDelayMs < restartDelayMs)
    throw new RangeError(`maxRestartDelayMs (${resolved.maxRestartDelayMs}) must not be below restartDelayMs (${restartDelayMs})`);
  if (uncaught !== 'replace' && uncaught !== 'report')
    throw new RangeError(`uncaught must be 'replace' or 'report', not ${shown(uncaught)}`);
  return Object.freeze(resolved);
}

function checkNames(whose: string, options: unknown, known: Readonly<Record<string, true>>): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    throw new TypeError(`the options of ${whose} must be an object, not ${shown(options)}`);
  checkOptionNames(whose, options, Object.keys(known));
}

function count(name: keyof typeof serverRanges, value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  const { min, max } = serverRanges[name];
  if (typeof value === 'number' && value >= min && value <= max && (Number.isInteger(value) || value === Number.POSITIVE_INFINITY))
    return value;
  const end = max === Number.POSITIVE_INFINITY ? `, ${min} or more, or Infinity` : ` from ${min} to ${max}`;
  throw new RangeError(`${name} must be a whole number${end}, not ${shown(value)}`);
}

function checkText(name: string, value: unknown, maxLength: number): string {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a text, not ${shown(value)}`);
  if (value === '') throw new RangeError(`${name} must not be empty`);
  if (value.length > maxLength) throw new RangeError(`${name} must not have more than ${maxLength} characters, and has ${value.length}`);
  if (/[\u0000-\u001f\u007f]/.test(value)) throw new RangeError(`${name} must not have control characters: ${shown(value)}`);
  return value;
}

/** The module runs in the directory that the server has chosen the next time: a relative one would be another one then. */
function checkDirectory(value: unknown): string {
  const path = checkText('workingDirectory', value, MAX_PATH_LENGTH);
  if (!isAbsolute(path)) throw new RangeError(`workingDirectory must be an absolute path, not ${shown(path)}`);
  return path;
}

function checkAccount(name: 'user' | 'group', value: unknown): string | number | null {
  if (value === undefined) return null;
  if (process.setuid === undefined) throw new RangeError(`${name} cannot be set on this system`);
  if (typeof value === 'string') return checkText(name, value, MAX_NAME_LENGTH);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= MAX_ACCOUNT) return value;
  throw new RangeError(`${name} must be a name, or a whole number from 0 to ${MAX_ACCOUNT}, not ${shown(value)}`);
}

function adminAddress(value: unknown, folder: string): NetAddress {
  const text = checkText('admin', value, MAX_PATH_LENGTH);
  let address: NetAddress;
  try {
    address = parseAddress(text);
  } catch (error) {
    throw new RangeError(`admin: ${textOf(error)}`, { cause: error });
  }
  if (!isLoopback(address))
    throw new RangeError(
      `admin must be an address of loopback or a Unix socket, not ${shown(text)}: whoever reaches it can stop the server`,
    );
  return Object.freeze(address.kind === 'unix' ? toNetAddress({ path: resolve(folder, address.path) }) : address);
}

function checkSource(value: unknown): ConfigSource<unknown> {
  if (value === undefined) return Object.freeze({ load: () => undefined });
  const { load } = (typeof value === 'object' && value !== null ? value : {}) as Partial<ConfigSource<unknown>>;
  if (typeof load !== 'function') throw new TypeError(`config must be an object with a method load, not ${shown(value)}`);
  return value as ConfigSource<unknown>;
}

function checkSwitch(name: string, value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false;
  throw new TypeError(`${name} must be true or false, not ${shown(value)}`);
}

function checkCallback<T>(name: string, value: T): T {
  if (value === undefined || typeof value === 'function') return value;
  throw new TypeError(`${name} must be a function, not ${shown(value)}`);
}

/**
 * A line for each notice. Written at once, so that the last words of a process are not lost; what cannot be written (a full disk, a reader that is gone) is counted, and the
 * count is told with the first line that can be written again: a log that fails never stops a server.
 */
function noticesOnStandardError(name: string): (notice: Notice) => void {
  let lost = 0;
  return ({ text }) => {
    const before = lost === 0 ? '' : `${name}: ${lost} ${lost === 1 ? 'notice' : 'notices'} could not be written\n`;
    try {
      writeSync(2, `${before}${name}: ${text.replaceAll(/[\u0000-\u001f\u007f]+/g, ' ')}\n`);
      lost = 0;
    } catch {
      lost += 1;
    }
  };
}

/** Total: whatever it is, in a few words. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 100 ? `${value.slice(0, 100)}…` : value);
  if (typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint' || value === null) return String(value);
  return Array.isArray(value) ? 'a list' : `another ${typeof value}`;
}
