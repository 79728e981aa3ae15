/** A stream with other facts about it, and with bytes put back in front: what is left when a layer has read its preface off a stream. */

import { concatBytes } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import type { L4Sink, L4Stream, StreamInfo, StreamState } from '@ferrata/stream';
import { SocketStream } from './socket-stream.ts';

/**
 * `stream` with another `info`, and `unread` before its next bytes. The stream is paused, until something attaches to the result: before that,
 * resuming the result gives nobody anything.
 *
 * A stream over one of Node's sockets is changed in place, so that it costs nothing; use only the result from now on in any case.
 */
export function readdressed(stream: L4Stream, info: StreamInfo, unread: Uint8Array | null): L4Stream {
  const hasUnread = unread !== null && unread.length > 0;
  if (stream instanceof SocketStream) {
    if (hasUnread) stream.unread(unread);
    if (info !== stream.info) stream.replaceInfo(info);
    return stream;
  }
  return new ReaddressedStream(stream, info, hasUnread ? unread : null);
}

class ReaddressedStream implements L4Stream {
  readonly info: StreamInfo;
  readonly #inner: L4Stream;
  #unread: Uint8Array | null;
  #isAttached = false;

  constructor(inner: L4Stream, info: StreamInfo, unread: Uint8Array | null) {
    this.info = info;
    this.#inner = inner;
    this.#unread = unread;
  }

  get id(): number {
    return this.#inner.id;
  }

  get state(): StreamState {
    return this.#inner.state;
  }

  get bufferedBytes(): number {
    return this.#inner.bufferedBytes;
  }

  /** What was put back is newer than a head, which only somebody who was attached before, or has bytes from elsewhere, can have. */
  attach(sink: L4Sink, head?: Uint8Array): void {
    this.#isAttached = true;
    const unread = this.#unread;
    if (unread === null) return this.#inner.attach(sink, head);
    this.#unread = null;
    this.#inner.attach(sink, head === undefined ? unread : concatBytes([head, unread]));
  }

  write(chunk: Uint8Array): boolean {
    return this.#inner.write(chunk);
  }

  writev(chunks: readonly Uint8Array[]): boolean {
    return this.#inner.writev(chunks);
  }

  pause(): void {
    this.#inner.pause();
  }

  /** Nothing is attached yet: resuming the stream below would give its bytes to whoever has read the preface. */
  resume(): void {
    if (this.#isAttached) this.#inner.resume();
  }

  end(): void {
    this.#inner.end();
  }

  abort(error?: WireError): void {
    this.#unread = null;
    this.#inner.abort(error);
  }
}
