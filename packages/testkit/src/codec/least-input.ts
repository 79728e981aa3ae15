/**
 * Makes an input that breaks a law smaller by its bytes alone, after the arbitraries have done what they can by their structure: fewer cuts,
 * fewer bytes, lower bytes, as long as the law stays broken in the same way.
 */
import { type CutBytes, cut } from '../arbitrary/chunkings.ts';

/** Tries that an input may cost; each runs the law once. */
const MAX_TRIES = 5_000;

/** Inputs up to so many bytes are tried without each of their parts: half the square of it. */
const MAX_SHORT_BYTES = 48;

/** A whole input, and where it is cut: offsets, ascending, none at its ends. */
interface Candidate {
  readonly bytes: Uint8Array;
  readonly cuts: readonly number[];
}

/**
 * @param isBroken whether an input shows what `input` shows
 * @returns the least input found; `input` itself if nothing smaller shows it
 */
export function leastInput(input: CutBytes, isBroken: (input: CutBytes) => boolean): CutBytes {
  let best: Candidate = { bytes: input.bytes, cuts: cutsOf(input.chunks) };
  let tries = 0;
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false;
    for (let candidates = smaller(best), next = candidates.next(); next.done !== true; next = candidates.next()) {
      if (tries++ >= MAX_TRIES) return inChunks(best);
      if (!isBroken(inChunks(next.value))) continue;
      best = next.value;
      candidates = smaller(best);
      isSmaller = true;
    }
  }
  return inChunks(best);
}

/** Everything a step smaller than this, the biggest steps first. */
function* smaller({ bytes, cuts }: Candidate): Generator<Candidate, void> {
  const { byteLength } = bytes;
  for (let index = 0; index < cuts.length; index++) yield { bytes, cuts: cuts.toSpliced(index, 1) };
  for (let size = byteLength; size >= 1; size = Math.floor(size / 2)) {
    for (let from = 0; from + size <= byteLength; from += size) yield without({ bytes, cuts }, from, from + size);
  }
  for (let at = 1; at < byteLength; at++) {
    yield without({ bytes, cuts }, at, byteLength);
    yield without({ bytes, cuts }, 0, at);
  }
  yield* withoutFewer({ bytes, cuts });
  yield* withShorterFrames({ bytes, cuts });
  for (let at = 0; at < byteLength; at++) {
    const byte = bytes[at] ?? 0;
    // Text says more to people than zeros do.
    if (byte >= 0x20 && byte < 0x7f) continue;
    for (const lower of new Set([0, byte >>> 1])) if (lower < byte) yield { bytes: bytes.with(at, lower), cuts };
  }
}

/** Each byte taken for a length: made lower, and as many bytes gone, the first or the last of those that it counts, so that a frame stays a frame. */
function* withShorterFrames({ bytes, cuts }: Candidate): Generator<Candidate, void> {
  for (let at = 0; at < bytes.byteLength; at++) {
    const length = bytes[at] ?? 0;
    for (const lower of new Set([0, length >>> 1, length - 1])) {
      const end = at + 1 + length;
      if (lower < 0 || lower >= length || end > bytes.byteLength) continue;
      const lowered = { bytes: bytes.with(at, lower), cuts };
      yield without(lowered, at + 1 + lower, end);
      if (lower > 0) yield without(lowered, at + 1, end - lower);
    }
  }
}

/** Anything within a short input: a frame in the middle begins anywhere. */
function* withoutFewer({ bytes, cuts }: Candidate): Generator<Candidate, void> {
  const { byteLength } = bytes;
  if (byteLength > MAX_SHORT_BYTES) return;
  for (let size = byteLength - 2; size >= 2; size--) {
    for (let from = 1; from + size < byteLength; from++) yield without({ bytes, cuts }, from, from + size);
  }
}

function without({ bytes, cuts }: Candidate, from: number, to: number): Candidate {
  const left = new Uint8Array(bytes.byteLength - (to - from));
  left.set(bytes.subarray(0, from));
  left.set(bytes.subarray(to), from);
  const moved = cuts.map((at) => (at <= from ? at : Math.max(from, at - (to - from))));
  return { bytes: left, cuts: [...new Set(moved)].filter((at) => at > 0 && at < left.byteLength) };
}

function cutsOf(chunks: readonly Uint8Array[]): readonly number[] {
  let at = 0;
  return chunks.slice(0, -1).map(({ byteLength }) => (at += byteLength));
}

function inChunks({ bytes, cuts }: Candidate): CutBytes {
  return {
    bytes,
    chunks: cut(
      bytes,
      cuts.map((at, index) => at - (cuts[index - 1] ?? 0)),
    ),
  };
}
