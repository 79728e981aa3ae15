/**
 * The descriptors that a thread was given for a service that then does not come up.
 *
 * As long as one descriptor of a socket is open, the kernel takes connections on it, also when nobody will ever accept them: so those that nobody came to listen on
 * are closed. What was listened on is closed by its listener, and its number may belong to another thread's connection by then: hence a descriptor is closed only if it
 * still is the same socket.
 */
import { closeSync, fstatSync } from 'node:fs';
import type { ServiceSocket } from '../service.ts';

/** Begins to serve on sockets. If that fails, closes those that were not taken, and throws what it has thrown. */
export async function onOwnDescriptors<T>(sockets: readonly ServiceSocket[], begin: () => T | Promise<T>): Promise<T> {
  const given = sockets.map(({ fd }) => ({ fd, inode: fd === null ? null : inodeOf(fd) }));
  try {
    return await begin();
  } catch (thrown) {
    for (const { fd, inode } of given) if (fd !== null && inode !== null && inodeOf(fd) === inode) closeQuietly(fd);
    throw thrown;
  }
}

/** @returns null if it is not open */
function inodeOf(fd: number): number | null {
  try {
    return fstatSync(fd).ino;
  } catch {
    return null;
  }
}

function closeQuietly(fd: number): void {
  try {
    closeSync(fd);
  } catch {
    // It is closed all the same, whatever the kernel has to say of it.
  }
}
