/** Small files that others rotate: tokens and certificates that are mounted into a container. */
import { type FileHandle, open } from 'node:fs/promises';
import { ioError } from '@ferrata/error';

/** The longest file that is read: a token has some 2 KiB, a bundle of authorities some hundred. */
const MAX_BYTES = 1_048_576;

/**
 * Reads a small text file.
 *
 * @param what it is, for the message: nothing of its content gets there
 * @throws {WireError} `io DISCOVERY_CREDENTIALS` when it cannot be read or is too long
 */
export async function readSecretFile(what: string, path: string): Promise<string> {
  let handle: FileHandle | null = null;
  try {
    handle = await open(path, 'r');
    const stats = await handle.stat();
    // What is no plain file may have no end.
    if (!stats.isFile()) throw new Error('it is no plain file');
    if (stats.size > MAX_BYTES) throw new Error(`it has more than ${MAX_BYTES} bytes`);
    const bytes = new Uint8Array(stats.size);
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return new TextDecoder().decode(bytes.subarray(0, bytesRead));
  } catch (thrown) {
    throw ioError('DISCOVERY_CREDENTIALS', `${what} cannot be read`, { source: 'internal', fault: 'local', cause: thrown });
  } finally {
    await handle?.close().catch(() => undefined);
  }
}
