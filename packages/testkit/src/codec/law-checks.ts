/**
 * The laws that hold for any input, as checks of one input and one cut of it: for `codecLaws`, and for fuzzers, which bring their own inputs.
 *
 * Each throws a `LawFailure` if the law does not hold, and whatever a decoder throws that is no refusal as it is.
 */
import assert from 'node:assert/strict';
import { copyOf } from '../arbitrary/chunkings.ts';
import { type CodecUnderTest, type DecoderDriver, type Transcript, wireReasonOf } from './codec-under-test.ts';
import { LawFailure, type LawFailureKind } from './law-failure.ts';

/** Split, total and conservation: functions of a codec, the bytes, and one cut of them. */
export const codecLawChecks = { split: assertSameReading, total: assertTotal, conservation: assertConservation } as const;

/**
 * Feeds the chunks one after the other, reading all events in between, then the end.
 *
 * @throws {LawFailure} if there are more events than so many bytes may give: a decoder that never stops is found, not waited for
 */
export function transcribe<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, chunks: readonly Uint8Array[]): Transcript<Event> {
  return read(codec, chunks, Number.POSITIVE_INFINITY);
}

/** @param most events that are read behind each chunk; those that are left, behind the last */
function read<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, chunks: readonly Uint8Array[], most: number): Transcript<Event> {
  const watched = new WatchedDecoder(codec, chunks.length);
  const events: Event[] = [];
  const readSome = (count: number): void => {
    for (let left = count; left > 0; left--) {
      const event = watched.next();
      if (event === null) return;
      const last = events.at(-1);
      const joined = last === undefined ? null : codec.join(last, event);
      if (joined === null) events.push(event);
      else events[events.length - 1] = joined;
    }
  };
  for (const chunk of chunks) {
    watched.feed(chunk);
    readSome(most);
  }
  watched.end();
  readSome(Number.POSITIVE_INFINITY);
  const { consumedBytes, bufferedBytes } = watched.decoder;
  return { events, error: watched.refusal, consumedBytes, bufferedBytes };
}

function assertSameReading<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  // No input is no chunk: sources never hand over an empty one.
  const whole = transcribe(codec, bytes.byteLength === 0 ? [] : [copyOf(bytes)]);
  assertReadsLike(whole, transcribe(codec, chunks));
  // One event behind each chunk: bytes are fed before those in front of them were read.
  if (chunks.length > 1 && codec.mayBeFedAhead === true) assertReadsLike(whole, read(codec, chunks, 1));
}

function assertReadsLike(whole: Transcript<unknown>, pieces: Transcript<unknown>): void {
  const kind = splitKindOf(whole);
  assertAlike(kind, pieces.error, whole.error, 'the error of the pieces is not that of the whole');
  assertAlike(kind, pieces.events, whole.events, 'the events of the pieces are not those of the whole');
  // After an error a decoder has dropped what it held, and how much it had been given by then depends on the cut.
  if (whole.error !== null) return;
  assertAlike(kind, pieces.consumedBytes, whole.consumedBytes, 'the pieces do not consume what the whole does');
  assertAlike(kind, pieces.bufferedBytes, whole.bufferedBytes, 'the pieces do not leave what the whole does');
}

function splitKindOf({ error, bufferedBytes }: Transcript<unknown>): LawFailureKind {
  if (error !== null) return 'split-refused';
  return bufferedBytes > 0 ? 'split-unfinished' : 'split';
}

function assertAlike<Value>(kind: LawFailureKind, actual: Value, expected: Value, what: string): void {
  try {
    assert.deepEqual(actual, expected);
  } catch (cause) {
    throw new LawFailure(kind, `${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function assertTotal<Event, Meaning>(codec: CodecUnderTest<Event, Meaning>, _bytes: Uint8Array, chunks: readonly Uint8Array[]): void {
  const watched = new WatchedDecoder(codec, chunks.length);
  for (const chunk of chunks) {
    watched.feed(chunk);
    watched.readAll();
    if (watched.refusal !== null) break;
    if (watched.next() !== null || watched.refusal !== null) {
      throw new LawFailure('unasked', 'after "needs more" something came without another byte');
    }
  }
  watched.end();
  watched.readAll();
  if (watched.refusal === null) return;
  watched.assertFinal();
  const { maxBytesAfterError = 0 } = codec;
  const { bufferedBytes } = watched.decoder;
  if (bufferedBytes > maxBytesAfterError) {
    throw new LawFailure('held', `${bufferedBytes} bytes are held after the refusal "${watched.refusal}", ${maxBytesAfterError} may be`);
  }
}

function assertConservation<Event, Meaning>(
  codec: CodecUnderTest<Event, Meaning>,
  _bytes: Uint8Array,
  chunks: readonly Uint8Array[],
): void {
  const watched = new WatchedDecoder(codec, chunks.length);
  for (const chunk of chunks) {
    watched.feed(chunk);
    watched.assertBalance();
    while (watched.next() !== null) watched.assertBalance();
    watched.assertBalance();
  }
}

/**
 * A decoder whose throws are asked about in one place: what stands outside of it, laws above all, is never taken for a refusal, whatever the
 * user's `reasonOf` says yes to. After a refusal it does nothing any more.
 */
class WatchedDecoder<Event, Meaning> {
  readonly decoder: DecoderDriver<Event>;
  /** Why the decoder has refused its input; null if it has not. */
  refusal: string | null = null;
  readonly #codec: CodecUnderTest<Event, Meaning>;
  readonly #extraEvents: number;
  #fedBytes = 0;
  #events = 0;

  constructor(codec: CodecUnderTest<Event, Meaning>, chunkCount: number) {
    this.#codec = codec;
    this.#extraEvents = (codec.maxExtraEvents ?? 2) + chunkCount;
    this.decoder = codec.makeDecoder();
  }

  feed(chunk: Uint8Array): void {
    if (this.refusal !== null) return;
    this.#fedBytes += chunk.byteLength;
    try {
      this.decoder.feed(chunk);
    } catch (thrown) {
      this.#refuse(thrown);
    }
  }

  end(): void {
    if (this.refusal !== null) return;
    try {
      this.decoder.end();
    } catch (thrown) {
      this.#refuse(thrown);
    }
  }

  /** @returns null too if the decoder has refused its input. @throws {LawFailure} if it gives events without end */
  next(): Event | null {
    if (this.refusal !== null) return null;
    let event: Event | null = null;
    try {
      event = this.decoder.next();
    } catch (thrown) {
      this.#refuse(thrown);
    }
    if (event !== null) this.#count();
    return event;
  }

  readAll(): void {
    while (this.next() !== null);
  }

  assertBalance(): void {
    if (this.refusal !== null) return;
    const { consumedBytes, bufferedBytes } = this.decoder;
    if (consumedBytes + bufferedBytes === this.#fedBytes) return;
    throw new LawFailure('balance', `${consumedBytes} bytes consumed and ${bufferedBytes} left do not make ${this.#fedBytes} fed`);
  }

  /** Asks twice: the first time may well be remembered, and forgotten by it. */
  assertFinal(): void {
    for (let call = 1; call <= 2; call++) {
      const deed = this.#deedAfterRefusal();
      if (deed === null) continue;
      const rule = 'after a refusal, next() throws one of the same reason at every call';
      throw new LawFailure('not-final', `refused with "${this.refusal}", and at call ${call} of next() after that it ${deed}: ${rule}`);
    }
  }

  /** @returns null if it refuses again, for the same reason */
  #deedAfterRefusal(): string | null {
    let event: Event | null;
    try {
      event = this.decoder.next();
    } catch (thrown) {
      const reason = this.#reasonOf(thrown);
      if (reason === this.refusal) return null;
      return reason === null ? `threw ${String(thrown)}, which is no refusal` : `refused with "${reason}"`;
    }
    return event === null ? 'asked for more bytes' : 'gave an event';
  }

  #count(): void {
    this.#events += 1;
    const { maxEventsPerByte = 2 } = this.#codec;
    const most = this.#fedBytes * maxEventsPerByte + this.#extraEvents;
    if (this.#events <= most) return;
    const why = 'at most maxEventsPerByte for each byte, maxExtraEvents, and one for each chunk';
    throw new LawFailure(
      'endless',
      `the decoder does not stop: ${this.#events} events of ${this.#fedBytes} bytes, ${most} may be (${why})`,
    );
  }

  /** @throws what is no refusal, as it is */
  #refuse(thrown: unknown): void {
    this.refusal = this.#reasonOf(thrown);
    if (this.refusal === null) throw thrown;
  }

  #reasonOf(thrown: unknown): string | null {
    const { reasonOf = wireReasonOf } = this.#codec;
    return reasonOf(thrown);
  }
}
