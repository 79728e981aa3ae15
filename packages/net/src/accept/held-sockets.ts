/**
 * Sockets that listen while nobody here accepts: connections wait in the kernel's queue for whoever else has the descriptor.
 *
 * Node accepts whatever comes as soon as a loop polls a socket that listens, and has no way not to. So a thread of its own opens the sockets and goes to sleep
 * before its loop turns (`holder-thread.ts`). This process then has descriptors that it can hand to its children (`stdio` of `spawn`), and that outlive each of them.
 *
 * Names are looked up, and files that a dead process left behind are removed, here, before the thread opens anything.
 */

import { lookup } from 'node:dns/promises';
import { existsSync } from 'node:fs';
import { isIP } from 'node:net';
import { isMainThread, Worker } from 'node:worker_threads';
import { internalError, ioError, textOf, type WireError } from '@ferrata/error';
import type { StreamAddress } from '@ferrata/stream';
import { formatNetAddress } from '../address.ts';
import { ipAddress } from '../socket/socket-info.ts';
import { bindError } from '../udp/udp-bind-error.ts';
import { Gate, type HolderMessage, type HolderRequest, type HolderSeed, type HolderSocket } from './holder-messages.ts';
import { listenError, listenFailure } from './listen-error.ts';
import { resolveSocketToHold, type SocketToHold } from './socket-to-hold.ts';
import { checkStillOurs, oneAtATime, removeStaleSocket } from './unix-socket-file.ts';

/** A socket that listens (UDP: sockets that are bound), and that this process does not accept on. */
export interface HeldSocket {
  /** The address that it really has: for port 0, with the port that the kernel chose. */
  readonly address: StreamAddress;
  /**
   * Numbers of its descriptors in this process, good for `stdio` of `spawn`: one for TCP and Unix sockets, `count` for UDP. They belong to the holder: to listen
   * on such a number in this process would close it in the end.
   */
  readonly descriptors: readonly number[];
  /**
   * Closes it, and removes the file of a Unix socket if it is still the one that was made here. Nothing is accepted on the way; what the kernel has queued is
   * reset, unless another process has the socket too. May be called again.
   *
   * @throws {WireError} `SOCKET_FILE_NOT_KEPT` if a file that is somebody else's now could not be given its name again; the socket is closed all the same
   */
  release(): Promise<void>;
}

/**
 * Opens sockets, and holds them without accepting: all of them, or none.
 *
 * One thread holds all sockets of one call. It does nothing but sleep (12 to 14 MiB of memory, as any thread), does not keep the process alive, and ends with the last
 * socket. Sockets that are not released go with the process; as it exits, Node removes what is at the paths of Unix sockets then, whosever it is. `release` looks first.
 *
 * @throws {WireError} as `listen`, and for UDP as `bindUdp`; the message names the address
 * @throws {WireError} `SOCKET_HOLDER_FAILED` if the thread cannot be started, or the system has no descriptors (Windows)
 * @throws {TypeError} for an address that is malformed, or an option that is unknown or means nothing there @throws {RangeError} for a number out of range
 */
export async function holdSockets(sockets: readonly SocketToHold[]): Promise<HeldSocket[]> {
  const requests = sockets.map(resolveSocketToHold);
  if (requests.length === 0) return [];
  if (process.platform === 'win32') throw holderFailed('Windows has no descriptors that can be handed on', undefined);
  const found = await Promise.all(requests.map(withAddress));
  const paths = requests.flatMap((request) => (request.transport === 'unix' ? request.path : []));
  return inTurn([...new Set(paths)].toSorted(), async () => {
    // A poll to see whether somebody answers has to happen here, and before: the thread's loop must not turn.
    for (const path of paths) await clearPath(path);
    const holder = new Holder(found);
    const held = await holder.hold((failure) => errorOf(failure, requests));
    try {
      // Somebody who had found a stale file before we removed it may have removed ours for it.
      for (const [at, request] of found.entries())
        if (request.transport === 'unix') checkStillOurs({ kind: 'unix', path: request.path }, held[at]?.file ?? null);
    } catch (error) {
      await Promise.allSettled(held.map((_, index) => holder.release(index)));
      throw error;
    }
    return held.map((socket, index) => ({
      address: addressOf(found[index] as HolderRequest, socket),
      descriptors: Object.freeze([...socket.descriptors]),
      release: () => holder.release(index),
    }));
  });
}

type Failure = Extract<HolderMessage, { kind: 'failed' }>;

/** The thread, seen from here. */
class Holder {
  readonly #worker: Worker;
  readonly #gate: Int32Array;
  readonly #requests: readonly HolderRequest[];
  readonly #releases = new Map<number, { readonly done: Promise<void>; settle(failure: string | null): void }>();
  #releasing = 0;
  #hasEnded = false;

  constructor(requests: readonly HolderRequest[]) {
    this.#requests = requests;
    this.#gate = new Int32Array(new SharedArrayBuffer((Gate.firstSocket + requests.length) * Int32Array.BYTES_PER_ELEMENT));
    this.#gate[Gate.umask] = -1;
    const seed: HolderSeed = { requests, gate: this.#gate };
    this.#worker = new Worker(threadUrl(), {
      name: 'socket holder',
      workerData: { ferrataHolder: seed },
      // Whatever a program preloads into its threads has no business in this one: it would turn the loop.
      env: {},
      execArgv: [],
    });
  }

  /** Opens the sockets. The process is kept alive for so long. */
  async hold(toError: (failure: Failure) => WireError): Promise<readonly HolderSocket[]> {
    const { promise, resolve, reject } = Promise.withResolvers<readonly HolderSocket[]>();
    this.#worker.on('message', (message: HolderMessage) => {
      switch (message.kind) {
        case 'loaded':
          return this.#open();
        case 'held':
          return resolve(message.sockets);
        case 'failed':
          return reject(toError(message));
        case 'released':
          return this.#releases.get(message.index)?.settle(message.failure);
      }
    });
    this.#worker.on('error', (error) => reject(holderFailed(textOf(error), error)));
    this.#worker.on('exit', (code) => {
      this.#hasEnded = true;
      reject(holderFailed(`it has ended with the code ${code}`, undefined));
      for (const release of this.#releases.values()) release.settle(null);
    });
    const held = await promise;
    this.#worker.unref();
    return held;
  }

  release(index: number): Promise<void> {
    const known = this.#releases.get(index);
    if (known !== undefined) return known.done;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    let isSettled = this.#hasEnded;
    const settle = (failure: string | null): void => {
      if (isSettled) return;
      isSettled = true;
      this.#releasing--;
      if (this.#releasing === 0) this.#worker.unref();
      if (failure === null) resolve();
      else reject(releaseError(failure, this.#requests[index]));
    };
    this.#releases.set(index, { done: promise, settle });
    if (isSettled) {
      resolve();
      return promise;
    }
    this.#releasing++;
    // Who waits for it must not see the process end meanwhile.
    this.#worker.ref();
    Atomics.store(this.#gate, Gate.firstSocket + index, 1);
    this.#wake();
    return promise;
  }

  #wake(): void {
    Atomics.add(this.#gate, Gate.turn, 1);
    Atomics.notify(this.#gate, Gate.turn);
  }

  /** Under an umask that lets nobody connect whom a `mode` keeps out; see `unix-socket-file.ts`. The thread cannot narrow it, and this one cannot bind. */
  #open(): void {
    const modes = this.#requests.flatMap((request) => (request.transport === 'unix' && request.mode !== null ? request.mode : []));
    if (modes.length === 0 || !isMainThread) return this.#wake();
    // There is no other way to ask for it than to set it.
    const before = process.umask(0o777);
    try {
      process.umask(before | (~modes.reduce((all, mode) => all & mode) & 0o777));
      Atomics.store(this.#gate, Gate.umask, before);
      this.#wake();
      // Some hundred microseconds, as for `bind` itself. The limit is for a thread that has died of something.
      Atomics.wait(this.#gate, Gate.opened, 0, 5_000);
    } finally {
      process.umask(before);
    }
  }
}

/** Beside this file among the sources; in the built package it is a file of its own. */
function threadUrl(): URL {
  return new URL(import.meta.url.endsWith('.ts') ? './holder-thread.ts' : './accept/holder-thread.js', import.meta.url);
}

/** @returns the same with an IP address for a name */
async function withAddress(request: HolderRequest): Promise<HolderRequest> {
  if (request.transport === 'unix' || isIP(request.host) !== 0) return request;
  try {
    return { ...request, host: (await lookup(request.host)).address };
  } catch (error) {
    throw openingError(error, request);
  }
}

async function clearPath(path: string): Promise<void> {
  if (!existsSync(path)) return;
  try {
    await removeStaleSocket({ kind: 'unix', path });
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === undefined ? error : listenError(error, { kind: 'unix', path });
  }
}

/** Runs `work` when what this thread has begun before for one of these paths is done. Sorted paths: two calls never wait for each other. */
function inTurn<T>(paths: readonly string[], work: () => Promise<T>): Promise<T> {
  const [path, ...rest] = paths;
  return path === undefined ? work() : oneAtATime(path, () => inTurn(rest, work));
}

function addressOf(request: HolderRequest, { address }: HolderSocket): StreamAddress {
  if (request.transport === 'unix') return { kind: 'unix', path: request.path };
  return ipAddress(address?.host, address?.port);
}

function errorOf({ index, code, reason, text }: Failure, requests: readonly HolderRequest[]): WireError {
  const cause = Object.assign(new Error(text), code === '' ? {} : { code });
  const request = requests[index];
  if (request === undefined) return holderFailed(text, cause);
  if (reason !== null) return listenFailure(reason, placeOf(request), 'the permissions of the Unix socket cannot be set', cause);
  return openingError(cause, request);
}

/** Names what was asked for, not what a name was looked up to. */
function openingError(thrown: unknown, request: HolderRequest): WireError {
  if (request.transport === 'udp') return bindError(thrown, placeOf(request));
  return listenError(thrown, request.transport === 'tcp' ? { ...request, kind: 'tcp' } : { ...request, kind: 'unix' });
}

function placeOf(request: HolderRequest): string {
  if (request.transport === 'unix') return formatNetAddress({ kind: 'unix', path: request.path });
  return formatNetAddress({ kind: 'tcp', host: request.host, port: request.port }).replace('tcp:', `${request.transport}:`);
}

function holderFailed(why: string, cause: unknown): WireError {
  return internalError('SOCKET_HOLDER_FAILED', `the thread that holds sockets has failed: ${why}`, { cause });
}

function releaseError(text: string, request: HolderRequest | undefined): WireError {
  const message = text.replace(/^io SOCKET_FILE_NOT_KEPT: /, '');
  const context = request === undefined ? undefined : placeOf(request);
  return ioError('SOCKET_FILE_NOT_KEPT', message, { fault: 'local', retry: 'never', context });
}
