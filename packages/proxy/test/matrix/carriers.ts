/** What lies below the protocols: pairs in memory, TLS over them, and wrapped ones; every parcel that moves is counted, so that quiet can be told. */
import type { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import type { WireError } from '@ferrata/error';
import { TlsClient, type TlsClientOptions, TlsServer } from '@ferrata/net';
import { type L4Sink, type L4Stream, memoryPair, rechunked, type StreamAddress, tapped } from '@ferrata/stream';
import type { Carrier, Protocol } from './ends.ts';

const HOST = 'origin.test';

/** Certificates of this process, made once. */
const pki = await (async () => {
  const authority = await createAuthority();
  const leaf = await authority.issue({ names: [HOST] });
  return { ca: authority.certificate, shown: { certificate: leaf.chain, key: leaf.key } };
})();

/** What TLS is to agree on; `auto`: whatever the other side prefers. */
export type Wanted = Protocol | 'auto';

function alpnOf(wanted: Wanted): readonly string[] {
  return { http1: ['http/1.1'], http2: ['h2'], auto: ['h2', 'http/1.1'] }[wanted];
}

/** The outer end of a connection, and a way to end it under what lies on top of it. */
export interface Outer {
  readonly stream: L4Stream;
  /** Ends the bytes below TLS, without its close_notify (RFC 8446 §6.1). Without TLS an end like any other. */
  endBare(): void;
  /** What has been carried, below TLS. */
  readonly carried: Carried;
}

/** Bytes that one side has written and the other has taken. */
export interface Carried {
  /** By the proxy, from the outer end. */
  taken(): number;
  /** By the outer end, from the proxy. */
  given(): number;
}

/** Both ends of a connection, below TLS. */
interface Pair {
  readonly inner: L4Stream;
  readonly outer: L4Stream;
  readonly carried: Carried;
}

/** How connections are made. */
export interface CarrierOptions {
  /** From how many unread bytes on a connection is full. Default: that of `memoryPair`. */
  readonly highWaterBytes?: number;
  /** How large a piece of what clients write is at most, below TLS: one that comes whole is held whole. Default: as large as they write it. */
  readonly pieceBytes?: number;
  /** Handshakes that a server has begun, at most. Default: that of `TlsServer`. */
  readonly maxHandshakes?: number;
}

/** All connections of one world. */
export class Carriers {
  /** Parcels that have moved, both ways. */
  activity = 0;
  readonly #clock: ManualClock;
  readonly #options: CarrierOptions;
  readonly #servers = new Map<Wanted, TlsServer>();
  readonly #clients = new Map<Wanted, TlsClient>();
  readonly #patient = new Map<Wanted, TlsClient>();
  readonly failures: WireError[] = [];

  constructor(clock: ManualClock, options: CarrierOptions = {}) {
    this.#clock = clock;
    this.#options = options;
  }

  close(): void {
    for (const server of this.#servers.values()) void server.close();
  }

  /** A connection from a client to the proxy, which accepts `onAccepted`; TLS stands when the promise is fulfilled. */
  toProxy(carrier: Carrier, protocol: Protocol, onAccepted: (stream: L4Stream) => void): Promise<Outer> {
    const { inner, outer: end, carried } = this.#pair();
    const { pieceBytes } = this.#options;
    const outer = pieceBytes === undefined ? end : rechunked(end, { outgoing: [pieceBytes] });
    if (carrier !== 'tls') {
      onAccepted(carrier === 'virtual' ? wrapped(inner) : inner);
      return Promise.resolve(bare(outer, carried));
    }
    this.server(protocol).accept(inner, { onSecure: onAccepted, onHandshakeFailed: (error) => void this.failures.push(error) });
    return this.secure(outer, protocol, carried);
  }

  /** The same of which nothing is made yet: whoever accepts it sees it come from `from`. @returns the client's end below TLS */
  toDoor(carrier: Carrier, from: StreamAddress, onAccepted: (stream: L4Stream) => void): L4Stream {
    const { inner, outer } = this.#pair(from);
    onAccepted(carrier === 'virtual' ? wrapped(inner) : inner);
    return outer;
  }

  /** Makes a client's end secure; it is more patient than any server. @throws {WireError} rejects with why the handshake failed */
  secure(outer: L4Stream, protocol: Protocol, carried: Carried = UNKNOWN): Promise<Outer> {
    const client = this.#of(this.#patient, protocol, () => this.#newClient(protocol, { handshakeTimeoutMs: 600_000 }));
    return new Promise((resolve, reject) => {
      client.connect(outer, {
        onSecure: (stream) => resolve({ stream, endBare: () => outer.end(), carried }),
        onHandshakeFailed: reject,
      });
    });
  }

  /** A connection from the proxy to an origin, which accepts `onAccepted`. @returns the proxy's end, on which it makes TLS by itself */
  toOrigin(carrier: Carrier, wanted: Wanted, onAccepted: (outer: Outer) => void): L4Stream {
    const { inner, outer, carried } = this.#pair();
    if (carrier !== 'tls') {
      onAccepted(bare(outer, carried));
      return carrier === 'virtual' ? wrapped(inner) : inner;
    }
    this.secureOrigin(outer, wanted, onAccepted, carried);
    return inner;
  }

  /** Makes the handshake of an origin. */
  secureOrigin(outer: L4Stream, wanted: Wanted, onAccepted: (outer: Outer) => void, carried: Carried = UNKNOWN): void {
    this.server(wanted).accept(outer, {
      onSecure: (stream) => onAccepted({ stream, endBare: () => outer.end(), carried }),
      onHandshakeFailed: (error) => void this.failures.push(error),
    });
  }

  /** Of the proxy: it trusts the authority of this process. */
  client(wanted: Wanted): TlsClient {
    return this.#of(this.#clients, wanted, () => this.#newClient(wanted));
  }

  #newClient(wanted: Wanted, more: TlsClientOptions = {}): TlsClient {
    const alpn = wanted === 'auto' ? {} : { alpn: alpnOf(wanted) };
    return new TlsClient({ ca: pki.ca, serverName: HOST, ...alpn, clock: this.#clock, ...more });
  }

  /** Of the proxy, or of an origin. */
  server(wanted: Wanted): TlsServer {
    const { maxHandshakes } = this.#options;
    return this.#of(
      this.#servers,
      wanted,
      () =>
        new TlsServer({
          certificates: [pki.shown],
          alpn: alpnOf(wanted),
          clock: this.#clock,
          watch: false,
          ...(maxHandshakes === undefined ? {} : { maxHandshakes }),
        }),
    );
  }

  #of<T>(made: Map<Wanted, T>, protocol: Wanted, make: () => T): T {
    const found = made.get(protocol) ?? make();
    made.set(protocol, found);
    return found;
  }

  #pair(from: StreamAddress = { kind: 'unset' }): Pair {
    const written = { a: 0, b: 0 };
    const { highWaterBytes } = this.#options;
    const { a, b } = memoryPair({
      ...(highWaterBytes === undefined ? {} : { highWaterBytes }),
      addressB: from,
      clock: this.#clock,
      carry: (parcel, deliver, side) => {
        this.activity++;
        if (parcel.kind === 'data') written[side] += parcel.chunk.length;
        deliver(parcel);
      },
    });
    return { inner: a, outer: b, carried: { taken: () => written.b - b.bufferedBytes, given: () => written.a - a.bufferedBytes } };
  }
}

/** Of connections that nobody counts. */
const UNKNOWN: Carried = { taken: () => 0, given: () => 0 };

/** A stream in two wrappers that brings one byte at a time, and takes three. */
export function wrapped(stream: L4Stream): L4Stream {
  return tapped(rechunked(stream, { incoming: [1], outgoing: [3] }), {});
}

export function bare(stream: L4Stream, carried: Carried = UNKNOWN): Outer {
  return { stream, endBare: () => stream.end(), carried };
}

/** A stream whose writes can be dropped from some moment on: a peer that has gone silent says nothing at all, not even what its protocol owes. */
export class MutableStream implements L4Stream {
  isMuted = false;
  readonly #inner: L4Stream;

  constructor(inner: L4Stream) {
    this.#inner = inner;
  }

  get id(): number {
    return this.#inner.id;
  }
  get info(): L4Stream['info'] {
    return this.#inner.info;
  }
  get state(): L4Stream['state'] {
    return this.#inner.state;
  }
  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }
  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inner.attach(sink, head);
  }
  write(chunk: Uint8Array): boolean {
    return this.isMuted || this.#inner.write(chunk);
  }
  writev(chunks: readonly Uint8Array[]): boolean {
    return this.isMuted || this.#inner.writev(chunks);
  }
  pause(): void {
    this.#inner.pause();
  }
  resume(): void {
    this.#inner.resume();
  }
  end(): void {
    if (!this.isMuted) this.#inner.end();
  }
  abort(error?: WireError): void {
    this.#inner.abort(error);
  }
}
