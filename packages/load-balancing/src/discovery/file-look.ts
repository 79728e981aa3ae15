/**
 * Looks at a file and reads it: whole, up to a size, and never while it changes.
 *
 * Rules: only plain files are read, and they are opened without waiting: a FIFO would wait for its writer, for ever, and `/dev/zero` has no end. What a file was when it was
 * opened and when it had been read must be the same.
 */
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';

/** Windows has no such flag, and no FIFO that could be opened by it. */
const FLAGS = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);

/** Which file it is, and in which state: another text if anything was written or put in its place. */
export interface FileIdentity {
  readonly text: string;
  /** When it was written last, wall-clock ms. */
  readonly modifiedAt: number;
}

/** What was read. */
export interface FileContent extends FileIdentity {
  readonly bytes: Uint8Array;
}

/** The file is being written: what was read is worth nothing. */
export class FileUnsettledError extends Error {}

/** Which file a path leads to now, through all links. Rejects with an error of Node's. */
export async function lookAtFile(path: string): Promise<FileIdentity> {
  return identityOf(await stat(path, { bigint: true }));
}

/**
 * Reads a file.
 *
 * @returns rejected with an error of Node's, with `FileUnsettledError`, or with one that says why it cannot be read
 */
export async function readWholeFile(path: string, maxBytes: number): Promise<FileContent> {
  const handle = await open(path, FLAGS);
  try {
    const before = await handle.stat({ bigint: true });
    if (!before.isFile()) throw new Error('it is no plain file');
    if (before.size > BigInt(maxBytes)) throw new Error(`it has ${before.size} bytes, and at most ${maxBytes} are read`);
    const bytes = await readUpTo(handle, Number(before.size));
    const identity = identityOf(before);
    if (identityOf(await handle.stat({ bigint: true })).text !== identity.text) throw new FileUnsettledError('it is being written');
    return { ...identity, bytes };
  } finally {
    await handle.close().catch(ignore);
  }
}

/** One byte more than the file has: if that is filled, too, the file has grown. */
async function readUpTo(handle: FileHandle, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size + 1);
  let length = 0;
  while (length < bytes.length) {
    const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  if (length !== size) throw new FileUnsettledError('it is being written');
  return bytes.subarray(0, length);
}

function identityOf({ dev, ino, size, mtimeNs, mtimeMs }: BigIntStats): FileIdentity {
  return { text: `${dev}:${ino}:${size}:${mtimeNs}`, modifiedAt: Number(mtimeMs) };
}

function ignore(): void {
  // What was read is whole all the same.
}
