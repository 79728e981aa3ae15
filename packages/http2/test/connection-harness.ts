/** Two connections joined in memory, and a record of what they say: events as plain values, so that runs can be compared. */

import { isWireError } from '@ferrata/error';
import { Http2Connection, Http2Event, type Http2Options, type Http2Stream, Role } from '@ferrata/http2';

export interface Seen {
  readonly event: string;
  readonly id: number;
  readonly detail: unknown;
}

const eventNames = Object.fromEntries(Object.entries(Http2Event).map(([name, value]) => [value, name]));

/** One end with what it has seen. */
export class End {
  readonly connection: Http2Connection;
  readonly seen: Seen[] = [];
  readonly streams = new Map<number, Http2Stream>();
  /** The connection error that was thrown. */
  fatal: string | null = null;
  onEvent: ((end: End, stream: Http2Stream | null, event: Http2Event) => void) | null = null;

  constructor(role: Role, options: Http2Options = {}, now = 0) {
    this.connection = new Http2Connection(role, now, options);
  }

  /** Takes events until there are no more. */
  run(now = 0): void {
    if (this.fatal !== null) return;
    try {
      while (this.connection.nextEvent(now)) this.#note();
    } catch (thrown) {
      if (!isWireError(thrown)) throw thrown;
      this.fatal = thrown.reason;
    }
  }

  receive(chunk: Uint8Array, now = 0): void {
    this.connection.receive(chunk, now);
    this.run(now);
  }

  #note(): void {
    const { connection } = this;
    const { event, stream } = connection;
    if (stream !== null) this.streams.set(stream.id, stream);
    let detail: unknown = null;
    if (event === Http2Event.head) {
      const request = stream?.request;
      const response = stream?.response;
      detail = connection.stream?.response
        ? [response?.status, response?.headers.toJSON()]
        : [request?.method, request?.target, request?.headers.toJSON()];
    } else if (event === Http2Event.interim) detail = stream?.interim?.status;
    else if (event === Http2Event.data) detail = Buffer.from(connection.data).toString('latin1');
    else if (event === Http2Event.end) detail = connection.trailers?.toJSON() ?? null;
    else if (event === Http2Event.reset || event === Http2Event.refused || event === Http2Event.goaway)
      detail = [connection.error?.reason, connection.error?.wire.http2Code, connection.error?.status, connection.error?.retry];
    this.seen.push({ event: eventNames[event] as string, id: stream?.id ?? 0, detail });
    this.onEvent?.(this, stream, event);
  }

  /** Everything to say now, as one array of bytes. */
  take(maxBytes = 1 << 30): Uint8Array {
    return Buffer.concat(this.connection.takeOutput(maxBytes));
  }

  /** The events of one stream, joined: `head end`. DATA pieces count as one. */
  story(id: number): string {
    return this.seen
      .filter((one) => one.id === id)
      .map((one) => one.event)
      .filter((event, at, all) => event !== 'data' || all[at - 1] !== 'data')
      .join(' ');
  }

  /** The body that came on a stream. */
  body(id: number): string {
    return this.seen
      .filter((one) => one.id === id && one.event === 'data')
      .map((one) => one.detail)
      .join('');
  }

  detail(event: string, id?: number): unknown {
    return this.seen.find((one) => one.event === event && (id === undefined || one.id === id))?.detail;
  }
}

/** A server and a client, joined. */
export class Pair {
  readonly client: End;
  readonly server: End;

  constructor(options: { readonly client?: Http2Options; readonly server?: Http2Options } = {}) {
    this.client = new End(Role.client, options.client);
    this.server = new End(Role.server, options.server);
  }

  /** Carries bytes both ways until nobody has anything to say. @param rounds at most */
  exchange(now = 0, rounds = 200): void {
    for (let round = 0; round < rounds; round++) {
      const up = this.client.take();
      const down = this.server.take();
      if (up.length + down.length === 0) return;
      if (up.length > 0) this.server.receive(up, now);
      if (down.length > 0) this.client.receive(down, now);
    }
    throw new Error('the two have not come to rest');
  }
}
