/** The bytes of downloads, known by their position: a piece that is missing, doubled or somebody else's is seen wherever it is. */

/** A prime, so that no size of reads or records hides a shift. */
const PERIOD = 65_521;

/** Two periods, so that a piece of up to one can be taken from any position. */
const pattern = Buffer.allocUnsafe(2 * PERIOD);
for (let at = 0; at < pattern.length; at++) pattern[at] = ((at % PERIOD) * 31 + ((at % PERIOD) >> 8)) & 0xff;

/** The bytes that stand at `position` of a download, without a copy: up to 65 521 of them. */
export function patternAt(position: number, length: number): Uint8Array {
  const from = position % PERIOD;
  return pattern.subarray(from, from + Math.min(length, PERIOD));
}

/** Whether `chunk` holds the bytes that stand at `position` of a download. */
export function isPattern(chunk: Uint8Array, position: number): boolean {
  for (let at = 0; at < chunk.length; at += PERIOD) {
    const length = Math.min(PERIOD, chunk.length - at);
    const from = (position + at) % PERIOD;
    if (pattern.compare(chunk, at, at + length, from, from + length) !== 0) return false;
  }
  return true;
}
