/**
 * Makes the stream that a session runs on, layer by layer: the transport (a socket, a tunnel through a proxy, or what a function of the user makes), the PROXY
 * header, TLS.
 *
 * ```text
 *   connect │ via a proxy │ of the user's own ──► PROXY header ──► TLS ──► tracer ──► the stream
 *   └──────── connectTimeoutMs ────────────┘                       └ tlsTimeoutMs
 *   └──────────────────────── totalTimeoutMs ─────────────────────────┘
 * ```
 */
import { isWireError, type WireError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { type ConnectOptions, connect } from '@ferrata/net';
import { callUser, type L4Stream, type StreamInfo, tapped } from '@ferrata/stream';
import { AddressTurns } from './address-turns.ts';
import { headed } from './headed-stream.ts';
import {
  checkOpen,
  connectLimit,
  dropStream,
  notConnected,
  type OpenStream,
  openInTime,
  secureInTime,
  toConnectError,
  withinReach,
} from './open-stream.ts';
import { openVia } from './open-via.ts';
import type { Peer } from './peer.ts';
import type { PeerVia } from './peer-via.ts';
import { isIpv6 } from './source-addresses.ts';

type LookupFunction = NonNullable<ConnectOptions['lookup']>;

/** Looks names up in place of `dns.lookup`: a `DnsResolver` of @ferrata/net is one. */
export interface NameResolver {
  readonly lookup: LookupFunction;
}

/** Told of the connections of a peer, those that become tunnels included. What it throws is dropped. */
export interface ConnectionTracer {
  /** Transport and TLS stand. */
  onConnected?(info: StreamInfo): void;
  /** Once for each of them. `error`: why it ended, null where it ended in order. */
  onDisconnected?(info: StreamInfo, error: WireError | null): void;
}

/** What an opener works with. */
export interface StreamOpenerOptions {
  readonly environment: HttpEnvironment;
  /** In place of sockets, for peers without a way of their own; null: none. */
  readonly open: OpenStream | null;
  /** Null: `dns.lookup`. */
  readonly resolver: NameResolver | null;
}

/** Why a name has nothing for a source address of one family, so that one of the other may do. */
const OTHER_FAMILY_MAY_DO: ReadonlySet<string> = new Set(['DNS_NOT_FOUND', 'CONNECT_NO_ROUTE']);

/** See the file's comment. */
export class StreamOpener {
  readonly #environment: HttpEnvironment;
  readonly #open: OpenStream | null;
  readonly #resolver: NameResolver | null;

  constructor({ environment, open, resolver }: StreamOpenerOptions) {
    this.#environment = environment;
    this.#open = open;
    this.#resolver = resolver;
  }

  /** @throws {WireError} rejects with why there is no stream, or with whatever a function of the user threw; nothing is left open then */
  async open(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    try {
      return await this.#openLayers(peer, signal);
    } catch (thrown) {
      if (peer.via === null) throw thrown;
      const error = toConnectError(thrown);
      // Every peer behind this proxy would fail in the same way, and it may have connected: nothing says that another try is of use.
      error.retry = 'never';
      throw error;
    }
  }

  async #openLayers(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    const { tls, totalTimeoutMs, tracer } = peer;
    const startedAt = this.#environment.now();
    const transport = checkOpen(await this.#openTransport(peer, signal), peer);
    let stream = transport;
    if (tls === null) {
      // The chunk belongs to the stream, and the next connection says the same.
      if (peer.proxyHeader !== null) stream = headed(transport, peer.proxyHeader.slice(), this.#environment);
    } else {
      if (peer.proxyHeader !== null) sayFirst(transport, peer.proxyHeader);
      const leftMs = startedAt + totalTimeoutMs - this.#environment.now();
      stream = checkOpen(await secureInTime(transport, { peer, tls, deadlines: this.#environment.deadlines, signal, leftMs }), peer);
    }
    return tracer === null ? stream : traced(stream, tracer);
  }

  #openTransport(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    const { deadlines } = this.#environment;
    const { via } = peer;
    if (via !== null) return this.#openTunnel(peer, via, signal);
    const open = peer.connect ?? this.#open;
    return open === null ? this.#connect(peer, signal) : openInTime(open, peer, deadlines, signal);
  }

  /** Through a proxy, which is connected to in the same time. */
  #openTunnel(peer: Peer, via: PeerVia, signal: AbortSignal | undefined): Promise<L4Stream> {
    const environment = this.#environment;
    const open: OpenStream = async (_peer, inner) => openVia(await this.open(via.proxy, inner), { peer, via, environment, signal: inner });
    return openInTime(open, peer, environment.deadlines, signal);
  }

  /** By a socket, from one of the source addresses; where the name has nothing for that one, from one of the other family. */
  async #connect(peer: Peer, signal: AbortSignal | undefined): Promise<L4Stream> {
    const { random } = this.#environment;
    const sources = peer.localAddresses;
    const [only] = sources;
    if (only === undefined) return this.#dial(peer, signal, {});
    const startedAt = this.#environment.now();
    const first = sources.length > 1 ? (sources[random.below(sources.length)] as string) : only;
    try {
      return await this.#connectFrom(first, peer, { signal, startedAt });
    } catch (thrown) {
      const others = sources.filter((source) => isIpv6(source) !== isIpv6(first));
      const other = others.length === 0 ? undefined : others[random.below(others.length)];
      const mayTry =
        other !== undefined && isWireError(thrown) && OTHER_FAMILY_MAY_DO.has(thrown.reason) && this.#since(startedAt) < connectLimit(peer);
      if (!mayTry) throw thrown;
      return this.#connectFrom(other, peer, { signal, startedAt });
    }
  }

  /** To the addresses of the peer in turn, `attemptTimeoutMs` each; the last one has what is left of the time. */
  async #connectFrom(localAddress: string, peer: Peer, { signal, startedAt }: Dialling): Promise<L4Stream> {
    const environment = this.#environment;
    const { deadlines } = environment;
    let skip = new AbortController();
    const deadline = deadlines.deadline(() => skip.abort());
    let isTrying = false;
    const turns = new AddressTurns(this.#lookup, () => {
      // Whoever looks names up knows nothing of giving up, and may answer afterwards.
      if (isTrying && !turns.isLast) deadline.arm(withinReach(peer.attemptTimeoutMs, deadlines));
    });
    let spentMs = this.#since(startedAt);
    if (spentMs >= connectLimit(peer)) throw notConnected(peer);
    for (; ; turns.next(), skip = new AbortController()) {
      isTrying = true;
      const given = signal === undefined ? skip.signal : AbortSignal.any([signal, skip.signal]);
      try {
        return await this.#dial(peer, given, { localAddress, lookup: turns.lookup, spentMs });
      } catch (thrown) {
        if (signal?.aborted === true) throw thrown;
        spentMs = this.#since(startedAt);
        if (spentMs >= connectLimit(peer)) throw notConnected(peer);
        if (turns.isLast) throw thrown;
      } finally {
        isTrying = false;
        deadline.cancel();
      }
    }
  }

  /** Whole milliseconds, so that what is left of a limit is one. */
  #since(startedAt: number): number {
    return Math.floor(this.#environment.now() - startedAt);
  }

  get #lookup(): LookupFunction | null {
    const resolver = this.#resolver;
    return resolver === null ? null : (...asked) => resolver.lookup(...asked);
  }

  #dial(peer: Peer, signal: AbortSignal | undefined, { localAddress, lookup = this.#lookup, spentMs = 0 }: Dial): Promise<L4Stream> {
    const { deadlines, clock } = this.#environment;
    return connect(peer.address, {
      connectTimeoutMs: withinReach(peer.connectTimeoutMs - spentMs, deadlines),
      attemptTimeoutMs: peer.attemptTimeoutMs,
      // The handshake is made here, and has what is left.
      ...(peer.tls === null ? {} : { totalTimeoutMs: withinReach(peer.totalTimeoutMs - spentMs, deadlines) }),
      deadlines,
      clock,
      keepAliveMs: peer.keepAliveMs,
      ...(signal === undefined ? {} : { signal }),
      ...(localAddress === undefined ? {} : { localAddress }),
      ...(lookup === null ? {} : { lookup }),
    });
  }
}

/** Whose wish it is, and since when. */
interface Dialling {
  readonly signal: AbortSignal | undefined;
  readonly startedAt: number;
}

/** What one attempt at a connection has of its own. */
interface Dial {
  readonly localAddress?: string;
  /** Null: the system's. Default: the resolver's. */
  readonly lookup?: LookupFunction | null;
  /** How much of the time of connecting is over, ms. */
  readonly spentMs?: number;
}

/** Before TLS, which writes to the socket itself. A stream of the user's that throws is gone. */
function sayFirst(stream: L4Stream, bytes: Uint8Array): void {
  try {
    stream.write(bytes.slice());
  } catch (thrown) {
    dropStream(stream);
    throw thrown;
  }
}

function traced(stream: L4Stream, tracer: ConnectionTracer): L4Stream {
  const { info } = stream;
  callUser(
    () => tracer.onConnected?.(info),
    () => {},
  );
  let isOpen = true;
  let isAttached = false;
  const tellEnd = (error: WireError | null): void => {
    // Each sink of a stream hears of its close.
    if (!isOpen) return;
    isOpen = false;
    callUser(
      () => tracer.onDisconnected?.(info, error),
      () => {},
    );
  };
  return tapped(stream, {
    onAttach: () => {
      isAttached = true;
    },
    onClose: tellEnd,
    // Given up before anybody read from it: there is no sink to be told.
    onAbort: (error) => {
      if (!isAttached) tellEnd(error ?? null);
    },
  });
}
