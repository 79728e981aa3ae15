/** What a reverse proxy can be told. */
import type { WireError } from '@ferrata/error';
import type { Refusal } from '@ferrata/http';
import type { CompressionOptions } from '@ferrata/http-modules';
import type { AcceptProxyOptions, TlsClientOptions, TlsServerOptions } from '@ferrata/net';
import type { ProxySession } from '@ferrata/proxy';
import type { StreamInfo } from '@ferrata/stream';
import type { ProxyHeaderVersion } from '@ferrata/upstream';
import type { LoadBalancing } from './load-balance.ts';
import type { Route } from './routes.ts';
import type { ListenAddress, OriginAddress } from './urls.ts';

/** What to run. Times in milliseconds. */
export interface ReverseProxyOptions {
  /** Where to accept connections; at least one. */
  readonly listen: readonly ListenAddress[];
  /** Where requests go that none of `routes` takes, in turn. At least one, here or in `routes`; without any here, those requests are answered 404. */
  readonly to?: readonly OriginAddress[];
  /** Where requests go whose path begins with a prefix: the longest one counts, on the borders of segments. Each has turns of its own. Default none. */
  readonly routes?: readonly Route[];
  /** How requests are shared out among the origins of each route. Default: they take turns. */
  readonly balancing?: LoadBalancing;
  /** What sticky cookies are signed with. Default: drawn at the start. */
  readonly secretSticky?: string;
  /** Told what becomes of origins: that one is not well, or well again. Must not throw. */
  readonly onOriginNotice?: (text: string, isGood: boolean) => void;
  /** Changes of the fields of requests, in their order: `Name: value` sets, `+Name: value` adds a line, `-Name` removes. Default none. */
  readonly headerUp?: readonly string[];
  /** The same for responses of origins; not for interim ones, nor for what the proxy itself answers. Default none. */
  readonly headerDown?: readonly string[];
  /** Compresses responses. Default: they stay as they are. */
  readonly compression?: CompressionOptions;
  /** How often a request that was sent may be sent again, 0 or more. Default 1. Raising it multiplies the load on failing origins. */
  readonly retries?: number;
  /** Connections of clients begin with a PROXY header. Default: they do not. */
  readonly acceptProxy?: AcceptProxyOptions;
  /** Connections to origins begin with a PROXY header of this version, and each is for the requests of one client alone. Default: none is sent. */
  readonly sendProxyHeader?: ProxyHeaderVersion;
  /**
   * TLS of the listeners with `isSecure`, which need it: certificates, and whatever else. Unless it says otherwise, `alpn` is `h2` and `http/1.1`, `maxHandshakes`
   * 1 024 and `maxPending` 8 192, or less: both together are at most a quarter of the open files, and with few of them an eighth each.
   */
  readonly tls?: TlsServerOptions;
  /** TLS towards the origins with `isSecure`. Default: verified by the authorities that Node comes with. */
  readonly upstreamTls?: TlsClientOptions;
  /** Called for each connection whose TLS handshake failed, with the facts of the connection below. Must not throw. */
  readonly onHandshakeFailed?: (error: WireError, info: StreamInfo) => void;
  /** Called for each connection without a PROXY header that is believed, where there must be one. Must not throw. */
  readonly onProxyHeaderFailed?: (error: WireError, info: StreamInfo) => void;
  /** Called each time no connection could be made to an origin. Must not throw. */
  readonly onOriginFailed?: (origin: OriginAddress, error: WireError) => void;
  /** HTTP/2: requests at once on one connection to an origin. Default 100. */
  readonly upstreamStreams?: number;
  /**
   * Connections at once to one origin, tunnels included where it is given. Default: 64 of HTTP/2; to an origin of HTTP/1 alone as many as are asked
   * for; 1 024 of HTTP/1 over TLS.
   */
  readonly upstreamConnections?: number;
  /** Until a connection to an origin stands. Default 3 000. */
  readonly connectTimeoutMs?: number;
  /** Until an origin sends the first byte of its response, and between two bytes of it. Default 60 000. */
  readonly readTimeoutMs?: number;
  /** How long a client's connection may stay without a request. Default 60 000; a new connection has 15 000 for its first byte in any case. */
  readonly idleTimeoutMs?: number;
  /** Bytes of a request's head. Default 32 768. Raising it lets each connection hold more memory. */
  readonly maxHeaderBytes?: number;
  /** Called once for each request that reached the proxy. */
  readonly onSession?: (session: ProxySession, error: WireError | null) => void;
  /** Called once for each request that was refused before. */
  readonly onRefused?: (refusal: Refusal) => void;
  /** Called with what `onSession` threw; the request itself is not affected. Must not throw. Default: nothing. */
  readonly onHookFailed?: (error: WireError) => void;
}
