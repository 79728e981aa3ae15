/**
 * Tells HTTP/2 from HTTP/1 by the first bytes of a connection.
 *
 * The client preface of HTTP/2 was chosen so that no HTTP/1 request can begin with it (RFC 9113 §3.4): its method `PRI` is reserved. It may come
 * in any pieces. No bytes are kept meanwhile: those that matched so far are known.
 */
import { CLIENT_PREFACE } from '@ferrata/http2-framing';

const nothingMatched = 0;
const isOther = -1;

/** Listens to the beginning of one connection. */
export class PrefaceSniffer {
  /** How much of the preface has come; `isOther`: this is no HTTP/2, or nobody wants to know. */
  #matched: number;

  /** @param isWanted whether anybody would take an HTTP/2 connection */
  constructor(isWanted: boolean) {
    this.#matched = isWanted ? nothingMatched : isOther;
  }

  /** The next bytes may tell. */
  get isListening(): boolean {
    return this.#matched >= 0;
  }

  /** What has come may yet become HTTP/2: it is not to be looked at as a request. */
  get isUndecided(): boolean {
    return this.#matched > 0;
  }

  /**
   * Goes on comparing.
   *
   * @returns all bytes of the connection, once they have turned out to begin with the preface; else null. Nothing is compared any more after either outcome
   */
  feed(chunk: Uint8Array): Uint8Array | null {
    const before = this.#matched;
    const end = Math.min(chunk.length, CLIENT_PREFACE.length - before);
    for (let at = 0; at < end; at++) {
      if (chunk[at] === CLIENT_PREFACE[before + at]) continue;
      this.stop();
      return null;
    }
    this.#matched = before + end;
    if (this.#matched < CLIENT_PREFACE.length) return null;
    this.stop();
    return withPreface(before, chunk);
  }

  /** The client has ended: no more will come. */
  stop(): void {
    this.#matched = isOther;
  }
}

/** The preface's bytes of earlier chunks, and `chunk`, as one. */
function withPreface(matched: number, chunk: Uint8Array): Uint8Array {
  if (matched === 0) return chunk;
  const whole = new Uint8Array(matched + chunk.length);
  whole.set(CLIENT_PREFACE.subarray(0, matched));
  whole.set(chunk, matched);
  return whole;
}
