/**
 * Stops peers that ask for more work than they pay for.
 *
 * ```text
 *            time: perSecond            useful traffic: earns
 *                 │                            │
 *                 ▼                            ▼
 *            ╔═══════════════════════════════════════╗
 *            ║ bucket of one kind of event, ≤ burst  ║──── each event takes out ──▶ empty: the connection ends with
 *            ╚═══════════════════════════════════════╝                              ENHANCE_YOUR_CALM and the reason
 * ```
 * Rules of this file:
 * - A connection begins with full buckets, and time is looked at once for each chunk of input: an event costs one subtraction and one comparison.
 * - What legitimate peers do in proportion to traffic is paid by that traffic, whatever its rate: WINDOW_UPDATEs by the DATA they acknowledge,
 *   PINGs that measure the bandwidth by the DATA they ride on, resets by requests that came to an end, or by what a tunnel has carried. An attacker
 *   can earn only by real work.
 * - The first reason is final.
 *
 * | reason                  | stops                                                            |
 * | ----------------------- | ---------------------------------------------------------------- |
 * | H2_FLOOD_RESETS         | rapid reset (CVE-2023-44487) and MadeYouReset (CVE-2025-8671)    |
 * | H2_FLOOD_PREMATURE      | the same below the rate limit: half of the requests given up     |
 * | H2_FLOOD_STREAMS        | more new streams at once than could ever be served               |
 * | H2_FLOOD_REFUSED        | streams beyond the limit, which cost a decoded head each         |
 * | H2_FLOOD_PING           | CVE-2019-9512                                                    |
 * | H2_FLOOD_SETTINGS       | CVE-2019-9515                                                    |
 * | H2_FLOOD_PRIORITY       | CVE-2019-9513                                                    |
 * | H2_FLOOD_WINDOW_UPDATE  | WINDOW_UPDATE without traffic                                    |
 * | H2_FLOOD_TINY_WINDOW    | data dribble: windows opened by crumbs (CVE-2019-9511, …9517)    |
 * | H2_FLOOD_EMPTY_FRAMES   | CVE-2019-9518, and zero-byte CONTINUATION (CVE-2026-33870 class) |
 * | H2_FLOOD_TINY_DATA      | bodies sent byte by byte                                         |
 * | H2_FLOOD_OVERHEAD       | frames that bring less than they cost                            |
 * | H2_FLOOD_UNKNOWN        | frames that are passed over                                      |
 * | H2_FLOOD_CONTROL_BYTES  | large control frames                                             |
 * | H2_FLOOD_TABLE          | thrashing of the HPACK table                                     |
 * | H2_FLOOD_INTERIM        | endless interim responses                                        |
 * | H2_FLOOD_GLITCHES       | offences that are each forgiven                                  |
 * | H2_FLOOD_REPLIES        | answers forced and not taken (CVE-2019-9517)                     |
 *
 * @see RFC 9113 §10.5
 */
import { FrameFlag, FrameType } from '@ferrata/http2-framing';
import { Bucket, type BucketLimits, type ResolvedFloodGuardOptions } from './flood-guard-options.ts';

/** By bucket. */
const BUCKET_REASONS = [
  'H2_FLOOD_RESETS',
  'H2_FLOOD_REFUSED',
  'H2_FLOOD_PING',
  'H2_FLOOD_SETTINGS',
  'H2_FLOOD_PRIORITY',
  'H2_FLOOD_WINDOW_UPDATE',
  'H2_FLOOD_TINY_WINDOW',
  'H2_FLOOD_EMPTY_FRAMES',
  'H2_FLOOD_TINY_DATA',
  'H2_FLOOD_OVERHEAD',
  'H2_FLOOD_UNKNOWN',
  'H2_FLOOD_CONTROL_BYTES',
  'H2_FLOOD_TABLE',
  'H2_FLOOD_TABLE',
  'H2_FLOOD_INTERIM',
  'H2_FLOOD_GLITCHES',
] as const;

/** Why a connection was ended. */
export type FloodReason = (typeof BUCKET_REASONS)[number] | 'H2_FLOOD_PREMATURE' | 'H2_FLOOD_STREAMS' | 'H2_FLOOD_REPLIES';

/** All reasons of the guard, for tables and metrics. */
export const FLOOD_REASONS: readonly FloodReason[] = Object.freeze([
  ...new Set(BUCKET_REASONS),
  'H2_FLOOD_PREMATURE' as const,
  'H2_FLOOD_STREAMS' as const,
  'H2_FLOOD_REPLIES' as const,
]);

/** What the guard must know of its connection. */
export interface FloodGuardSetup {
  /** Only a server is hurt by streams that are opened and reset. */
  readonly isServer: boolean;
  /** Streams that may be open at once. */
  readonly maxConcurrentStreams: number;
}

/** What every frame is charged with: its header, and about what an object for it would take. */
const FRAME_COST_BYTES = 64;

/** Windows and WINDOW_UPDATEs below this make DATA frames whose header is a tenth of them. */
const TINY_WINDOW_BYTES = 256;

/** A message of gRPC has five bytes at least, so nothing that it sends is tiny. */
const TINY_DATA_BYTES = 5;

/** Over which time premature resets are compared with streams: both counts are halved this often. */
const PREMATURE_HALF_LIFE_MS = 30_000;

/** Watches one connection. Every `on…` returns null, or why the connection must end. */
export class FloodGuard {
  readonly #options: ResolvedFloodGuardOptions;
  readonly #isServer: boolean;
  readonly #maxNewStreams: number;
  /** What is left in each bucket. */
  readonly #left: Float64Array;
  readonly #limits: BucketLimits;
  #now: number;
  #newStreams: number;
  #emptyInARow: number;
  #replies: number;
  #streams: number;
  #premature: number;
  #halvedAt: number;
  #reason: FloodReason | null;

  constructor(options: ResolvedFloodGuardOptions, setup: FloodGuardSetup, now: number) {
    this.#options = options;
    this.#isServer = setup.isServer;
    this.#maxNewStreams = setup.maxConcurrentStreams * options.maxNewStreamsFactor;
    this.#limits = options.limits;
    this.#left = this.#limits.bursts.slice();
    // A client may open what it likes until it knows the limit from our SETTINGS (RFC 9113 §6.5.2).
    this.#left[Bucket.refusedStreams] = Math.max(this.#left[Bucket.refusedStreams] as number, setup.maxConcurrentStreams);
    this.#now = now;
    this.#newStreams = 0;
    this.#emptyInARow = 0;
    this.#replies = 0;
    this.#streams = 0;
    this.#premature = 0;
    this.#halvedAt = now;
    this.#reason = null;
  }

  /** Why the connection must end; null as long as it need not. */
  get reason(): FloodReason | null {
    return this.#reason;
  }

  // Inputs: what comes from the peer.

  /** A chunk of input comes: lets time flow into the buckets, and begins to count new streams anew. */
  beginInput(now: number): void {
    this.#newStreams = 0;
    const elapsed = now - this.#now;
    if (elapsed <= 0) return;
    this.#now = now;
    const left = this.#left;
    const { bursts, perMs } = this.#limits;
    for (let bucket = 0; bucket < left.length; bucket++) {
      const before = left[bucket] as number;
      const burst = bursts[bucket] as number;
      // What was earned beyond the burst stays.
      if (before < burst) left[bucket] = Math.min(before + elapsed * (perMs[bucket] as number), burst);
    }
    const halvings = Math.floor((now - this.#halvedAt) / PREMATURE_HALF_LIFE_MS);
    if (halvings === 0) return;
    this.#halvedAt += halvings * PREMATURE_HALF_LIFE_MS;
    this.#streams /= 2 ** halvings;
    this.#premature /= 2 ** halvings;
  }

  /**
   * A frame begins, of whatever type; once for each. DATA and WINDOW_UPDATE have methods of their own besides.
   *
   * @param length of its payload on the wire
   */
  onFrame(type: number, flags: number, length: number): FloodReason | null {
    switch (type) {
      case FrameType.data:
        // `onData` sees what it brings.
        return this.#reason;
      case FrameType.headers:
        return length === 0 && (flags & FrameFlag.endStream) === 0 ? this.#onEmptyFrame() : this.#onContent();
      case FrameType.continuation:
        if (length === 0) return this.#onEmptyFrame();
        return this.#take(Bucket.overheadBytes, FRAME_COST_BYTES);
      case FrameType.ping:
        if ((flags & FrameFlag.ack) !== 0) return this.#take(Bucket.overheadBytes, FRAME_COST_BYTES);
        return this.#take(Bucket.pings, 1);
      case FrameType.settings:
        if ((flags & FrameFlag.ack) !== 0) return this.#take(Bucket.overheadBytes, FRAME_COST_BYTES);
        return this.#take(Bucket.settings, 1) ?? this.#take(Bucket.controlBytes, length);
      case FrameType.priority:
        return this.#take(Bucket.priorities, 1);
      case FrameType.priorityUpdate:
        return this.#take(Bucket.priorities, 1) ?? this.#take(Bucket.controlBytes, length);
      case FrameType.rstStream:
      case FrameType.windowUpdate:
        return this.#take(Bucket.overheadBytes, FRAME_COST_BYTES);
      default:
        return this.#take(Bucket.unknownFrames, 1) ?? this.#take(Bucket.controlBytes, length);
    }
  }

  /** A DATA frame is complete. @param payloadBytes without padding */
  onData(payloadBytes: number, paddingBytes: number, isEndStream: boolean): FloodReason | null {
    if (payloadBytes === 0) {
      // The end of a body whose last piece left before its end was known: once a stream, and paid by that.
      if (isEndStream) return this.#take(Bucket.overheadBytes, paddingBytes);
      return this.#onEmptyFrame() ?? this.#take(Bucket.overheadBytes, FRAME_COST_BYTES + paddingBytes);
    }
    this.#emptyInARow = 0;
    this.#earn(Bucket.pings, 1);
    this.#earn(Bucket.tinyData, payloadBytes / FRAME_COST_BYTES);
    if (payloadBytes < TINY_DATA_BYTES && !isEndStream && this.#take(Bucket.tinyData, 1) !== null) return this.#reason;
    // A stream ends once, and is counted where it begins: answers of a few bytes, each to a request of its own, are no flood.
    const balance = payloadBytes - (isEndStream ? 0 : FRAME_COST_BYTES) - paddingBytes;
    if (balance < 0) return this.#take(Bucket.overheadBytes, -balance);
    this.#earn(Bucket.overheadBytes, balance);
    return this.#reason;
  }

  /** A WINDOW_UPDATE, of a stream or the connection. */
  onWindowUpdate(increment: number): FloodReason | null {
    if (increment < TINY_WINDOW_BYTES && this.#take(Bucket.tinyWindows, 1) !== null) return this.#reason;
    return this.#take(Bucket.windowUpdates, 1);
  }

  /** A new stream: the peer's (server), or ours (client); refused ones too. It pays for what goes with a request. */
  onStreamOpened(): FloodReason | null {
    this.#earn(Bucket.windowUpdates, 2);
    this.#earn(Bucket.tinyWindows, 1);
    this.#earn(Bucket.priorities, 2);
    this.#earn(Bucket.unknownFrames, 2);
    this.#earn(Bucket.controlBytes, 128);
    this.#earn(Bucket.tableEvictions, 32);
    this.#earn(Bucket.interimResponses, 4);
    if (!this.#isServer) return this.#reason;
    this.#streams++;
    if (++this.#newStreams > this.#maxNewStreams) return this.#trip('H2_FLOOD_STREAMS');
    return this.#reason;
  }

  /** A stream of the peer beyond the concurrent ones, which is refused (RFC 9113 §5.1.2), or behind our last GOAWAY (§6.8). */
  onStreamRefused(): FloodReason | null {
    return this.#take(Bucket.refusedStreams, 1);
  }

  /**
   * RST_STREAM has come, and not to a tunnel that was of use (that is how tunnels end).
   *
   * @param isPremature whether our answer was not whole yet, so that work was in vain
   */
  onPeerReset(isPremature: boolean): FloodReason | null {
    // A client asked for the work itself, and a server that gives up spares both sides the rest.
    if (!this.#isServer) return this.#reason;
    return isPremature ? this.#onReset() : this.#take(Bucket.glitches, 1);
  }

  /** We reset a stream because the peer broke a rule: costs us as much as if it had reset the stream itself (CVE-2025-8671). */
  onLocalReset(): FloodReason | null {
    return this.#isServer ? this.#onReset() : this.#take(Bucket.glitches, 1);
  }

  /** A stream came to its end both ways: pays for streams that do not. */
  onStreamComplete(): void {
    this.#earn(Bucket.resets, 0.25);
    this.#earn(Bucket.glitches, 1);
    this.#earn(Bucket.pings, 1);
  }

  /** An interim response has come (client). */
  onInterim(): FloodReason | null {
    return this.#take(Bucket.interimResponses, 1);
  }

  /** Something wrong that is ignored: a frame for a stream that is over, a late acknowledgement. */
  onGlitch(): FloodReason | null {
    return this.#take(Bucket.glitches, 1);
  }

  /** What a header block did to the HPACK table: size updates in it, and entries that it pushed out. */
  onTableChange(sizeUpdates: number, evictions: number): FloodReason | null {
    if (sizeUpdates > 0 && this.#take(Bucket.tableUpdates, sizeUpdates) !== null) return this.#reason;
    return evictions > 0 ? this.#take(Bucket.tableEvictions, evictions) : this.#reason;
  }

  // Outputs: what we send.

  /**
   * We send a DATA frame.
   *
   * @param isWindowLimited whether there was more to send, and a window cut it short
   */
  onDataSent(bytes: number, isWindowLimited: boolean): FloodReason | null {
    // What a peer squeezes out of us crumb by crumb must not pay for the next crumb.
    if (isWindowLimited && bytes < TINY_WINDOW_BYTES) return this.#take(Bucket.tinyWindows, 1);
    if (bytes === 0) return this.#reason;
    // A reader may acknowledge each frame on its stream and on the connection, or each kilobyte of it.
    const updates = 2 + bytes / 512;
    this.#earn(Bucket.windowUpdates, updates);
    this.#earn(Bucket.tinyWindows, 2);
    this.#earn(Bucket.pings, 1);
    this.#earn(Bucket.overheadBytes, bytes + updates * FRAME_COST_BYTES);
    return this.#reason;
  }

  /** An answer that the peer forced waits to be sent: PING ACK, SETTINGS ACK, RST_STREAM. */
  onReply(): FloodReason | null {
    if (++this.#replies > this.#options.maxQueuedReplies) return this.#trip('H2_FLOOD_REPLIES');
    return this.#reason;
  }

  /** All output has been taken, and nothing waits any longer. */
  onOutputTaken(): void {
    this.#replies = 0;
  }

  #onContent(): FloodReason | null {
    this.#emptyInARow = 0;
    return this.#reason;
  }

  #onEmptyFrame(): FloodReason | null {
    // Only content ends a row: whatever else comes between can be had for nothing.
    if (++this.#emptyInARow > this.#options.maxConsecutiveEmptyFrames) return this.#trip('H2_FLOOD_EMPTY_FRAMES');
    return this.#take(Bucket.emptyFrames, 1);
  }

  #onReset(): FloodReason | null {
    this.#premature++;
    if (this.#streams >= this.#options.prematureResetMinStreams && this.#premature * 2 >= this.#streams) {
      return this.#trip('H2_FLOOD_PREMATURE');
    }
    return this.#take(Bucket.resets, 1);
  }

  #take(bucket: Bucket, amount: number): FloodReason | null {
    const left = (this.#left[bucket] as number) - amount;
    this.#left[bucket] = left;
    return left < 0 ? this.#trip(BUCKET_REASONS[bucket]) : this.#reason;
  }

  #earn(bucket: Bucket, amount: number): void {
    const left = this.#left[bucket] as number;
    const cap = this.#limits.caps[bucket] as number;
    if (left < cap) this.#left[bucket] = Math.min(left + amount, cap);
  }

  #trip(reason: FloodReason): FloodReason {
    this.#reason ??= reason;
    return this.#reason;
  }
}
