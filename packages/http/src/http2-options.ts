/** Options of HTTP/2 sessions, with their defaults. */
import { checkNumber } from '@ferrata/error';
import { type Http2Options, type ResolvedHttp2Options, Role, resolveHttp2Options } from '@ferrata/http2';

/** Options of HTTP/2 connections in the server's role. Times in milliseconds. */
export interface Http2ServerOptions {
  /** Limits and time-outs of the protocol, see @ferrata/http2. */
  readonly connection?: Http2Options;
  /**
   * Extended CONNECT (RFC 8441), which is how WebSocket comes over HTTP/2: offered by SETTINGS_ENABLE_CONNECT_PROTOCOL, and told by
   * `ServerExchange.protocol`. Default: what `connection.isExtendedConnectEnabled` says, which is false: an application that does not look at
   * `protocol` would take such a request for a tunnel to a host. An endpoint that offers it must answer each, by `openTunnel` or a status.
   */
  readonly extendedConnect?: boolean;
  /** How long a client that reads nothing at all may hold a connection. Default 30 000. */
  readonly writeTimeoutMs?: number;
  /** How long a client that has ended its side may wait for a response to begin. Default 2 000; see `Http1ServerOptions.halfCloseGraceMs`. */
  readonly halfCloseGraceMs?: number;
  /** After the last frame is out: how long the peer's bytes are read and dropped before the connection is cut. Default 2 000. */
  readonly lingerTimeoutMs?: number;
  /** After the last frame: how many bytes are read and dropped. Default 16 777 216. */
  readonly maxLingeringBytes?: number;
  /** Age at which a connection says GOAWAY, ± 10 %. Default 3 600 000. */
  readonly maxConnectionAgeMs?: number;
}

/** `Http2ServerOptions` with every default filled in. */
export interface ResolvedHttp2ServerOptions extends Required<Omit<Http2ServerOptions, 'connection'>> {
  readonly connection: ResolvedHttp2Options;
}

/** Options of HTTP/2 connections in the client's role. Times in milliseconds. */
export interface Http2ClientOptions {
  /** Limits and time-outs of the protocol, see @ferrata/http2. */
  readonly connection?: Http2Options;
  /** How long a server that reads nothing at all may hold the connection. Default 30 000. */
  readonly writeTimeoutMs?: number;
  /** After GOAWAY: how long the server's bytes are read and dropped before the connection is cut. Default 1 000. */
  readonly lingerTimeoutMs?: number;
}

/** `Http2ClientOptions` with every default filled in. */
export interface ResolvedHttp2ClientOptions {
  readonly connection: ResolvedHttp2Options;
  readonly writeTimeoutMs: number;
  readonly lingerTimeoutMs: number;
}

/** @throws {RangeError} when a value makes no sense; the message names the option */
export function resolveHttp2ServerOptions(options: Http2ServerOptions = {}): ResolvedHttp2ServerOptions {
  const { extendedConnect } = options;
  if (extendedConnect !== undefined && typeof extendedConnect !== 'boolean') throw new TypeError('extendedConnect must be true or false');
  const resolved = resolveHttp2Options(Role.server, options.connection);
  const isOffered = extendedConnect ?? resolved.isExtendedConnectEnabled;
  return Object.freeze({
    connection:
      isOffered === resolved.isExtendedConnectEnabled ? resolved : Object.freeze({ ...resolved, isExtendedConnectEnabled: isOffered }),
    extendedConnect: isOffered,
    writeTimeoutMs: checkNumber('writeTimeoutMs', options.writeTimeoutMs ?? 30_000, { above: 0 }),
    halfCloseGraceMs: checkNumber('halfCloseGraceMs', options.halfCloseGraceMs ?? 2_000, { above: 0 }),
    lingerTimeoutMs: checkNumber('lingerTimeoutMs', options.lingerTimeoutMs ?? 2_000, { above: 0 }),
    maxLingeringBytes: checkNumber('maxLingeringBytes', options.maxLingeringBytes ?? 16_777_216, { above: 0 }),
    maxConnectionAgeMs: checkNumber('maxConnectionAgeMs', options.maxConnectionAgeMs ?? 3_600_000, { above: 0 }),
  });
}

/** @throws {RangeError} when a value makes no sense; the message names the option */
export function resolveHttp2ClientOptions(options: Http2ClientOptions = {}): ResolvedHttp2ClientOptions {
  return Object.freeze({
    connection: resolveHttp2Options(Role.client, options.connection),
    writeTimeoutMs: checkNumber('writeTimeoutMs', options.writeTimeoutMs ?? 30_000, { above: 0 }),
    lingerTimeoutMs: checkNumber('lingerTimeoutMs', options.lingerTimeoutMs ?? 1_000, { above: 0 }),
  });
}
