/**
 * How connected sockets read: into one buffer shared by all of a thread, from which small reads are copied, while full ones give their buffer away.
 *
 * Node's plain way (`data`) allocates 64 KiB for every read and cuts it to size. `onread` spares that: against `data`, CPU time of the reading process,
 * 64 connections × 128 B answers and a one-way flow, two runs on a busy machine of two cores (`bench/onread.bench.ts`):
 *
 * | | 128 B, µs a message | flow, ms a GiB |
 * |---|---|---|
 * | `data` | 11.6, 10.7 | 716, 746 |
 * | `onread`, shared buffer, copy of everything | 10.0, 9.8 | 844, 865 |
 * | `onread`, this file | 10.3, 9.9 | 649, 776 |
 *
 * Rules:
 * - The shared buffer is never handed out, only copied from: every socket that reads small is registered with it.
 * - A read that fills its buffer most likely has another one behind it. From then on the socket reads into buffers of its own, handed out whole,
 *   until a read leaves one unfilled: that one is copied, and the socket returns to the shared buffer. So an idle connection holds no buffer,
 *   except one that fell idle exactly at the end of a full read.
 * - libuv fills a buffer and calls back at once, and Node asks for the next buffer at once after that, with no other socket's
 *   read in between: hence one `#next` serves all sockets.
 *
 * Accepted sockets cannot do this: `net.Server` has no such option.
 */
import type { OnReadOpts, Socket } from 'node:net';

/**
 * The first read of what may be a flow. A reader that pauses at once, because its own peer takes nothing, holds no more than this: a client with a
 * hundred requests under way on one connection can have that a hundred times.
 */
const sharedBytes = 32_768;
/** The size of Node's own reads, too. */
const readBytes = 65_536;

/** Receives each chunk with the socket that read it; the chunk is never rewritten. Answers false to stop reading until the socket is resumed. */
export type ReadHandler = (socket: Socket, chunk: Uint8Array) => boolean;

/** Makes the `onread` option of `net.connect`, shared by any number of sockets of one thread. */
export class ConnectorReads {
  readonly onread: OnReadOpts;
  readonly #handleRead: ReadHandler;
  readonly #shared = new Uint8Array(sharedBytes);
  #next: Uint8Array | null = null;

  constructor(handleRead: ReadHandler) {
    this.#handleRead = handleRead;
    const receive = (socket: Socket, length: number, buffer: Uint8Array): boolean => this.#receive(socket, length, buffer);
    this.onread = {
      buffer: () => this.#takeNext(),
      // Node calls it as a method of the socket.
      callback(this: Socket, length: number, buffer: Uint8Array): boolean {
        return receive(this, length, buffer);
      },
    };
  }

  #receive(socket: Socket, length: number, buffer: Uint8Array): boolean {
    const isFull = length === buffer.length;
    const goesOn = this.#handleRead(socket, isFull && buffer !== this.#shared ? buffer : copyOf(buffer, length));
    if (isFull) this.#next = Buffer.allocUnsafeSlow(readBytes);
    return goesOn;
  }

  #takeNext(): Uint8Array {
    const next = this.#next;
    this.#next = null;
    return next ?? this.#shared;
  }
}

/** Copies of less than 4 KiB share slabs of Node's pool, of which no part is used twice. */
function copyOf(buffer: Uint8Array, length: number): Uint8Array {
  const copy = Buffer.allocUnsafe(length);
  copy.set(length < buffer.length ? buffer.subarray(0, length) : buffer);
  return copy;
}
