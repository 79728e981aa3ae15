/**
 * Those who connect each for itself to a peer that chose HTTP/1 last, and may choose HTTP/2 by now.
 *
 * If it does, one connection is enough for many: as soon as the first of them knows, the others give up what they are making, and share.
 */

/** One who connects. Its signal gives up when the caller's does, or when it is called to share. */
export class LoneAttempt {
  isCalled = false;
  readonly #abort = new AbortController();
  readonly #outer: AbortSignal | undefined;
  readonly #handleAbort = (): void => this.#abort.abort();

  /** @param outer the caller's */
  constructor(outer: AbortSignal | undefined) {
    this.#outer = outer;
    if (outer?.aborted === true) this.#abort.abort();
    else outer?.addEventListener('abort', this.#handleAbort);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  call(): void {
    this.isCalled = true;
    this.#abort.abort();
  }

  /** It is over: the caller's signal, which may live long, holds on to it no more. */
  end(): void {
    this.#outer?.removeEventListener('abort', this.#handleAbort);
  }
}

/** By the key of the peer. */
export class LoneAttempts {
  readonly #attempts = new Map<string, Set<LoneAttempt>>();

  add(key: string, attempt: LoneAttempt): void {
    const known = this.#attempts.get(key);
    if (known === undefined) this.#attempts.set(key, new Set([attempt]));
    else known.add(attempt);
  }

  remove(key: string, attempt: LoneAttempt): void {
    attempt.end();
    const known = this.#attempts.get(key);
    known?.delete(attempt);
    if (known?.size === 0) this.#attempts.delete(key);
  }

  /** The peer speaks HTTP/2 by now: all who still connect may share. */
  call(key: string): void {
    for (const attempt of this.#attempts.get(key) ?? []) attempt.call();
  }
}
