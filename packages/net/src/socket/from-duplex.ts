/** Any of Node's duplex streams of bytes as an L4 stream. */

import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type Clock, systemClock } from '@ferrata/clock';
import type { L4Stream, StreamInfo } from '@ferrata/stream';
import { SocketStream, type StreamOrigin } from './socket-stream.ts';

const duplexOrigin: StreamOrigin = {
  kind: 'duplex',
  unixPath: null,
  isAccepted: false,
  hardLimitBytes: 1_048_576,
  readsByCallback: false,
  onStreamClosed() {},
};
const socketOrigin: StreamOrigin = { ...duplexOrigin, kind: 'tcp' };

/**
 * Makes an L4 stream of a duplex, which then belongs to the stream: nobody else may read, write or listen to it.
 *
 * The duplex must carry bytes (no object mode, no `setEncoding`), and emit `close` (the default). It is set to stay half-open when its peer ends.
 *
 * @param info facts about the stream; default: kind `tcp` with the addresses of a socket, else kind `duplex` without addresses
 * @throws {TypeError} if the duplex is in object mode, yields strings, or is a stream already
 */
export function fromDuplex(duplex: Duplex, info?: StreamInfo, clock: Clock = systemClock): L4Stream {
  if (duplex.readableObjectMode || duplex.writableObjectMode) throw new TypeError('a duplex in object mode carries no bytes');
  if (duplex.readableEncoding !== null) throw new TypeError('a duplex with an encoding yields strings, not bytes');
  duplex.allowHalfOpen = true;
  duplex.pause();
  const stream = new SocketStream(duplex, isTcpSocket(duplex) ? socketOrigin : duplexOrigin, clock.now(), info ?? null);
  stream.catchUp();
  return stream;
}

/** A TLS socket has the addresses of the TCP socket below it, but cannot be reset. */
function isTcpSocket(duplex: Duplex): boolean {
  return duplex instanceof Socket && duplex.remoteFamily !== undefined && !('encrypted' in duplex);
}
