/** What passes at one edge of the proxy: one connection of a client, or one to an origin, with everything that was read from it and written to it. */
import { type L4Stream, tapped } from '@ferrata/stream';
import { WireReader } from './wire-reader.ts';

/** A breach of an invariant. */
export interface Breach {
  readonly invariant: string;
  readonly what: string;
}

/** Told of a breach at the moment it happens. */
export type TellBreach = (invariant: string, what: string) => void;

/** One connection of the proxy. */
export class Edge {
  readonly role: 'client' | 'origin';
  readonly name: string;
  readonly requests: WireReader;
  readonly responses: WireReader;
  /** The peer has ended its side, as the proxy was told. */
  hasPeerEnded = false;
  /** The proxy has ended its side in order. */
  hasEnded = false;
  /** The proxy has dropped the connection. */
  isAborted = false;
  isClosed = false;
  /** The last write was answered with false, and no drain has followed: what comes next may be held back. */
  isFull = false;
  inBytes = 0;
  outBytes = 0;
  /** The most that the stream has held of what the proxy wrote. */
  maxBufferedBytes = 0;
  /** Writes of the proxy after a write that was answered with false, and before the drain, in bytes. */
  #overfull = 0;
  maxOverfullBytes = 0;
  /** Exchanges that the proxy has begun on it. */
  exchangeCount = 0;
  readonly #tell: TellBreach;
  readonly #moved: () => void;

  /** @param moved called when bytes have come or gone */
  constructor(role: 'client' | 'origin', name: string, tell: TellBreach, moved: () => void) {
    this.role = role;
    this.name = name;
    this.#tell = tell;
    this.#moved = moved;
    this.requests = new WireReader('request');
    this.responses = new WireReader('response', (index) => this.requests.messages[index]?.start[0] ?? 'GET');
  }

  /** `stream` with this edge listening in. */
  wrap(stream: L4Stream): L4Stream {
    const isClient = this.role === 'client';
    const [incoming, outgoing] = isClient ? [this.requests, this.responses] : [this.responses, this.requests];
    return tapped(stream, {
      onData: (chunk) => {
        this.inBytes += chunk.length;
        this.#moved();
        incoming.feed(chunk);
        if (!isClient && this.responses.isTunnel) this.requests.switchToTunnel();
      },
      onEnd: () => {
        this.hasPeerEnded = true;
        incoming.end();
      },
      onDrain: () => {
        this.#overfull = 0;
        this.isFull = false;
      },
      onClose: () => void (this.isClosed = true),
      onWrite: (chunk, hasRoom) => {
        if (this.hasEnded || this.isAborted || this.isClosed) return;
        if (!isClient) this.#checkClean(chunk);
        this.outBytes += chunk.length;
        this.#moved();
        this.maxBufferedBytes = Math.max(this.maxBufferedBytes, stream.bufferedBytes);
        if (!hasRoom) this.isFull = true;
        if (this.#overfull > 0) this.#overfull += chunk.length;
        else if (!hasRoom) this.#overfull = 1;
        this.maxOverfullBytes = Math.max(this.maxOverfullBytes, this.#overfull);
        outgoing.feed(chunk);
        if (isClient && this.responses.isTunnel) this.requests.switchToTunnel();
      },
      onWriteEnd: () => {
        this.hasEnded = true;
        outgoing.end();
      },
      onAbort: () => void (this.isAborted = true),
    });
  }

  /** I8, I9: a request begins only on a connection that is clean. */
  #checkClean(chunk: Uint8Array): void {
    const { requests, responses } = this;
    if (responses.isTunnel) {
      // What goes through a tunnel here is never HTTP.
      if (/^[A-Z]+ \S+ HTTP\/1\.[01]\r\n/.test(Buffer.from(chunk).toString('latin1')))
        this.#tell('I9', `${this.name}: a request after 101`);
      return;
    }
    if (!requests.isBetween || requests.messages.length === 0) return;
    const index = requests.messages.length;
    if (responses.problem !== null) this.#tell('I8', `${this.name}: request ${index + 1} after a malformed response`);
    else if (responses.completeCount !== index) this.#tell('I8', `${this.name}: request ${index + 1} before response ${index} is whole`);
    else if (!responses.isBetween) this.#tell('I8', `${this.name}: request ${index + 1} with unread bytes on the connection`);
    if (this.hasPeerEnded) this.#tell('I8', `${this.name}: request ${index + 1} on a connection that its peer has ended`);
    const before = responses.messages[index - 1];
    if (before?.fields.some(([name, value]) => name.toLowerCase() === 'connection' && /\bclose\b/i.test(value)) === true) {
      this.#tell('I8', `${this.name}: request ${index + 1} after Connection: close`);
    }
  }
}
