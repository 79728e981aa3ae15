/** A TLS socket as an L4 stream, of either role; and the socket or duplex below it, taken from the stream that it belonged to. */
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { SocketStream } from '../socket/socket-stream.ts';
import type { StreamOrigin } from '../socket/stream-origin.ts';
import { CarrierDuplex } from './carrier-duplex.ts';
import type { TlsInfo } from './tls-info.ts';

/** Unsent bytes on top of which a further write aborts a TLS stream, unless its maker says otherwise: as for sockets. */
export const defaultHardLimitBytes = 1_048_576;

/** What TLS runs on. */
export interface TlsCarrier {
  /** Give it to Node's TLS as it is; what was read before is in its buffer. */
  readonly host: Duplex;
  /**
   * Ends the connection below, so that the peer can tell it from an orderly end; then calls `then`. Not at once: Node runs callbacks and microtasks while OpenSSL is on the
   * stack, and a TCP handle that is reset under it brings the process down (seen with Node 24.19).
   */
  abort(error: WireError, then?: () => void): void;
}

/**
 * Takes a stream for TLS to run on: one of our sockets gives up its handle, so that OpenSSL reads and writes it directly; any other stream is made a
 * duplex of.
 *
 * @param read bytes that were read from the stream and are TLS's to read, oldest first
 */
export function carrierOf(stream: L4Stream, read: readonly Uint8Array[]): TlsCarrier {
  const released = stream instanceof SocketStream ? stream.releaseHost() : null;
  if (released === null) return { host: quiet(new CarrierDuplex(stream, joined(read))), abort: abortLater((error) => stream.abort(error)) };
  const { host, unread, abort } = released;
  for (let i = unread.length - 1; i >= 0; i--) host.unshift(unread[i]);
  for (let i = read.length - 1; i >= 0; i--) host.unshift(read[i]);
  return { host, abort: abortLater(abort) };
}

/** @param socket whose handshake is complete, and to which nobody listens */
export function tlsStream(socket: TLSSocket, carrier: TlsCarrier, info: TlsInfo, hardLimitBytes = defaultHardLimitBytes): L4Stream {
  const stream = new SocketStream(socket, new TlsOrigin(carrier, hardLimitBytes), info.timing.startedAt, info);
  stream.catchUp();
  return stream;
}

/** One per stream, as each aborts a carrier of its own. */
class TlsOrigin implements StreamOrigin {
  readonly kind = 'tls';
  readonly unixPath = null;
  readonly isAccepted = false;
  readonly readsByCallback = false;
  readonly hardLimitBytes: number;
  readonly #carrier: TlsCarrier;

  constructor(carrier: TlsCarrier, hardLimitBytes: number) {
    this.#carrier = carrier;
    this.hardLimitBytes = hardLimitBytes;
  }

  abortBelow(host: Duplex, error: WireError): void {
    host.pause();
    this.#carrier.abort(error, () => host.destroy());
  }

  onStreamClosed(): void {}
}

function abortLater(abort: (error: WireError) => void): TlsCarrier['abort'] {
  return (error, then) => {
    setImmediate(() => {
      abort(error);
      then?.();
    });
  };
}

/** Errors of the layers are told by the stream on top; without a listener they would end the process. */
function quiet(host: Duplex): Duplex {
  host.on('error', ignore);
  return host;
}

function ignore(): void {}

function joined(chunks: readonly Uint8Array[]): Uint8Array | undefined {
  return chunks.length < 2 ? chunks[0] : Buffer.concat(chunks);
}
