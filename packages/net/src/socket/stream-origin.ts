/** What a stream over one of Node's sockets has from whoever made it. */
import type { Duplex } from 'node:stream';
import type { WireError } from '@ferrata/error';

/** What is known of a stream when its socket has closed. */
export interface ClosedStream {
  /** Null: closed without an error. */
  readonly closeError: WireError | null;
}

/** What the streams of one listener or connector have in common: facts, and whom to tell of a close. One object for all of them. */
export interface StreamOrigin {
  readonly kind: string;
  /** The path, when this is a Unix socket. */
  readonly unixPath: string | null;
  readonly isAccepted: boolean;
  /** Unsent bytes on top of which a further write aborts the stream. */
  readonly hardLimitBytes: number;
  /** Bytes come through `SocketStream.handleRead`, not as `data` events; the socket is to be made paused. */
  readonly readsByCallback: boolean;
  /** Called once for each stream when its socket is closed, whether or not it has a sink; for counting. */
  onStreamClosed(stream: ClosedStream): void;
  /**
   * Destroys the host, and tells the peer of the abort where only the layer below can: by a reset of the TCP connection under a TLS socket. Absent:
   * the host tells by itself what it can.
   */
  abortBelow?(host: Duplex, error: WireError): void;
}

/** What `SocketStream.releaseHost` gives away. */
export interface ReleasedHost {
  readonly host: Duplex;
  /** Read from the host, and told to nobody; oldest first. */
  readonly unread: readonly Uint8Array[];
  /** What `abort` of the stream would have done to the host. */
  readonly abort: (error: WireError) => void;
}
