/**
 * What happened in a world, as lines and as one hash: two runs of one seed must give the same (invariant: determinism).
 *
 * The hash is two FNV-1a lanes of 32 bits over the lines, plenty to tell two runs apart and of no use against an attacker.
 */

/** A growing record of events. */
export class EventTrace {
  readonly #lines: string[] = [];
  readonly #maxLines: number;
  #count = 0;
  #low = 0x811c_9dc5;
  #high = 0xcbf2_9ce4;

  /** @param maxLines the last so many lines are kept for reading; the hash covers all of them. Default 10_000 */
  constructor(maxLines = 10_000) {
    this.#maxLines = maxLines;
  }

  /** How many events there were. */
  get count(): number {
    return this.#count;
  }

  /** The hash so far: 16 hexadecimal digits. */
  get hash(): string {
    return (this.#high >>> 0).toString(16).padStart(8, '0') + (this.#low >>> 0).toString(16).padStart(8, '0');
  }

  /** The last lines. */
  get lines(): readonly string[] {
    return this.#lines.slice(-this.#maxLines);
  }

  add(line: string): void {
    this.#count += 1;
    for (let i = 0; i < line.length; i++) this.#mix(line.charCodeAt(i));
    this.#mix(0x0a);
    this.#lines.push(line);
    if (this.#lines.length > 2 * this.#maxLines) this.#lines.splice(0, this.#maxLines);
  }

  #mix(code: number): void {
    this.#low = Math.imul(this.#low ^ code, 0x0100_0193);
    this.#high = Math.imul(this.#high ^ ((code << 5) | (this.#low >>> 27)), 0x0100_0193);
  }
}

/** A short fingerprint of bytes, for trace lines. */
export function fingerprint(bytes: Uint8Array): string {
  let hash = 0x811c_9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x0100_0193);
  return (hash >>> 0).toString(16).padStart(8, '0');
}
