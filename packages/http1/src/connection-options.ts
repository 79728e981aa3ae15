/** Options of the two connection machines, with the defaults that the whole project keeps to. */
import { checkNumber } from '@ferrata/error';
import {
  type RequestDecoderOptions,
  type ResolvedRequestDecoderOptions,
  type ResolvedResponseDecoderOptions,
  type ResponseDecoderOptions,
  resolveRequestDecoderOptions,
  resolveResponseDecoderOptions,
} from './options.ts';

/** Options of a `ServerConnection`. All times in milliseconds. */
export interface ServerConnectionOptions {
  /** Limits of requests. */
  readonly decoder?: RequestDecoderOptions;
  /** From accepting a connection to its first byte. Default 15 000. More lets idle strangers hold descriptors for longer. */
  readonly firstByteTimeoutMs?: number;
  /** From the first byte of a head to its end, however many bytes come between. Default 10 000. More gives slow-head attacks more room. */
  readonly headTimeoutMs?: number;
  /** Between two bytes of a body that is wanted. Default 30 000. */
  readonly bodyTimeoutMs?: number;
  /** How long a body may come below the minimum rate at its beginning. Default 10 000. */
  readonly bodyGraceMs?: number;
  /** Least average rate of a body after the grace. Default 240 B/s; 0 switches the check off. */
  readonly minBodyBytesPerSecond?: number;
  /** Between two requests of one connection. Default 60 000. */
  readonly idleTimeoutMs?: number;
  /** Requests on one connection; the last answer says `Connection: close`. Default 1 000. */
  readonly maxRequests?: number;
  /**
   * Bytes of a body that are read and thrown away after an early response, to keep the connection. Default 65 536. More lets a client make the
   * server read for nothing. If more are left, or nobody knows how many (chunks), the response says `Connection: close`.
   */
  readonly maxDrainBytes?: number;
  /** Interim responses to one request. Default 8; more are dropped. The 100 that a client waits for is not counted. */
  readonly maxInterimResponses?: number;
  /**
   * `false`: bytes behind a request that come before its answer is whole are not looked at, and the connection ends with that answer; a client
   * that pipelines sends such requests again (RFC 9112 §9.3.2). Costs those clients a connection for each answer. Default true.
   */
  readonly allowPipelining?: boolean;
  /**
   * `true`: an answer to HTTP/1.1 says `Connection: keep-alive` where the connection goes on. Nobody needs that (RFC 9112 §9.3), but there are
   * clients that look for it. Default false.
   */
  readonly sayKeepAlive?: boolean;
}

/** `ServerConnectionOptions` with every default filled in. */
export interface ResolvedServerConnectionOptions extends Required<Omit<ServerConnectionOptions, 'decoder'>> {
  readonly decoder: ResolvedRequestDecoderOptions;
  readonly isResolved: true;
}

/** What `ServerConnection.setBounds` may set for one exchange: options of the same names. */
export interface ServerExchangeBounds {
  readonly bodyTimeoutMs: number;
  /** 0: a response that begins before its request is whole says `Connection: close`; a request without a body is whole. */
  readonly maxDrainBytes: number;
  readonly maxInterimResponses: number;
  /** `true`: no request may follow; `false` takes back no other reason for that. Default `false`. */
  readonly isLast?: boolean;
}

/** Options of a `ClientConnection`. All times in milliseconds. */
export interface ClientConnectionOptions {
  /** Limits of responses. */
  readonly decoder?: ResponseDecoderOptions;
  /** From the end of the request, or of an interim response, to the first byte of the next response. Default 60 000. */
  readonly firstByteTimeoutMs?: number;
  /**
   * From the first byte of a response head to its end, however many bytes come between; each interim response anew. Default 60 000. More lets a
   * server that drips its head hold a request, and what waits for it, for longer.
   */
  readonly headTimeoutMs?: number;
  /** Between two bytes of a response that is wanted; bytes of the request count too. Default 60 000. */
  readonly readTimeoutMs?: number;
  /** Requests on one connection. Default 1 000. */
  readonly maxRequests?: number;
  /** Interim responses to one request; one more is an error, as a storm of them would hold the client. Default 100: a slow server may say 102 every few seconds. */
  readonly maxInterimResponses?: number;
}

/** `ClientConnectionOptions` with every default filled in. */
export interface ResolvedClientConnectionOptions extends Required<Omit<ClientConnectionOptions, 'decoder'>> {
  readonly decoder: ResolvedResponseDecoderOptions;
  readonly isResolved: true;
}

/** @throws {RangeError} when a value makes no sense; the message names the option */
export function resolveServerConnectionOptions(
  options: ServerConnectionOptions | ResolvedServerConnectionOptions = {},
): ResolvedServerConnectionOptions {
  if ('isResolved' in options) return options;
  return Object.freeze({
    isResolved: true,
    decoder: resolveRequestDecoderOptions(options.decoder),
    firstByteTimeoutMs: checkNumber('firstByteTimeoutMs', options.firstByteTimeoutMs ?? 15_000, { above: 0 }),
    headTimeoutMs: checkNumber('headTimeoutMs', options.headTimeoutMs ?? 10_000, { above: 0 }),
    bodyTimeoutMs: checkNumber('bodyTimeoutMs', options.bodyTimeoutMs ?? 30_000, { above: 0 }),
    bodyGraceMs: checkNumber('bodyGraceMs', options.bodyGraceMs ?? 10_000, { min: 0 }),
    minBodyBytesPerSecond: checkNumber('minBodyBytesPerSecond', options.minBodyBytesPerSecond ?? 240, { min: 0 }),
    idleTimeoutMs: checkNumber('idleTimeoutMs', options.idleTimeoutMs ?? 60_000, { above: 0 }),
    maxRequests: checkNumber('maxRequests', options.maxRequests ?? 1_000, { above: 0 }),
    maxDrainBytes: checkNumber('maxDrainBytes', options.maxDrainBytes ?? 65_536, { min: 0 }),
    maxInterimResponses: checkNumber('maxInterimResponses', options.maxInterimResponses ?? 8, { min: 0 }),
    allowPipelining: checkFlag('allowPipelining', options.allowPipelining ?? true),
    sayKeepAlive: checkFlag('sayKeepAlive', options.sayKeepAlive ?? false),
  });
}

/** @throws {RangeError} when a value makes no sense; the message names the option */
export function resolveClientConnectionOptions(
  options: ClientConnectionOptions | ResolvedClientConnectionOptions = {},
): ResolvedClientConnectionOptions {
  if ('isResolved' in options) return options;
  return Object.freeze({
    isResolved: true,
    decoder: resolveResponseDecoderOptions(options.decoder),
    firstByteTimeoutMs: checkNumber('firstByteTimeoutMs', options.firstByteTimeoutMs ?? 60_000, { above: 0 }),
    headTimeoutMs: checkNumber('headTimeoutMs', options.headTimeoutMs ?? 60_000, { above: 0 }),
    readTimeoutMs: checkNumber('readTimeoutMs', options.readTimeoutMs ?? 60_000, { above: 0 }),
    maxRequests: checkNumber('maxRequests', options.maxRequests ?? 1_000, { above: 0 }),
    maxInterimResponses: checkNumber('maxInterimResponses', options.maxInterimResponses ?? 100, { min: 0 }),
  });
}

function checkFlag(name: string, value: boolean): boolean {
  if (typeof value !== 'boolean') throw new RangeError(`${name} must be true or false`);
  return value;
}
