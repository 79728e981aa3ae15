/** Ending a host at once, in a way that its peer can tell from an orderly end wherever there is one. */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { WireError } from '@ferrata/error';
import type { StreamOrigin } from './stream-origin.ts';

/** Destroys the host of a stream; with an error, the peer hears of it if the layers below can say so. */
export function abortHost(host: Duplex, origin: StreamOrigin, error: WireError | undefined): void {
  if (error === undefined) {
    host.destroy();
  } else if (origin.abortBelow !== undefined && !host.destroyed && !isEnding(host)) {
    origin.abortBelow(host, error);
  } else if (origin.kind === 'tcp' && host instanceof Socket && !host.destroyed && !isEnding(host)) {
    // A TCP reset (RFC 9293 §3.10.7): the peer cannot mistake a cut for an end.
    host.resetAndDestroy();
  } else {
    // A socket has no use for the error; any other duplex may lead to a layer that can tell its peer.
    host.destroy(host instanceof Socket ? undefined : error);
  }
}

/** Whether a FIN waits behind unsent bytes: libuv refuses to reset then, and would leave the descriptor open. */
function isEnding(host: Duplex): boolean {
  return host.writableEnded && !host.writableFinished;
}
