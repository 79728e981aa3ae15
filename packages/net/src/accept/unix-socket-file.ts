/**
 * Files of Unix sockets: their permissions, whose they are, and those that their owner left behind.
 *
 * - A process that is killed leaves the file of its socket, and the next `bind` fails with EADDRINUSE though nobody listens. Whether somebody does
 *   is found out by connecting: refused means stale. Of listeners of one thread each looks when the one before it is done; two threads or
 *   processes that start in the same instant can still take each other's fresh file for a stale one. Who loses its file so before it is done
 *   with starting says so; start them one after the other, or hand the descriptor on.
 * - Node removes whatever is at the path when a listener closes, also if it has become somebody else's. So that file has another name meanwhile.
 * - `bind` makes the file with the umask, and whoever may write to it may connect. So the umask is narrowed for `bind`; only the main thread can.
 */
import { chmodSync, lstatSync, renameSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { resolve as resolvePath } from 'node:path';
import { isMainThread, threadId } from 'node:worker_threads';
import { ioError, type WireError } from '@ferrata/error';
import { formatNetAddress } from '../address.ts';
import { listenFailure } from './listen-error.ts';

/** The path of a Unix socket. */
export interface UnixTarget {
  readonly kind: 'unix';
  readonly path: string;
}

/** What tells a file from another one that has its name, or its inode, later. */
export interface SocketFile {
  readonly path: string;
  readonly device: bigint;
  readonly inode: bigint;
  readonly bornAt: bigint;
}

/** The file at a path; null if there is none. */
function fileAt(path: string): SocketFile | null {
  // lstat: a link to somebody else's socket is not ours to judge or remove.
  const stat = lstatSync(path, { throwIfNoEntry: false, bigint: true });
  return stat === undefined ? null : { path, device: stat.dev, inode: stat.ino, bornAt: stat.birthtimeNs };
}

function isSame(a: SocketFile | null, b: SocketFile | null): boolean {
  return a !== null && b !== null && a.inode === b.inode && a.device === b.device && a.bornAt === b.bornAt;
}

/**
 * Runs `bind` under an umask that gives the file it makes no more than `mode`, and nothing that the umask in force withholds; the exact
 * permissions are set afterwards. Files that other threads make in these microseconds have fewer permissions, too, never more.
 */
export function withUmaskFor(mode: number | null, bind: () => void): void {
  if (mode === null || !isMainThread || process.platform === 'win32') return bind();
  // There is no other way to ask for it than to set it.
  const before = process.umask(0o777);
  process.umask(before | (~mode & 0o777));
  try {
    bind();
  } finally {
    process.umask(before);
  }
}

/**
 * Sets the permissions of the file that `bind` has just made, and takes note of which it is.
 *
 * @throws {WireError} `LISTEN_MODE_NOT_SET`
 */
export function openSocketFile(target: UnixTarget, mode: number | null): SocketFile | null {
  try {
    if (mode !== null) chmodSync(target.path, mode);
  } catch (error) {
    throw listenFailure('LISTEN_MODE_NOT_SET', formatNetAddress(target), 'the permissions of the Unix socket cannot be set', error);
  }
  // Afterwards: where the system tells no time of birth, Node gives that of the last change, which these permissions are.
  return fileAt(target.path);
}

/** @throws {WireError} `ADDRESS_IN_USE` if the file is not the one that this listener has made */
export function checkStillOurs(target: UnixTarget, file: SocketFile | null): SocketFile {
  if (file !== null && isSame(file, fileAt(target.path))) return file;
  throw listenFailure('ADDRESS_IN_USE', formatNetAddress(target), 'somebody else has removed or replaced the file at the same time');
}

/**
 * Closes a server; of its file, and of another one that is in its place now, only its own is removed, and that only unless `keepFile`.
 *
 * @throws {WireError} `SOCKET_FILE_NOT_KEPT` if it was to be kept and cannot be; the server is open then, unless only its name could not be given back
 */
export function closeServer(server: Server, file: SocketFile | null, keepFile: boolean): void {
  const present = file === null ? null : fileThatCanGo(file.path);
  if (file === null || present === null || (!keepFile && isSame(file, present))) {
    server.close();
    return;
  }
  const aside = `${file.path}.${process.pid}-${threadId}`;
  try {
    renameSync(file.path, aside);
  } catch (error) {
    // Who may not rename it may not remove it either, so somebody else's is safe.
    if (isSame(file, present)) throw notKept(file.path, 'it cannot be renamed', error);
    server.close();
    return;
  }
  try {
    server.close();
  } finally {
    giveBack(aside, file.path);
  }
}

/** The file that Node would remove; null if there is none, or it cannot even be looked at (a directory that became another user's): nor can Node remove it. */
function fileThatCanGo(path: string): SocketFile | null {
  try {
    return fileAt(path);
  } catch {
    return null;
  }
}

function giveBack(aside: string, path: string): void {
  try {
    renameSync(aside, path);
  } catch (error) {
    throw notKept(path, `it cannot be given its name again, and is ${aside} now`, error);
  }
}

function notKept(path: string, why: string, cause: unknown): WireError {
  const context = formatNetAddress({ kind: 'unix', path });
  return ioError('SOCKET_FILE_NOT_KEPT', `cannot keep the file of the Unix socket: ${why}`, {
    cause,
    fault: 'local',
    retry: 'never',
    context,
  });
}

/**
 * Removes the file if it is a socket that nobody answers on.
 *
 * @throws {WireError} `ADDRESS_IN_USE` if somebody answers @throws {WireError} `LISTEN_PATH_TAKEN` if it is a file of another kind
 */
export async function removeStaleSocket(target: UnixTarget): Promise<void> {
  const { path } = target;
  const place = formatNetAddress(target);
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw listenFailure('LISTEN_PATH_TAKEN', place, 'a file that is not a socket is in the way; it was left alone');
  const file = fileAt(path);
  if (await hasListener(path)) throw listenFailure('ADDRESS_IN_USE', place, 'something else listens there already');
  const present = fileAt(path);
  // Gone by itself: whoever was closing has removed it.
  if (present === null) return;
  if (!isSame(file, present)) throw listenFailure('ADDRESS_IN_USE', place, 'somebody else has begun to listen there at the same time');
  try {
    unlinkSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** Refused is the only sure sign of a dead socket; any other failure (no permission, queue full) leaves it alone. */
function hasListener(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = connect({ path });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'));
  });
}

const queues = new Map<string, Promise<unknown>>();

/** Runs `work` when what this thread has begun for the same path before is done. */
export async function oneAtATime<T>(path: string, work: () => Promise<T>): Promise<T> {
  const key = resolvePath(path);
  const mine = (queues.get(key) ?? Promise.resolve()).then(work);
  const done = mine.then(ignore, ignore);
  queues.set(key, done);
  try {
    return await mine;
  } finally {
    if (queues.get(key) === done) queues.delete(key);
  }
}

function ignore(): void {}
