/**
 * Peers that are to be asked by HTTP/1.1 for a while, though they take HTTP/2: they have refused a request with HTTP_1_1_REQUIRED (RFC 9113 §7), or broke the
 * rules of HTTP/2. A hint, and so bounded in time and in number: what is forgotten is found out again by one request.
 */

/** For so long: a peer that is mended is asked by HTTP/2 again. */
const KEPT_MS = 600_000;

/** Of so many; the one told of longest ago is forgotten first. */
const MAX_KEPT = 4_096;

/** By the keys of peers. */
export class Http1Preferences {
  /** Until when. */
  readonly #until = new Map<string, number>();

  get size(): number {
    return this.#until.size;
  }

  add(key: string, now: number): void {
    this.#until.delete(key);
    this.#until.set(key, now + KEPT_MS);
    if (this.#until.size > MAX_KEPT) this.#until.delete(this.#until.keys().next().value as string);
  }

  has(key: string, now: number): boolean {
    const until = this.#until.get(key);
    if (until === undefined) return false;
    if (now < until) return true;
    this.#until.delete(key);
    return false;
  }
}
