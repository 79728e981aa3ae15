/** Options of sessions and servers, with their defaults. */
import { checkNumber } from '@ferrata/error';
import {
  type ClientConnectionOptions,
  type ResolvedClientConnectionOptions,
  type ResolvedServerConnectionOptions,
  resolveClientConnectionOptions,
  resolveServerConnectionOptions,
  type ServerConnectionOptions,
} from '@ferrata/http1';

/** Options of HTTP/1 connections in the server's role. Times in milliseconds. */
export interface Http1ServerOptions {
  /** Limits and time-outs of the protocol. */
  readonly connection?: ServerConnectionOptions;
  /** How long a client that reads nothing may hold a response. Default 30 000. */
  readonly writeTimeoutMs?: number;
  /**
   * Bytes of pipelined requests that are read ahead before reading stops. Default 16 384. They are stored, not looked at: a request is parsed
   * when the answer to the one before it is whole. More holds more memory for each client that pipelines.
   */
  readonly maxLookAheadBytes?: number;
  /** Chunks of pipelined requests that are read ahead, whatever their size: a chunk of one byte costs far more than its byte. Default 64. */
  readonly maxLookAheadChunks?: number;
  /**
   * How long a client that has ended its side may wait for a response to begin. Default 2 000.
   * A half-close and a close look alike until something is written: a longer grace serves slow answers to half-closed clients, and keeps
   * upstream work going for clients that are gone.
   */
  readonly halfCloseGraceMs?: number;
  /** After the last answer is out: how long the peer's bytes are read and dropped before the connection is cut. Default 2 000. */
  readonly lingerTimeoutMs?: number;
  /** After the last answer: how many bytes are read and dropped. Default 16 777 216: enough that an upload refused early can read its answer. */
  readonly maxLingeringBytes?: number;
  /** Age at which a connection gets its last answer, ± 10 %. Default 3 600 000. */
  readonly maxConnectionAgeMs?: number;
}

/** `Http1ServerOptions` with every default filled in. */
export interface ResolvedHttp1ServerOptions extends Required<Omit<Http1ServerOptions, 'connection'>> {
  readonly connection: ResolvedServerConnectionOptions;
}

/** Options of HTTP/1 connections in the client's role. Times in milliseconds. */
export interface Http1ClientOptions {
  /** Limits and time-outs of the protocol. */
  readonly connection?: ClientConnectionOptions;
  /** How long a server that reads nothing may hold a request. Default 30 000. */
  readonly writeTimeoutMs?: number;
}

/** `Http1ClientOptions` with every default filled in. */
export interface ResolvedHttp1ClientOptions {
  readonly connection: ResolvedClientConnectionOptions;
  readonly writeTimeoutMs: number;
}

/** @throws {RangeError} when a value makes no sense; the message names the option */
export function resolveHttp1ServerOptions(options: Http1ServerOptions = {}): ResolvedHttp1ServerOptions {
  return Object.freeze({
    connection: resolveServerConnectionOptions(options.connection),
    writeTimeoutMs: checkNumber('writeTimeoutMs', options.writeTimeoutMs ?? 30_000, { above: 0 }),
    maxLookAheadBytes: checkNumber('maxLookAheadBytes', options.maxLookAheadBytes ?? 16_384, { above: 0 }),
    maxLookAheadChunks: checkNumber('maxLookAheadChunks', options.maxLookAheadChunks ?? 64, { above: 0 }),
    halfCloseGraceMs: checkNumber('halfCloseGraceMs', options.halfCloseGraceMs ?? 2_000, { above: 0 }),
    lingerTimeoutMs: checkNumber('lingerTimeoutMs', options.lingerTimeoutMs ?? 2_000, { above: 0 }),
    maxLingeringBytes: checkNumber('maxLingeringBytes', options.maxLingeringBytes ?? 16_777_216, { above: 0 }),
    maxConnectionAgeMs: checkNumber('maxConnectionAgeMs', options.maxConnectionAgeMs ?? 3_600_000, { above: 0 }),
  });
}

/** @throws {RangeError} when a value makes no sense; the message names the option */
export function resolveHttp1ClientOptions(options: Http1ClientOptions = {}): ResolvedHttp1ClientOptions {
  return Object.freeze({
    connection: resolveClientConnectionOptions(options.connection),
    writeTimeoutMs: checkNumber('writeTimeoutMs', options.writeTimeoutMs ?? 30_000, { above: 0 }),
  });
}
