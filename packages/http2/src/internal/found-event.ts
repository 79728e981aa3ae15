/** The event at hand: one object a connection, filled anew by each `nextEvent`. */
import { EMPTY_BYTES } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import { Http2Event } from '../http2-event.ts';
import type { Http2Stream } from '../stream.ts';

export class FoundEvent {
  event: Http2Event = Http2Event.none;
  stream: Http2Stream | null = null;
  data: Uint8Array = EMPTY_BYTES;
  trailers: HeaderMap | null = null;
  error: WireError | null = null;
  /** A stream whose `end` event comes next: END_STREAM stood on the frame that made the event at hand. */
  endsNext: Http2Stream | null = null;

  set(event: Http2Event, stream: Http2Stream | null, error: WireError | null): void {
    this.event = event;
    this.stream = stream;
    this.error = error;
  }

  /** There is no event at hand. */
  clear(): void {
    this.set(Http2Event.none, null, null);
    this.data = EMPTY_BYTES;
    this.trailers = null;
  }
}
