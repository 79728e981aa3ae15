/** Answers that take their time: each follows its exchange from the head of the request to the close. */
import { type HeaderMap, responseHead } from '@ferrata/headers';
import type { ServerExchange, ServerExchangeHandler } from '@ferrata/http';

/** Follows a request that is answered already. */
export const handled: ServerExchangeHandler = {
  onRequestData() {},
  onRequestEnd() {},
  onResponseDrain() {},
  onExchangeClose() {},
};

/** Sends each piece of the body back. Nothing is gathered: a slow reader slows the sender down. */
export class Echo implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;

  constructor(exchange: ServerExchange, headers: HeaderMap) {
    this.#exchange = exchange;
    exchange.sendHead(responseHead(200, { headers }), exchange.requestBodyLength);
  }

  onRequestData(chunk: Uint8Array): void {
    if (!this.#exchange.sendData(chunk)) this.#exchange.pauseRequest();
  }

  onResponseDrain(): void {
    this.#exchange.resumeRequest();
  }

  onRequestEnd(trailers: HeaderMap | null): void {
    this.#exchange.sendEnd(trailers);
  }

  onExchangeClose(): void {}
}

/** A prime, so that no buffer of a usual size begins where a period does. */
const PERIOD = 65_521;

/**
 * The byte at position `p` of a download is that at `p % PERIOD` of this: whoever reads it can tell that no piece is missing or doubled. All downloads send it,
 * so it is never written to again.
 */
const PATTERN = Uint8Array.from({ length: PERIOD }, (_, at) => (at * 31 + (at >> 8)) & 0xff);

/** Sends so many bytes, as fast as the reader takes them, and never holds more than a piece or two of them. */
export class Download implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;
  #left: number;
  #isEnded = false;

  constructor(exchange: ServerExchange, headers: HeaderMap, bytes: number) {
    this.#exchange = exchange;
    this.#left = bytes;
    exchange.sendHead(responseHead(200, { headers }), bytes);
    this.#send();
  }

  onRequestData(): void {}

  onRequestEnd(): void {}

  onResponseDrain(): void {
    this.#send();
  }

  onExchangeClose(): void {}

  #send(): void {
    while (this.#left > 0) {
      const piece = this.#left < PERIOD ? PATTERN.subarray(0, this.#left) : PATTERN;
      this.#left -= piece.length;
      // False: the reader is slow. `onResponseDrain` says when it has caught up.
      if (!this.#exchange.sendData(piece)) break;
    }
    if (this.#left > 0 || this.#isEnded) return;
    this.#isEnded = true;
    this.#exchange.sendEnd();
  }
}

/** Answers after a while; not at all if the client has gone. */
export class Later implements ServerExchangeHandler {
  readonly #timer: NodeJS.Timeout;

  constructor(ms: number, answer: () => void) {
    this.#timer = setTimeout(answer, ms);
  }

  onRequestData(): void {}

  onRequestEnd(): void {}

  onResponseDrain(): void {}

  onExchangeClose(): void {
    clearTimeout(this.#timer);
  }
}
