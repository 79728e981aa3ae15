/** Exchanges of an HTTP/2 server of which the application has said all, and which wait for their last frame to be taken. */
import type { WireError } from '@ferrata/error';
import type { Http2Connection, Http2Stream } from '@ferrata/http2';
import { Http2ErrorCode } from '@ferrata/http2-framing';

/** An exchange, as far as this must know it. */
export interface EndingExchange {
  readonly stream: Http2Stream;
  close(error: WireError | null): void;
}

/** Those of one connection. */
export class EndingExchanges {
  #waiting: EndingExchange[] = [];

  add(exchange: EndingExchange): void {
    this.#waiting.push(exchange);
  }

  /** Closes those whose last frame is out. @returns whether the machine has something to say by that */
  settle(machine: Http2Connection, now: number): boolean {
    if (this.#waiting.length === 0) return false;
    const waiting = this.#waiting;
    this.#waiting = [];
    let hasSaid = false;
    for (const exchange of waiting) {
      const { stream } = exchange;
      if (stream.isSendEnded && stream.queuedBytes === 0) {
        // RFC 9113 §8.1: the rest of the request is not wanted, and that is no error.
        if (!stream.isReceiveEnded && !stream.isClosed) {
          machine.reset(stream, Http2ErrorCode.noError, now);
          hasSaid = true;
        }
        exchange.close(null);
      } else if (!stream.isClosed) {
        this.#waiting.push(exchange);
      }
    }
    return hasSaid;
  }
}
