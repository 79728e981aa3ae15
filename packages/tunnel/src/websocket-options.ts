/** Options of WebSocket sessions and streams: the machine's, and those of their life on a stream. */
import { checkWholeNumber, type WireError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import {
  type DeflateOptions,
  type DeflateParameters,
  type ResolvedWebSocketOptions,
  resolveDeflateOptions,
  resolveWebSocketOptions,
  type WebSocketOptions,
} from '@ferrata/websocket';
import { zlibCompression } from './websocket-compression.ts';

/** Options of a `WebSocketSession` or a stream over WebSocket. */
export interface WebSocketSessionOptions extends Omit<WebSocketOptions, 'deflate'> {
  /** Clock, deadlines and chance; give the one of your server or pool to share timers. Default: one for all of this thread that are given none. */
  readonly environment?: HttpEnvironment;
  /**
   * Unsent bytes on top of which a further message aborts the connection (`limit STREAM_WRITE_OVERFLOW`): for programs that go on sending though they
   * were told to wait. Default 16 MiB. Raising it costs memory for a peer that reads slowly.
   */
  readonly hardLimitBytes?: number;
  /** The stream below has closed, which is later than the end of the session where that failed; for who counts connections. */
  readonly onStreamClosed?: (error: WireError | null) => void;
}

/** With every default filled in. */
export interface ResolvedWebSocketSessionOptions {
  readonly machine: ResolvedWebSocketOptions;
  readonly environment: HttpEnvironment;
  readonly hardLimitBytes: number;
  readonly onStreamClosed: ((error: WireError | null) => void) | null;
}

/** Of sessions that are given none, made with the first of them: an environment has an output buffer of 32 KiB, and timers. */
let shared: HttpEnvironment | null = null;

/**
 * Judges options before a handshake, as they will be judged after it.
 *
 * @param deflate what this end offers or accepts, or null
 * @throws {RangeError} when a number makes no sense, or messages may be compressed and have no limit
 */
export function checkWebSocketSessionOptions(options: WebSocketSessionOptions, deflate: DeflateOptions | null): void {
  resolveWebSocketSessionOptions(options, deflate === null ? null : resolveDeflateOptions(deflate));
}

/**
 * Fills in the defaults of one session.
 *
 * @param deflate what the handshake has agreed on
 * @throws {RangeError} when a number makes no sense, or messages are compressed and have no limit
 */
export function resolveWebSocketSessionOptions(
  options: WebSocketSessionOptions,
  deflate: DeflateParameters | null,
): ResolvedWebSocketSessionOptions {
  const { environment = (shared ??= new HttpEnvironment()), hardLimitBytes = 0x100_0000, onStreamClosed = null, ...machine } = options;
  checkWholeNumber('hardLimitBytes', hardLimitBytes, { min: 1 });
  const compression = deflate === null ? null : (options.compression ?? zlibCompression());
  return {
    machine: resolveWebSocketOptions({ random: environment.random, ...machine, deflate, compression }),
    environment,
    hardLimitBytes,
    onStreamClosed,
  };
}
