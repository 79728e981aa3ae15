/**
 * Two streams joined in memory: what one writes, the other reads.
 *
 * The reference implementation of the stream contract, and the stand-in for a connection in tests. There is no time in it: every event is one
 * deferred task away. Bytes stay counted in the writer's `bufferedBytes` until the reader's sink takes them, so a paused reader is felt at
 * once, and memory is bounded by the limits below.
 *
 * - `write` answers false from `highWaterBytes` on; `onDrain` follows when half of them are free.
 * - A writer that goes on all the same is cut off: a write on top of `hardLimitBytes` or more aborts the stream (`limit STREAM_WRITE_OVERFLOW`).
 * - `abort` on one side is a reset on the other (`io CONNECTION_RESET`); bytes that a flowing reader has not been told yet come first, bytes
 *   that a paused reader has left are lost, as with TCP.
 */
import type { Clock } from '@ferrata/clock';
import { checkNumber, ioError, limitError, type WireError } from '@ferrata/error';
import { type Defer, deferToMicrotask } from './defer.ts';
import { takeBack } from './given-chunk.ts';
import type { L4Sink, L4Stream, StreamState } from './l4-stream.ts';
import { nextStreamId } from './stream-id.ts';
import { StreamInbox, type StreamInboxOwner } from './stream-inbox.ts';
import type { StreamAddress, StreamInfo } from './stream-info.ts';

/** What travels from one side of a pair to the other. */
export type MemoryParcel =
  | { readonly kind: 'data'; readonly chunk: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset'; readonly error: WireError };

/**
 * Decides when, and in which pieces, what one side sends arrives at the other. It must call `deliver` later or at once, in order, and with
 * all the bytes; after a `reset` it may drop what is still on the way.
 */
export type MemoryCarrier = (parcel: MemoryParcel, deliver: (parcel: MemoryParcel) => void, from: 'a' | 'b') => void;

/** Options of `memoryPair`. */
export interface MemoryPairOptions {
  /** For `info.timing`; default: all times are 0. */
  readonly clock?: Clock;
  /** From how many unread bytes on `write` answers false, each way; ≥ 1, default 65_536. A higher value costs memory for a slow reader. */
  readonly highWaterBytes?: number;
  /** Unread bytes on top of which no further write is taken, each way; ≥ `highWaterBytes`, default 1_048_576 (or `highWaterBytes` if that is more). */
  readonly hardLimitBytes?: number;
  /** Default: microtasks. */
  readonly defer?: Defer;
  /** Default: everything arrives at once. */
  readonly carry?: MemoryCarrier;
  /** Default: `nextStreamId`. */
  readonly nextId?: () => number;
  /** `info.kind` of both; default `memory`. */
  readonly kind?: string;
  /** The local address of `a`, the remote address of `b`; default unset. */
  readonly addressA?: StreamAddress;
  /** The local address of `b`, the remote address of `a`; default unset. */
  readonly addressB?: StreamAddress;
}

/** Two streams, each the other's peer. */
export interface MemoryPair {
  readonly a: L4Stream;
  readonly b: L4Stream;
}

/** Makes two joined streams. @throws {RangeError} if a limit is out of range */
export function memoryPair(options: MemoryPairOptions = {}): MemoryPair {
  const config = resolveMemoryPairOptions(options);
  const a = new MemoryStream('a', config);
  const b = new MemoryStream('b', config);
  a.join(b);
  b.join(a);
  return { a, b };
}

interface MemoryPairConfig {
  readonly now: number;
  readonly highWaterBytes: number;
  readonly lowWaterBytes: number;
  readonly hardLimitBytes: number;
  readonly defer: Defer;
  readonly carry: MemoryCarrier | null;
  readonly nextId: () => number;
  readonly kind: string;
  readonly addressA: StreamAddress;
  readonly addressB: StreamAddress;
}

const unsetAddress: StreamAddress = { kind: 'unset' };

function resolveMemoryPairOptions(options: MemoryPairOptions): MemoryPairConfig {
  const highWaterBytes = options.highWaterBytes ?? 65_536;
  const hardLimitBytes = options.hardLimitBytes ?? Math.max(1_048_576, highWaterBytes);
  checkNumber('highWaterBytes', highWaterBytes, { min: 1 });
  if (!(hardLimitBytes >= highWaterBytes)) throw new RangeError(`hardLimitBytes must be at least highWaterBytes, not ${hardLimitBytes}`);
  return {
    now: options.clock?.now() ?? 0,
    highWaterBytes,
    lowWaterBytes: Math.floor(highWaterBytes / 2),
    hardLimitBytes,
    defer: options.defer ?? deferToMicrotask,
    carry: options.carry ?? null,
    nextId: options.nextId ?? nextStreamId,
    kind: options.kind ?? 'memory',
    addressA: options.addressA ?? unsetAddress,
    addressB: options.addressB ?? unsetAddress,
  };
}

class MemoryStream implements L4Stream, StreamInboxOwner {
  readonly id: number;
  readonly info: StreamInfo;
  readonly #side: 'a' | 'b';
  readonly #config: MemoryPairConfig;
  readonly #inbox: StreamInbox;
  readonly #deliver: (parcel: MemoryParcel) => void;
  #peer: MemoryStream;
  #bufferedBytes = 0;
  #owesDrain = false;
  #isEnded = false;
  #isPeerEnded = false;
  #isClosed = false;

  constructor(side: 'a' | 'b', config: MemoryPairConfig) {
    this.id = config.nextId();
    this.#side = side;
    this.#config = config;
    this.#inbox = new StreamInbox(this, config.defer);
    this.#peer = this;
    this.#deliver = (parcel) => {
      const peer = this.#peer;
      peer.#arrive(parcel);
    };
    this.info = {
      kind: config.kind,
      localAddress: side === 'a' ? config.addressA : config.addressB,
      remoteAddress: side === 'a' ? config.addressB : config.addressA,
      tls: null,
      timing: { startedAt: config.now, establishedAt: config.now },
      below: null,
      extension: undefined,
    };
  }

  join(peer: MemoryStream): void {
    this.#peer = peer;
  }

  get state(): StreamState {
    if (this.#isClosed || (this.#isEnded && this.#isPeerEnded)) return 'closed';
    if (this.#isEnded) return 'ended';
    return this.#isPeerEnded ? 'peerEnded' : 'open';
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#inbox.attach(sink, head);
  }

  write(chunk: Uint8Array): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    if (chunk.byteLength > 0 && !this.#reserve(chunk.byteLength)) return false;
    if (chunk.byteLength > 0) this.#sendData(chunk);
    return this.#hasRoom();
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    if (this.#isEnded || this.#isClosed) return false;
    let total = 0;
    for (const chunk of chunks) total += chunk.byteLength;
    if (total > 0 && !this.#reserve(total)) return false;
    for (const chunk of chunks) if (chunk.byteLength > 0) this.#sendData(chunk);
    return this.#hasRoom();
  }

  pause(): void {
    this.#inbox.pause();
  }

  resume(): void {
    this.#inbox.resume();
  }

  end(): void {
    if (this.#isEnded || this.#isClosed) return;
    this.#isEnded = true;
    this.#send({ kind: 'end' });
    this.#closeIfDone();
  }

  abort(error?: WireError): void {
    if (this.#inbox.isClosed) return;
    this.#isClosed = true;
    this.#bufferedBytes = 0;
    this.#inbox.abort(error ?? null);
    this.#send({ kind: 'reset', error: ioError('CONNECTION_RESET', 'the peer has reset the stream', { retry: 'ifReused' }) });
  }

  handleSinkFault(error: WireError): void {
    this.abort(error);
  }

  handleFreed(byteLength: number): void {
    const peer = this.#peer;
    peer.#handleTaken(byteLength);
  }

  handleEndTold(): void {
    this.#isPeerEnded = true;
    this.#closeIfDone();
  }

  #sendData(chunk: Uint8Array): void {
    // The other side's sink may keep it.
    takeBack(chunk);
    this.#send({ kind: 'data', chunk });
  }

  #send(parcel: MemoryParcel): void {
    const carry = this.#config.carry;
    if (carry === null) this.#deliver(parcel);
    else carry(parcel, this.#deliver, this.#side);
  }

  /** Something arrives from the peer. */
  #arrive(parcel: MemoryParcel): void {
    switch (parcel.kind) {
      case 'data':
        this.#inbox.data(parcel.chunk);
        break;
      case 'end':
        this.#inbox.end();
        break;
      case 'reset':
        if (this.#isClosed) break;
        this.#isClosed = true;
        this.#bufferedBytes = 0;
        this.#inbox.close(parcel.error);
        break;
    }
  }

  /** The peer's sink takes bytes that we wrote. */
  #handleTaken(byteLength: number): void {
    if (this.#isClosed) return;
    this.#bufferedBytes -= byteLength;
    if (this.#owesDrain && this.#bufferedBytes <= this.#config.lowWaterBytes) {
      this.#owesDrain = false;
      this.#inbox.drain();
    }
    this.#closeIfDone();
  }

  #reserve(byteLength: number): boolean {
    if (this.#bufferedBytes >= this.#config.hardLimitBytes) {
      const message = `a write on top of ${this.#bufferedBytes} unread bytes`;
      this.abort(limitError('STREAM_WRITE_OVERFLOW', message, { fault: 'local' }));
      return false;
    }
    this.#bufferedBytes += byteLength;
    return true;
  }

  #hasRoom(): boolean {
    if (this.#bufferedBytes < this.#config.highWaterBytes) return true;
    this.#owesDrain = true;
    this.#inbox.full();
    return false;
  }

  #closeIfDone(): void {
    if (this.#isClosed || !this.#isEnded || !this.#isPeerEnded || this.#bufferedBytes > 0) return;
    this.#isClosed = true;
    this.#inbox.close(null);
  }
}
