/**
 * The file that holds the process id.
 *
 * - It is written beside its place and linked there, so that nobody reads half of a number, a full disk is found out before anything is served, and of two processes that
 *   start at the same moment one gets the place.
 * - A file of a process that lives is not taken over. A number may have been given to another process since; so, where the kernel tells (Linux), a process
 *   that began after the file was written is not the one that wrote it.
 * - It is removed only if it is still ours. A directory that the process may no longer write to after it has given up its privileges leaves an empty file.
 */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { ioError, textOf, WireError } from '@ferrata/error';

/** Who lives, and since when. Replaced in tests. */
export interface ProcessTable {
  isAlive(pid: number): boolean;
  /** Wall-clock milliseconds; null if it cannot be known. */
  startedAt(pid: number): number | null;
}

/** A pid file that has been written. */
export class PidFile {
  readonly #path: string;
  readonly #descriptor: number;
  readonly #inode: bigint;
  readonly #text: string;
  #isRemoved = false;

  private constructor(path: string, descriptor: number, text: string) {
    this.#path = path;
    this.#text = text;
    this.#descriptor = descriptor;
    this.#inode = fstatSync(descriptor, { bigint: true }).ino;
  }

  /**
   * Writes the file.
   *
   * @throws {WireError} `PID_FILE_TAKEN` if it is that of another process that lives
   * @throws {WireError} `PID_FILE_FAILED` if it cannot be written: no such directory, no permission, no space left
   */
  static write(path: string, pid: number = process.pid, table: ProcessTable = systemProcesses): PidFile {
    const draft = `${path}.${pid}.new`;
    let descriptor: number | null = null;
    try {
      // Before anything is written: whoever may not write there is told so of a running server all the same.
      refuseOther(path, livingOwner(path, table), pid);
      // O_EXCL after a removal: a link that somebody has laid there is not followed.
      removeIfThere(draft);
      descriptor = openSync(draft, 'wx+', 0o644);
      const text = `${pid}\n`;
      writeSync(descriptor, text);
      // Some file systems tell only now that the disk is full.
      fsyncSync(descriptor);
      takePlace(path, draft, pid, table);
      return new PidFile(path, descriptor, text);
    } catch (thrown) {
      if (descriptor !== null) closeSync(descriptor);
      throw thrown instanceof WireError ? thrown : notWritten(path, thrown);
    } finally {
      tryTo(() => removeIfThere(draft));
    }
  }

  /** Removes the file if it is still ours. @returns null, or why it could not be */
  remove(): string | null {
    if (this.#isRemoved) return null;
    this.#isRemoved = true;
    try {
      const found = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
      // Another process may have put a file of its own there, or its number into this one.
      if (found?.ino !== this.#inode || beginningOf(this.#descriptor) !== this.#text) return null;
      // Open since before privileges were given up: this works where the removal may not.
      tryTo(() => ftruncateSync(this.#descriptor, 0));
      unlinkSync(this.#path);
      return null;
    } catch (thrown) {
      return `the pid file ${this.#path} could not be removed: ${textOf(thrown)}`;
    } finally {
      closeSync(this.#descriptor);
    }
  }
}

/** Each time another process has taken the place, and ended. */
const MAX_TRIES = 100;

/** Gives the draft the place if that is free, or has the file of a process that is gone. @throws {WireError} if another one has it */
function takePlace(path: string, draft: string, pid: number, table: ProcessTable): void {
  for (let tries = 0; tries < MAX_TRIES; tries++) {
    if (linkIfFree(draft, path)) return;
    const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
    refuseOther(path, livingOwner(path, table), pid);
    if (found !== undefined) putAway(path, found.ino, `${draft}.old`);
  }
  throw new Error('others take its place again and again');
}

function refuseOther(path: string, owner: number | null, pid: number): void {
  if (owner === null || owner === pid) return;
  throw ioError('PID_FILE_TAKEN', `the pid file ${path} belongs to process ${owner}, which is running`, { fault: 'local' });
}

const noLinkCodes: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

function linkIfFree(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    if (!noLinkCodes.has(code)) throw thrown;
    // A file system without links. Two at the same moment may both come through here; that is better than no server.
    if (lstatSync(path, { throwIfNoEntry: false }) !== undefined) return false;
    renameSync(draft, path);
    return true;
  }
}

/** Removes the file that was looked at. Between the look and a removal another process may have put its own there, which would be lost: so it is moved, and looked at again. */
function putAway(path: string, inode: bigint, aside: string): void {
  try {
    renameSync(path, aside);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw thrown;
  }
  if (lstatSync(aside, { bigint: true }).ino !== inode) linkIfFree(aside, path);
  removeIfThere(aside);
}

function notWritten(path: string, thrown: unknown): WireError {
  return ioError('PID_FILE_FAILED', `the pid file ${path} cannot be written: ${textOf(thrown)}`, { cause: thrown, fault: 'local' });
}

/** The process whose number the file has, if it lives and can have written it. */
function livingOwner(path: string, table: ProcessTable): number | null {
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined) return null;
  // A device never ends, a FIFO never begins, and root would put the file in its place.
  if (!found.isFile()) throw new Error('it is there, and is no file');
  const text = beginning(path).trim();
  const writtenAt = found.mtimeMs;
  const pid = /^[1-9][0-9]{0,9}$/.test(text) ? Number(text) : null;
  if (pid === null || !table.isAlive(pid)) return null;
  const startedAt = table.startedAt(pid);
  // Clock ticks and the boot time are whole hundredths and whole seconds.
  return startedAt !== null && startedAt > writtenAt + 2_000 ? null : pid;
}

/** More than any number has; the file may be one of gigabytes that was named by mistake. */
function beginning(path: string): string {
  const descriptor = openSync(path, 'r');
  try {
    return beginningOf(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function beginningOf(descriptor: number): string {
  const bytes = Buffer.alloc(32);
  return bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytes.length, 0));
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
}

function tryTo(act: () => void): void {
  try {
    act();
  } catch {
    // The first failure is the one that is told.
  }
}

const systemProcesses: ProcessTable = {
  isAlive(pid) {
    try {
      process.kill(pid, 0);
      return true;
    } catch (thrown) {
      // EPERM: it lives, and is somebody else's.
      return (thrown as NodeJS.ErrnoException).code !== 'ESRCH';
    }
  },
  startedAt(pid) {
    if (process.platform !== 'linux') return null;
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
      // The name may have blanks and parentheses in it; field 22 is the twentieth behind it (proc_pid_stat(5)). USER_HZ is 100 on every Linux that Node runs on.
      const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
      const bootSeconds = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'latin1'))?.[1]);
      const at = bootSeconds * 1_000 + ticks * 10;
      return Number.isFinite(at) ? at : null;
    } catch {
      return null;
    }
  },
};
