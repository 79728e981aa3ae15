/**
 * Reads what certificates are made of: from files, or as the program has it in memory.
 *
 * Rules: a path is made absolute once, by putting the working directory in front of it and nothing else: `link/../a.crt` is for the kernel to follow, which
 * goes up from where the link leads. Only plain files of a sensible size are read: opening a FIFO waits for its writer, for ever, and `/dev/zero` has no
 * end. They are opened without waiting and looked at then, so that nothing can be put in place of a file between the look and the reading.
 */
import { createHash } from 'node:crypto';
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { textOf } from '@ferrata/error';
import { certificateError } from './certificate-error.ts';
import { type CertificateInMemory, type CertificateSource, isInFiles } from './certificate-source.ts';
import type { Pem } from './pem.ts';

/** The longest chains have some 20 KiB, a list of responses less. */
export const MAX_FILE_BYTES = 1_048_576;
/** Windows has no such flag, and no FIFO that could be opened by it. */
const FLAGS = constants.O_RDONLY | ((constants.O_NONBLOCK as number | undefined) ?? 0);

/** What was read of a source. */
export interface CertificateMaterial {
  readonly certificate: Pem;
  readonly key: Pem;
  readonly ocspResponse: Uint8Array | null;
}

/** Where the files of a source are: absolute paths. */
export interface CertificatePaths {
  readonly certificate: string;
  readonly key: string;
  readonly ocsp: string | null;
}

/** The paths of a source, seen from the working directory of now; null if it is in memory. */
export function pathsOf(source: CertificateSource): CertificatePaths | null {
  if (!isInFiles(source)) return null;
  const { certificateFile, keyFile, ocspFile } = source;
  return { certificate: absolute(certificateFile), key: absolute(keyFile), ocsp: ocspFile === undefined ? null : absolute(ocspFile) };
}

/** The material of a source, read at once. @throws {WireError} `TLS_CERTIFICATE_UNREADABLE` */
export function readMaterialSync(source: CertificateSource, paths: CertificatePaths | null): CertificateMaterial {
  if (paths === null) return materialInMemory(source as CertificateInMemory);
  return {
    certificate: readSyncOr(paths.certificate, throwUnreadable),
    key: readSyncOr(paths.key, throwUnreadable),
    ocspResponse: paths.ocsp === null ? null : readSyncOr(paths.ocsp, missingAsNull),
  };
}

/** The material of a source, without holding up the thread. @throws {WireError} `TLS_CERTIFICATE_UNREADABLE` */
export async function readMaterial(source: CertificateSource, paths: CertificatePaths | null): Promise<CertificateMaterial> {
  if (paths === null) return materialInMemory(source as CertificateInMemory);
  return {
    certificate: await readOr(paths.certificate, throwUnreadable),
    key: await readOr(paths.key, throwUnreadable),
    ocspResponse: paths.ocsp === null ? null : await readOr(paths.ocsp, missingAsNull),
  };
}

/** One text for one content of certificate and key, to tell a reading from another. */
export function digestOfMaterial({ certificate, key }: CertificateMaterial): string {
  const digests = [certificate, key].map((pem) => createHash('sha256').update(pem).digest('hex'));
  return digests.join(' ');
}

function absolute(path: string): string {
  return isAbsolute(path) ? path : `${process.cwd()}${sep}${path}`;
}

function materialInMemory({ certificate, key, ocspResponse }: CertificateInMemory): CertificateMaterial {
  return { certificate, key, ocspResponse: ocspResponse instanceof Uint8Array ? ocspResponse : null };
}

/**
 * A file as certificates are read, for what `ca` and `crl` want as text: at once, a plain one of 1 048 576 bytes at most. Neither a FIFO nor `/dev/zero` holds it up.
 *
 * @throws {Error} what is wrong with it, without its path
 */
export function readPlainFile(path: string): Uint8Array {
  const descriptor = openSync(path, FLAGS);
  try {
    const bytes = roomFor(fstatSync(descriptor));
    let length = 0;
    while (length < bytes.length) {
      const count = readSync(descriptor, bytes, length, bytes.length - length, length);
      if (count === 0) break;
      length += count;
    }
    return filled(bytes, length);
  } finally {
    closeSync(descriptor);
  }
}

function readSyncOr<T>(path: string, failed: (path: string, error: unknown) => T): Uint8Array | T {
  try {
    return readPlainFile(path);
  } catch (error) {
    return failed(path, error);
  }
}

async function readOr<T>(path: string, failed: (path: string, error: unknown) => T): Promise<Uint8Array | T> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, FLAGS);
    const bytes = roomFor(await handle.stat());
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await handle.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return filled(bytes, length);
  } catch (error) {
    return failed(path, error);
  } finally {
    await handle?.close().catch(ignore);
  }
}

/** One byte more than the file has: if that is filled, too, the file has grown. */
function roomFor(stats: Stats): Uint8Array {
  if (!stats.isFile()) throw new Error('it is no plain file');
  if (stats.size > MAX_FILE_BYTES) throw new Error(`it has ${stats.size} bytes, and at most ${MAX_FILE_BYTES} are read`);
  // The files of /proc and its like have no size, but content.
  return new Uint8Array(stats.size === 0 ? MAX_FILE_BYTES + 1 : stats.size + 1);
}

function filled(bytes: Uint8Array, length: number): Uint8Array {
  if (length === bytes.length) throw new Error('it grows while it is read');
  return bytes.subarray(0, length);
}

/** An OCSP response may come later, or never; a file that can't be read is a mistake. */
function missingAsNull(path: string, error: unknown): null {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
  return throwUnreadable(path, error);
}

function throwUnreadable(path: string, error: unknown): never {
  throw certificateError('TLS_CERTIFICATE_UNREADABLE', `${path} can't be read: ${textOf(error)}`, error);
}

function ignore(): void {
  // What was read is whole all the same.
}
