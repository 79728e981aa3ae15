/** A stream whose every event is told to a listener, with byte offsets: for logs, for golden files, and to see what a peer really did. */
import { latin1Decode } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import type { L4Stream } from './l4-stream.ts';
import { tapped } from './tapped.ts';

/** `data` to `close` are told to the sink; `attach` to `abort` are asked of the stream. */
export type TraceEventKind = 'data' | 'drain' | 'end' | 'close' | 'attach' | 'write' | 'pause' | 'resume' | 'writeEnd' | 'abort';

/** One event of a stream. */
export interface TraceEvent {
  readonly streamId: number;
  readonly kind: TraceEventKind;
  /** Bytes of the same direction before this event; for events that have no direction, those received. */
  readonly offset: number;
  /** The bytes of `data`, `write` and of the head of `attach`; not a copy. */
  readonly chunk: Uint8Array | null;
  /** Of `close` and `abort`. */
  readonly error: WireError | null;
  /** False if a `write` was told that the stream is full. */
  readonly hasRoom: boolean;
}

/** `stream` with each of its events told to `listener`, as it happens. The listener must not throw. */
export function traced(stream: L4Stream, listener: (event: TraceEvent) => void): L4Stream {
  let received = 0;
  let written = 0;
  const tell = (kind: TraceEventKind, offset: number, chunk: Uint8Array | null, error: WireError | null, hasRoom: boolean): void =>
    listener({ streamId: stream.id, kind, offset, chunk, error, hasRoom });
  const tellPlain = (kind: TraceEventKind): void => tell(kind, received, null, null, true);
  return tapped(stream, {
    onAttach: (head) => tell('attach', received, head ?? null, null, true),
    onData: (chunk) => {
      tell('data', received, chunk, null, true);
      received += chunk.byteLength;
    },
    onDrain: () => tell('drain', written, null, null, true),
    onEnd: () => tellPlain('end'),
    onClose: (error) => tell('close', received, null, error, true),
    onWrite: (chunk, hasRoom) => {
      tell('write', written, chunk, null, hasRoom);
      written += chunk.byteLength;
    },
    onPause: () => tellPlain('pause'),
    onResume: () => tellPlain('resume'),
    onWriteEnd: () => tell('writeEnd', written, null, null, true),
    onAbort: (error) => tell('abort', written, null, error ?? null, true),
  });
}

const arrows: Readonly<Record<TraceEventKind, string>> = {
  data: '<',
  drain: '<',
  end: '<',
  close: '<',
  attach: '>',
  write: '>',
  pause: '>',
  resume: '>',
  writeEnd: '>',
  abort: '>',
};

/**
 * An event as one line: `#3 < data 0..5 "hello"`, `#3 > write 5..7 "\r\n" (full)`, `#3 < close (io CONNECTION_RESET)`.
 *
 * @param maxTextBytes how many bytes of a chunk to show; default 64
 */
export function formatTraceEvent(event: TraceEvent, maxTextBytes = 64): string {
  const { streamId, kind, offset, chunk, error, hasRoom } = event;
  let line = `#${streamId} ${arrows[kind]} ${kind}`;
  if (chunk !== null) {
    const shown = JSON.stringify(latin1Decode(chunk, 0, Math.min(chunk.byteLength, maxTextBytes)));
    line += ` ${offset}..${offset + chunk.byteLength} ${shown}${chunk.byteLength > maxTextBytes ? '…' : ''}`;
  } else if (kind === 'end' || kind === 'writeEnd') line += ` ${offset}`;
  if (error !== null) line += ` (${error.type} ${error.reason})`;
  return hasRoom ? line : `${line} (full)`;
}
