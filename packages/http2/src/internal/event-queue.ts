/** Events that no frame at hand brings: streams lost by a time-out, by GOAWAY, by the end of the connection. Rare, so an object each. */
import type { WireError } from '@ferrata/error';
import type { Http2Event } from '../http2-event.ts';
import type { Http2Stream } from '../stream.ts';

interface QueuedEvent {
  readonly event: Http2Event;
  readonly stream: Http2Stream | null;
  readonly error: WireError | null;
}

export class EventQueue {
  /** For a look without a call on the hot path. */
  isEmpty = true;
  #events: QueuedEvent[] = [];
  #at = 0;

  push(event: Http2Event, stream: Http2Stream | null, error: WireError | null): void {
    this.#events.push({ event, stream, error });
    this.isEmpty = false;
  }

  shift(): QueuedEvent | null {
    const found = this.#events[this.#at];
    if (found === undefined) return null;
    this.#at++;
    if (this.#at === this.#events.length) {
      this.#events = [];
      this.#at = 0;
      this.isEmpty = true;
    }
    return found;
  }
}
