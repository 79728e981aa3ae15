/** What lies below the protocols: pairs in memory, TLS over them, and wrapped ones; every parcel that moves is counted, so that quiet can be told. */
import type { ManualClock } from '@ferrata/clock';
import { createAuthority } from '@ferrata/dev-certificates';
import type { WireError } from '@ferrata/error';
import { TlsClient, TlsServer } from '@ferrata/net';
import { type L4Sink, type L4Stream, memoryPair, rechunked, tapped } from '@ferrata/stream';
import type { Carrier, Protocol } from './ends.ts';

const HOST = 'origin.test';

/** Certificates of this process, made once. */
const pki = await (async () => {
  const authority = await createAuthority();
  const leaf = await authority.issue({ names: [HOST] });
  return { ca: authority.certificate, shown: { certificate: leaf.chain, key: leaf.key } };
})();

function alpnOf(protocol: Protocol): string {
  return protocol === 'http2' ? 'h2' : 'http/1.1';
}

/** The outer end of a connection, and a way to end it under what lies on top of it. */
export interface Outer {
  readonly stream: L4Stream;
  /** Ends the bytes below TLS, without its close_notify (RFC 8446 §6.1). Without TLS an end like any other. */
  endBare(): void;
}

/** All connections of one world. */
export class Carriers {
  /** Parcels that have moved, both ways. */
  activity = 0;
  readonly #clock: ManualClock;
  readonly #servers = new Map<Protocol, TlsServer>();
  readonly #clients = new Map<Protocol, TlsClient>();
  readonly failures: WireError[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  close(): void {
    for (const server of this.#servers.values()) void server.close();
  }

  /** A connection from a client to the proxy, which accepts `onAccepted`; TLS stands when the promise is fulfilled. */
  toProxy(carrier: Carrier, protocol: Protocol, onAccepted: (stream: L4Stream) => void): Promise<Outer> {
    const { inner, outer } = this.#pair();
    if (carrier !== 'tls') {
      onAccepted(carrier === 'virtual' ? wrapped(inner) : inner);
      return Promise.resolve(bare(outer));
    }
    this.#server(protocol).accept(inner, { onSecure: onAccepted, onHandshakeFailed: (error) => void this.failures.push(error) });
    return new Promise((resolve, reject) => {
      const client = this.client(protocol);
      client.connect(outer, { onSecure: (stream) => resolve({ stream, endBare: () => outer.end() }), onHandshakeFailed: reject });
    });
  }

  /** A connection from the proxy to an origin, which accepts `onAccepted`. @returns the proxy's end, on which it makes TLS by itself */
  toOrigin(carrier: Carrier, protocol: Protocol, onAccepted: (outer: Outer) => void): L4Stream {
    const { inner, outer } = this.#pair();
    if (carrier !== 'tls') {
      onAccepted(bare(outer));
      return carrier === 'virtual' ? wrapped(inner) : inner;
    }
    this.#server(protocol).accept(outer, {
      onSecure: (stream) => onAccepted({ stream, endBare: () => outer.end() }),
      onHandshakeFailed: (error) => void this.failures.push(error),
    });
    return inner;
  }

  /** Of the proxy, or of a client: it trusts the authority of this process. */
  client(protocol: Protocol): TlsClient {
    return this.#of(
      this.#clients,
      protocol,
      () => new TlsClient({ ca: pki.ca, serverName: HOST, alpn: [alpnOf(protocol)], clock: this.#clock }),
    );
  }

  #server(protocol: Protocol): TlsServer {
    return this.#of(
      this.#servers,
      protocol,
      () => new TlsServer({ certificates: [pki.shown], alpn: [alpnOf(protocol)], clock: this.#clock, watch: false }),
    );
  }

  #of<T>(made: Map<Protocol, T>, protocol: Protocol, make: () => T): T {
    const found = made.get(protocol) ?? make();
    made.set(protocol, found);
    return found;
  }

  #pair(): { readonly inner: L4Stream; readonly outer: L4Stream } {
    const { a, b } = memoryPair({
      clock: this.#clock,
      carry: (parcel, deliver) => {
        this.activity++;
        deliver(parcel);
      },
    });
    return { inner: a, outer: b };
  }
}

/** A stream in two wrappers that brings one byte at a time, and takes three. */
function wrapped(stream: L4Stream): L4Stream {
  return tapped(rechunked(stream, { incoming: [1], outgoing: [3] }), {});
}

function bare(stream: L4Stream): Outer {
  return { stream, endBare: () => stream.end() };
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
