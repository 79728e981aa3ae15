/**
 * Files of Unix sockets that their owner left behind.
 *
 * A process that is killed leaves the file of its socket, and the next `bind` fails with EADDRINUSE though nobody listens. Whether somebody does is
 * found out by connecting: refused means stale. Two processes that start in the same instant can still take each other's fresh file for a
 * stale one (between `bind` and `listen` it refuses too); start them one after the other, or hand the descriptor on.
 */
import { lstatSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { formatNetAddress } from './address.ts';
import { listenError, listenFailure } from './listen-error.ts';

/**
 * Removes the file if it is a socket that nobody answers on.
 *
 * @throws {WireError} `ADDRESS_IN_USE` if somebody answers @throws {WireError} `LISTEN_PATH_TAKEN` if it is a file of another kind
 */
export async function removeStaleSocket(target: { readonly kind: 'unix'; readonly path: string }): Promise<void> {
  const place = formatNetAddress(target);
  // lstat: a link to somebody else's socket is not ours to judge or remove.
  const stat = lstatSync(target.path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) throw listenFailure('LISTEN_PATH_TAKEN', place, 'a file that is not a socket is in the way; it was left alone');
  if (await hasListener(target.path)) throw listenFailure('ADDRESS_IN_USE', place, 'something else listens there already');
  try {
    unlinkSync(target.path);
  } catch (error) {
    throw listenError(error, target);
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
