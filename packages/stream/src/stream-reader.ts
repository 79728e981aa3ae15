/**
 * Reading a stream by pulling: for handshakes, scripts and tests, where a promise a read is no matter.
 *
 * The reader is the sink of the stream. It takes bytes until `maxBufferedBytes` lie unread, then pauses the stream; a read that wants more
 * lets it flow. `detach` gives the stream away again, paused, with the bytes that were not read: the `head` of the next `attach`.
 *
 * ```text
 *   reading ──peer's end──► ended ──┐
 *      │                            ├──► detached      closed by a failure: unread bytes can still be read, then each read rejects
 *      └──────────detach()──────────┘
 * ```
 */
import { ByteQueue } from '@ferrata/bytes';
import { checkNumber, ioError, limitError, protocolError, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from './l4-stream.ts';

/** Options of a `StreamReader`. */
export interface StreamReaderOptions {
  /** Unread bytes from which on the stream is paused, unless a read waits for more; ≥ 1, default 65_536. */
  readonly maxBufferedBytes?: number;
  /** Bytes that were read from the stream before, to be read again first. */
  readonly head?: Uint8Array;
}

/** Options of `readUntil`. */
export interface ReadUntilOptions {
  /** The most bytes that may come up to and including the delimiter; ≥ 1, default 65_536. */
  readonly maxBytes?: number;
}

/** A read that waits. */
interface PendingRead {
  /** Settles the read if it can be settled now. @returns false if it needs more bytes */
  tryFinish(): boolean;
  reject(error: unknown): void;
}

/** Pulls bytes out of a stream. One read at a time. */
export class StreamReader implements AsyncIterable<Uint8Array> {
  readonly stream: L4Stream;
  readonly #maxBufferedBytes: number;
  readonly #unread = new ByteQueue();
  #pending: PendingRead | null = null;
  #hasEnded = false;
  /** Why no more bytes come, other than by the peer's end. */
  #failure: WireError | null = null;
  #isPaused = false;
  #isDetached = false;
  /** Undefined while the stream is open. */
  #closeError: WireError | null | undefined = undefined;
  readonly #drains: { readonly resolve: () => void; readonly reject: (error: WireError) => void }[] = [];

  /** Attaches itself to `stream`. @throws {RangeError} if `maxBufferedBytes` is below 1 */
  constructor(stream: L4Stream, options: StreamReaderOptions = {}) {
    const { maxBufferedBytes = 65_536, head } = options;
    checkNumber('maxBufferedBytes', maxBufferedBytes, { min: 1 });
    this.stream = stream;
    this.#maxBufferedBytes = maxBufferedBytes;
    stream.attach(this.#sink(), head);
  }

  /** Bytes that came and were not read. */
  get bufferedBytes(): number {
    return this.#unread.byteLength;
  }

  /**
   * Reads the next bytes, as they came.
   *
   * @returns null at the peer's end
   * @throws {WireError} rejects with the error that closed the stream; `io STREAM_ABORTED` if our own side aborted it without one
   */
  read(): Promise<Uint8Array | null> {
    return this.#read((resolve) => {
      const chunk = this.#unread.takeChunk() ?? (this.#hasEnded ? null : undefined);
      if (chunk === undefined) return false;
      resolve(chunk);
      return true;
    });
  }

  /**
   * Reads exactly `byteLength` bytes, as one chunk.
   *
   * @throws {RangeError} if `byteLength` is not a whole number ≥ 0
   * @throws {WireError} rejects with `protocol STREAM_ENDED_EARLY` if the peer ends before; the bytes that came stay unread
   */
  readExactly(byteLength: number): Promise<Uint8Array> {
    if (!Number.isInteger(byteLength) || byteLength < 0) throw new RangeError(`can't read ${byteLength} bytes`);
    return this.#read((resolve) => {
      if (this.#unread.byteLength >= byteLength) resolve(this.#unread.take(byteLength));
      else if (this.#hasEnded) throw endedEarly(`${this.#unread.byteLength} of ${byteLength} bytes came`);
      else return false;
      return true;
    });
  }

  /**
   * Reads up to and including a delimiter, as one chunk.
   *
   * @param delimiter a byte, or a sequence of at least one byte
   * @returns null at the peer's end, if no byte came before it
   * @throws {TypeError} if the delimiter is empty
   * @throws {WireError} rejects with `limit STREAM_DELIMITER_TOO_FAR` if it does not come within `maxBytes`, with `protocol
   *   STREAM_ENDED_EARLY` if the peer ends before it and behind other bytes, which stay unread
   */
  readUntil(delimiter: number | Uint8Array, options: ReadUntilOptions = {}): Promise<Uint8Array | null> {
    const { maxBytes = 65_536 } = options;
    const bytes = typeof delimiter === 'number' ? Uint8Array.of(delimiter) : delimiter;
    const last = bytes[bytes.byteLength - 1];
    if (last === undefined) throw new TypeError('a delimiter needs at least one byte');
    // The last byte of the delimiter is searched; `from` moves on, so that no byte is looked at twice.
    let from = bytes.byteLength - 1;
    return this.#read<Uint8Array | null>((resolve) => {
      for (;;) {
        const at = this.#unread.indexOf(last, from);
        if (at < 0) break;
        if (at + 1 > maxBytes) throw tooFar(maxBytes);
        if (this.#isAt(bytes, at + 1 - bytes.byteLength)) {
          resolve(this.#unread.take(at + 1));
          return true;
        }
        from = at + 1;
      }
      from = Math.max(from, this.#unread.byteLength);
      if (this.#unread.byteLength >= maxBytes) throw tooFar(maxBytes);
      if (!this.#hasEnded) return false;
      if (this.#unread.byteLength > 0) throw endedEarly(`${this.#unread.byteLength} bytes came without the delimiter`);
      resolve(null);
      return true;
    });
  }

  /** The chunks up to the peer's end, as they come. Leaving the loop early leaves the reader usable. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, void> {
    for (let chunk = await this.read(); chunk !== null; chunk = await this.read()) yield chunk;
  }

  /**
   * Waits for room, right after a `write` to the stream that returned false: whoever writes no more before it comes makes a peer that does not read
   * hold no more than the stream's high-water mark.
   *
   * @throws {TypeError} after `detach`
   * @throws {WireError} rejects when the stream closes before: with its error, or `io STREAM_ABORTED`
   */
  drained(): Promise<void> {
    if (this.#isDetached) throw new TypeError('the reader was detached');
    return new Promise((resolve, reject) => {
      if (this.#closeError === undefined) this.#drains.push({ resolve, reject });
      else reject(this.#closeError ?? aborted());
    });
  }

  /**
   * Gives the stream away: pauses it and hands out what was not read. From now on reads and `drained` throw.
   *
   * @returns the unread bytes: pass them to the next `attach` as its head
   * @throws {TypeError} if a read is waiting, or somebody for room to write: who attaches next would be told of it instead
   */
  detach(): Uint8Array {
    if (this.#pending !== null) throw new TypeError("can't detach a reader while a read is waiting");
    if (this.#drains.length > 0) throw new TypeError("can't detach a reader while somebody waits for room to write");
    this.#isDetached = true;
    this.stream.pause();
    return this.#unread.takeAll();
  }

  #read<T>(tryFinish: (resolve: (value: T) => void) => boolean): Promise<T> {
    if (this.#isDetached) throw new TypeError('the reader was detached');
    if (this.#pending !== null) throw new TypeError('a read is waiting already: one at a time');
    return new Promise<T>((resolve, reject) => {
      this.#pending = { tryFinish: () => tryFinish(resolve), reject };
      this.#advance();
      this.#steer();
    });
  }

  /** Settles the waiting read if that is possible. */
  #advance(): void {
    const pending = this.#pending;
    if (pending === null) return;
    try {
      if (pending.tryFinish()) this.#pending = null;
      else if (this.#failure !== null) throw this.#failure;
    } catch (thrown) {
      this.#pending = null;
      pending.reject(thrown);
    }
  }

  /** Pauses a stream that is ahead of its reader; lets it flow for a read that waits. */
  #steer(): void {
    const mustPause = this.#pending === null && this.#unread.byteLength >= this.#maxBufferedBytes;
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.stream.pause();
    else this.stream.resume();
  }

  #isAt(bytes: Uint8Array, index: number): boolean {
    for (let i = 0; i < bytes.byteLength; i++) if (this.#unread.peekByte(index + i) !== bytes[i]) return false;
    return true;
  }

  #sink(): L4Sink {
    return {
      onData: (chunk) => {
        this.#unread.push(chunk);
        this.#advance();
        this.#steer();
      },
      onDrain: () => {
        for (const { resolve } of this.#drains.splice(0)) resolve();
      },
      onEnd: () => {
        this.#hasEnded = true;
        this.#advance();
      },
      onClose: (error) => {
        // After the peer's end everything that was sent has come: a later failure takes nothing away from the reader.
        if (!this.#hasEnded) this.#failure = error ?? aborted();
        this.#closeError = error;
        for (const { reject } of this.#drains.splice(0)) reject(error ?? aborted());
        this.#advance();
      },
    };
  }
}

function aborted(): WireError {
  return ioError('STREAM_ABORTED', 'the stream was aborted by its own side', { fault: 'local' });
}

function endedEarly(message: string): WireError {
  return protocolError('STREAM_ENDED_EARLY', message);
}

function tooFar(maxBytes: number): WireError {
  return limitError('STREAM_DELIMITER_TOO_FAR', `no delimiter within ${maxBytes} bytes`);
}
