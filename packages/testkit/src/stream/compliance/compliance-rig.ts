/** What the compliance tests of streams share: the pair under watch, and ways to wait without sleeping. */
import assert from 'node:assert/strict';
import type { L4Stream, StreamState } from '@ferrata/stream';
import type { CheckedStream } from '../checked-stream.ts';
import { positionalBytes } from '../positional-bytes.ts';
import type { RecordingSink } from '../recording-sink.ts';

/** Two joined streams; at least `a` is of the implementation under test. */
export interface CompliancePair {
  readonly a: L4Stream;
  readonly b: L4Stream;
  /** Frees what the pair needed besides the streams (a listener). */
  close?(): void | Promise<void>;
}

/** What is special about an implementation. */
export interface StreamComplianceOptions {
  /** Lets everything happen that is going to happen; default: 12 turns of the event loop. */
  readonly settle?: () => Promise<void>;
  /**
   * False if the layer below cannot tell a peer of an abort (Unix sockets): the peer then sees an end. `untilEnd` if only a peer that has ended its own side may see one (Node's TLS over TCP: a reset that
   * meets `close_notify` is lost). Default true.
   */
  readonly abortIsVisible?: boolean | 'untilEnd';
  /** At most so many bytes fill the stream while its peer is paused; default 64 MiB. */
  readonly fillBytes?: number;
  /** Runs of each property; default 25. */
  readonly runs?: number;
  /** Time limit of one test in milliseconds; default 20_000. */
  readonly testTimeoutMs?: number;
  /** Tests not to be run, by key (`6b`), each with its reason. */
  readonly skip?: Readonly<Record<string, string>>;
}

/** What one test works with. */
export interface Rig {
  readonly a: CheckedStream;
  readonly b: CheckedStream;
  readonly sinkA: RecordingSink;
  readonly sinkB: RecordingSink;
  readonly settle: () => Promise<void>;
  readonly options: StreamComplianceOptions;
}

/** One test of the contract. */
export interface ContractTest {
  readonly key: string;
  readonly title: string;
  readonly body: (rig: Rig) => Promise<void>;
}

/** Lets the event loop turn once. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}

/** Writes until the stream is full and stays so. @returns how many bytes of the sequence of seed 0 were written */
export async function fill({ a: stream, settle, options }: Rig, sink: RecordingSink): Promise<number> {
  const { fillBytes = 64 * 1_048_576 } = options;
  const chunkBytes = 16_384;
  let written = 0;
  while (written < fillBytes) {
    const hasRoom = stream.write(positionalBytes(chunkBytes, 0, written));
    written += chunkBytes;
    if (hasRoom) continue;
    // The layers below may still have room, and report it only after a while.
    const drains = sink.drainCount;
    await settle();
    if (sink.drainCount === drains || stream.state === 'closed') return written;
  }
  throw new Error(`the stream took ${written} bytes from a writer without a reader and was never full`);
}

/** Fills the stream, then lets the peer read all of it. @returns how many bytes; the sink has heard of the drain */
export async function fillAndDrain(rig: Rig): Promise<number> {
  const { a, b, sinkA, sinkB } = rig;
  a.attach(sinkA);
  b.attach(sinkB);
  b.pause();
  const written = await fill(rig, sinkA);
  assert.ok(a.bufferedBytes > 0, 'a full stream has buffered bytes');
  const drains = sinkA.drainCount;
  b.resume();
  await sinkA.until(() => sinkA.drainCount > drains);
  await sinkB.untilBytes(written);
  return written;
}

/** A stream that the peer has ended may notice the peer's abort only when it writes (a socket is no longer watched for reading then). */
export async function noticeAbort(stream: L4Stream, sink: RecordingSink): Promise<void> {
  while (!sink.isClosed) {
    if (stream.state === 'peerEnded') stream.write(positionalBytes(1));
    await nextTurn();
  }
}

/** A stream may be full at any time, hence report room at any time. */
export function kindsButDrain(sink: RecordingSink): string[] {
  return sink.kinds().filter((kind) => kind !== 'drain');
}

/** Waits by turns of the event loop for a condition that no event reports. */
export async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await nextTurn();
}

export function expectState(stream: L4Stream, state: StreamState): void {
  assert.equal(stream.state, state);
}

export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
