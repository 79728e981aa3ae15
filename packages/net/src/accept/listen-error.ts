/** Failures of listening, as `WireError`s that name the address. */
import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { ioError, textOf, type WireError } from '@ferrata/error';
import { formatNetAddress, type NetAddress } from '../address.ts';

const reasons: ReadonlyMap<string, readonly [reason: string, hint: string]> = new Map([
  ['EADDRINUSE', ['ADDRESS_IN_USE', 'something else listens there already']],
  ['EACCES', ['LISTEN_NOT_PERMITTED', 'this user may not listen there; ports below 1024 need a privilege']],
  ['EPERM', ['LISTEN_NOT_PERMITTED', 'this user may not listen there']],
  ['EADDRNOTAVAIL', ['LISTEN_NO_SUCH_ADDRESS', 'this machine has no such address']],
  ['ENOTFOUND', ['LISTEN_NO_SUCH_ADDRESS', 'the name has no address']],
  ['ENOENT', ['LISTEN_NO_SUCH_DIRECTORY', 'the directory of the Unix socket does not exist']],
]);

/** Turns what Node reports for `listen` into a `WireError` of the type `io`; status 500, fault local, never to be retried. */
export function listenError(thrown: unknown, target: NetAddress | { readonly kind: 'fd'; readonly fd: number }): WireError {
  const place = target.kind === 'fd' ? `descriptor ${target.fd}` : formatNetAddress(target);
  let code = (thrown as NodeJS.ErrnoException).code ?? '';
  // libuv turns ENOENT into EACCES for Unix sockets, which would send the reader after permissions.
  if (target.kind === 'unix' && code === 'EACCES' && !existsSync(dirname(target.path))) code = 'ENOENT';
  const [reason, hint] = reasons.get(code) ?? ['LISTEN_FAILED', textOf(thrown)];
  return listenFailure(reason, place, hint, thrown);
}

/** A failure to listen on `place`. */
export function listenFailure(reason: string, place: string, hint: string, cause?: unknown): WireError {
  return ioError(reason, `cannot listen: ${hint}`, { cause, fault: 'local', retry: 'never', wire: { status: 500 }, context: place });
}
