/**
 * Options of a connection, with the defaults that the whole project keeps to. Sizes are bytes, times milliseconds.
 */
import { type Random, systemRandom } from '@ferrata/clock';
import { checkNumber, checkWholeNumber } from '@ferrata/error';
import type { DeflateParameters } from './deflate-negotiation.ts';
import type { MakeMessageCompression } from './message-compression.ts';

/** Options of a `WebSocketConnection`. */
export interface WebSocketOptions {
  /**
   * Bytes of one message of the peer, expanded if it was compressed. Default 16 MiB; `Infinity` for no limit, which suits only messages that are
   * never gathered, and is refused where `deflate` is agreed on, as compressed messages always are. Raising it lets a peer make us hold so much.
   */
  readonly maxMessageBytes?: number;
  /**
   * Frames of one message of the peer, beyond one for every 64 bytes of it. Default 1 024. Each costs the peer two to six bytes and us a turn.
   */
  readonly maxFragments?: number;
  /** Pings of the peer a second, and pongs beyond our pings, on average. Default 100. Each costs a turn and an answer. */
  readonly maxControlFramesPerSecond?: number;
  /** How many of them may come at once. Default 1 000. */
  readonly maxControlFrameBurst?: number;
  /**
   * Bytes of output that nobody has taken up to which every ping is answered; from there on only the latest is (RFC 6455 §5.5.3). Default 16 384.
   * A peer that sends pings and reads nothing can make us hold so much.
   */
  readonly maxQueuedPongBytes?: number;

  /** What both ends have agreed on for permessage-deflate, or null for no compression. Default null. Needs `compression`. */
  readonly deflate?: DeflateParameters | null;
  /** Makes what compresses; none by default. */
  readonly compression?: MakeMessageCompression | null;
  /** Messages from this many bytes on are compressed, where agreed. Default 1 024: below it little is saved. */
  readonly compressFromBytes?: number;
  /**
   * How many times larger than its payload an expanded message may be, if it has more than 1 MiB. Default 100; at most 1 032 is possible. Raising it
   * lets a peer buy so much of our memory and time for one byte. (Up to 1 MiB any ratio is allowed: ordinary tables have 500. A larger one of that
   * kind is refused by a peer with this default, unless it is sent in fragments, which are never compressed.)
   */
  readonly maxInflateRatio?: number;

  /**
   * Whether the peer's Close is answered at once (RFC 6455 §5.5.1). Default true. With false the connection stays open for our messages until
   * `close` is called, as a half-closed stream is; a peer need not listen to them.
   */
  readonly isCloseAnswered?: boolean;
  /** From our Close to the peer's, also while reading is paused. Default 10 000; `Infinity` for no limit. */
  readonly closeTimeoutMs?: number;
  /** How long a client waits for the server to end the connection after both Closes (RFC 6455 §7.1.1). Default 2 000. */
  readonly endTimeoutMs?: number;
  /** How long a peer may be silent before a ping asks whether it lives; 0: never asked. Default 30 000. */
  readonly pingIntervalMs?: number;
  /** From such a ping to any byte of the peer. Default 10 000. A caller who sees that bytes before it still leave says so by `noteLife`. */
  readonly pongTimeoutMs?: number;
  /** Where masking keys come from (client). Default `systemRandom`; another must be as hard to foresee (RFC 6455 §5.3), but in tests. */
  readonly random?: Random;
}

/** `WebSocketOptions` with every default filled in. */
export interface ResolvedWebSocketOptions extends Required<WebSocketOptions> {
  readonly isResolved: true;
}

/**
 * Fills in the defaults, once for all connections with the same options.
 *
 * @throws {RangeError} when a number makes no sense, or compressed messages would have no limit
 * @throws {TypeError} when compression was agreed on, and nothing is given that compresses
 */
export function resolveWebSocketOptions(options: WebSocketOptions | ResolvedWebSocketOptions = {}): ResolvedWebSocketOptions {
  if ('isResolved' in options) return options;
  const { deflate = null, compression = null } = options;
  if (deflate !== null && compression === null) throw new TypeError('deflate was agreed on, but no compression is given');
  if (deflate !== null && options.maxMessageBytes === Infinity) {
    throw new RangeError('maxMessageBytes must be finite where deflate is agreed on: compressed messages are gathered');
  }
  return Object.freeze({
    isResolved: true,
    maxMessageBytes: whole('maxMessageBytes', options.maxMessageBytes ?? 0x100_0000, 1, Infinity),
    maxFragments: whole('maxFragments', options.maxFragments ?? 1_024, 1, Infinity),
    maxControlFramesPerSecond: checkNumber('maxControlFramesPerSecond', options.maxControlFramesPerSecond ?? 100, { above: 0 }),
    maxControlFrameBurst: whole('maxControlFrameBurst', options.maxControlFrameBurst ?? 1_000, 1, Infinity),
    maxQueuedPongBytes: whole('maxQueuedPongBytes', options.maxQueuedPongBytes ?? 16_384, 0, 0x4000_0000),
    deflate,
    compression,
    compressFromBytes: whole('compressFromBytes', options.compressFromBytes ?? 1_024, 0, Infinity),
    maxInflateRatio: checkNumber('maxInflateRatio', options.maxInflateRatio ?? 100, { min: 1 }),
    isCloseAnswered: options.isCloseAnswered ?? true,
    closeTimeoutMs: checkNumber('closeTimeoutMs', options.closeTimeoutMs ?? 10_000, { above: 0 }),
    endTimeoutMs: checkNumber('endTimeoutMs', options.endTimeoutMs ?? 2_000, { above: 0 }),
    pingIntervalMs: checkNumber('pingIntervalMs', options.pingIntervalMs ?? 30_000, { min: 0 }),
    pongTimeoutMs: checkNumber('pongTimeoutMs', options.pongTimeoutMs ?? 10_000, { above: 0 }),
    random: options.random ?? systemRandom,
  });
}

function whole(name: string, value: number, min: number, max: number): number {
  return checkWholeNumber(name, value, { min, max });
}
