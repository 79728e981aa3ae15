/** Failures of binding a UDP socket, as `WireError`s that name the address. */
import { textOf, type WireError } from '@ferrata/error';
import { listenFailure } from '../accept/listen-error.ts';

const hints: ReadonlyMap<string, readonly [reason: string, hint: string]> = new Map([
  ['EADDRINUSE', ['ADDRESS_IN_USE', 'something else has the port already']],
  ['EACCES', ['LISTEN_NOT_PERMITTED', 'this user may not receive there; ports below 1024 need a privilege']],
  ['EADDRNOTAVAIL', ['LISTEN_NO_SUCH_ADDRESS', 'this machine has no such address']],
  ['ENOTFOUND', ['LISTEN_NO_SUCH_ADDRESS', 'the name has no address']],
  ['EMFILE', ['DESCRIPTORS_EXHAUSTED', 'this process has no descriptor left (`ulimit -n`)']],
  ['ENFILE', ['DESCRIPTORS_EXHAUSTED', 'this machine has no descriptor left']],
]);

/** Turns what Node reports for a `bind` into a `WireError` of the type `io`. @param place as `udp://127.0.0.1:53` */
export function bindError(thrown: unknown, place: string): WireError {
  const code = (thrown as NodeJS.ErrnoException).code ?? '';
  const [reason, hint] = hints.get(code) ?? ['LISTEN_FAILED', textOf(thrown)];
  return listenFailure(reason, place, hint, thrown);
}
