/**
 * One `Http2Connection` with a program that keeps books: what it was told, stream by stream, what it has said, and, by an observer of its own, what
 * went over the wire. Whatever contradicts is a broken invariant.
 */
import { isWireError, type WireError } from '@ferrata/error';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Connection, Http2Event, type Http2Options, type Http2Stream, Role } from '@ferrata/http2';
import { invariant } from '../src/target.ts';
import { bodyBytes } from './http2-body.ts';
import { Http2Observer } from './http2-observer.ts';

/** What a program knows of a stream. */
export interface StreamLedger {
  readonly stream: Http2Stream;
  /** Heads that were told, interim ones included. */
  heads: string[];
  body: Uint8Array[];
  end: string | null;
  resetReason: string | null;
  /** The program has reset it: nothing more is told. */
  isGivenUp: boolean;
  /** First pseudo-header field of each block that we send. */
  readonly wantedBlocks: string[];
  sentBytes: number;
  announced: number;
  hasEnded: boolean;
}

const MAX_STEPS = 1_000;

export class Http2Endpoint {
  readonly connection: Http2Connection;
  readonly observer: Http2Observer;
  readonly ledgers = new Map<number, StreamLedger>();
  readonly order: StreamLedger[] = [];
  /** Events but for data, in order, as text. */
  readonly events: string[] = [];
  fatal: WireError | null = null;
  now = 0;
  /** The program has said the last GOAWAY. */
  isOver = false;
  /** Bytes of control frames that the program has caused, at most. */
  causedBytes = 0;
  inputBytes = 0;
  readonly #isServer: boolean;
  readonly #options: Http2Options;
  #steps = 0;
  #hasPeerEnded = false;

  constructor(role: Role, options: Http2Options) {
    this.#isServer = role === Role.server;
    this.#options = options;
    this.connection = new Http2Connection(role, 0, options);
    this.observer = new Http2Observer(this.#isServer, Math.max(65_535, options.initialWindowBytes ?? 65_535));
  }

  // ---- input ---------------------------------------------------------------------------------------------------------------------

  receive(bytes: Uint8Array, sizeAt: (at: number) => number): void {
    if (this.#hasPeerEnded) return;
    this.observer.readInput(bytes);
    // Large inputs in larger pieces: an execution is to be short.
    const scale = 1 + (bytes.length >> 9);
    for (let at = 0; at < bytes.length; ) {
      const chunk = bytes.slice(at, at + sizeAt(at) * scale);
      at += chunk.length;
      this.inputBytes += chunk.length;
      this.connection.receive(chunk, this.now);
      this.pump();
    }
  }

  receiveEnd(): void {
    this.#hasPeerEnded = true;
    this.connection.receiveEnd(this.now);
    this.pump();
  }

  pump(): void {
    const { connection } = this;
    try {
      while (connection.nextEvent(this.now)) {
        this.#onEvent();
        invariant(++this.#steps < MAX_STEPS + this.inputBytes, 'nothing goes on for ever', () => `${this.#steps} events`);
      }
    } catch (thrown) {
      if (!isWireError(thrown) || thrown.type === 'internal') throw thrown;
      invariant(
        this.fatal === null || this.fatal === thrown,
        'the first error is final',
        () => `${this.fatal?.reason}, then ${thrown.reason}`,
      );
      invariant(connection.shouldClose, 'an error ends the connection', () => thrown.reason);
      if (this.fatal === null) this.events.push(`fatal ${thrown.reason} ${thrown.wire.http2Code}`);
      this.fatal = thrown;
      const { observer } = this;
      const isOverWindow = thrown.reason === 'H2_WINDOW_EXCEEDED';
      invariant(
        !isOverWindow || observer.received > observer.granted,
        'who keeps to the window is not refused',
        () => `${observer.received}`,
      );
    }
    const { maxConcurrentStreams = 100 } = this.#options;
    invariant(connection.openStreamCount <= maxConcurrentStreams, 'no more streams than allowed', () => `${connection.openStreamCount}`);
  }

  #onEvent(): void {
    const { connection } = this;
    const { event, stream, error } = connection;
    invariant(this.fatal === null, 'no event behind the last error', () => `event ${event}`);
    if (stream === null) {
      this.events.push(`${event} ${error?.reason ?? ''} ${error?.wire.http2Code ?? ''}`);
      return;
    }
    const ledger = this.ledgers.get(stream.id) ?? this.#add(stream);
    const at = `${event} on ${stream.id}`;
    invariant(ledger.stream === stream, 'a number belongs to one stream', () => at);
    invariant(ledger.resetReason === null && !ledger.isGivenUp, 'a reset is the last event of a stream', () => at);
    switch (event) {
      case Http2Event.head:
      case Http2Event.interim: {
        invariant(ledger.end === null && ledger.body.length === 0, 'a head comes first', () => at);
        const head = this.#isServer ? stream.request : event === Http2Event.head ? stream.response : stream.interim;
        const start = head !== null && 'method' in head ? `${head.method} ${head.target}` : `${head?.status}`;
        ledger.heads.push(`${event} ${start} ${JSON.stringify(head?.headers.toJSON())} ${stream.receiveLength}`);
        this.events.push(`${stream.id} ${ledger.heads.at(-1)}`);
        return;
      }
      case Http2Event.data:
        invariant(connection.data.length > 0, 'data is never empty', () => at);
        invariant(ledger.heads.length > 0 && ledger.end === null, 'data comes between head and end', () => at);
        ledger.body.push(connection.data);
        return;
      case Http2Event.end:
        invariant(ledger.heads.length > 0 && ledger.end === null, 'an end comes once, behind a head', () => at);
        ledger.end = JSON.stringify(connection.trailers?.toJSON() ?? null);
        this.events.push(`${stream.id} end ${ledger.end}`);
        this.#checkReceived(ledger, true);
        return;
      case Http2Event.reset:
        invariant(error !== null && stream.isClosed, 'a stream that is reset is closed', () => at);
        ledger.resetReason = error.reason;
        this.events.push(`${stream.id} reset ${error.reason} ${error.wire.http2Code}`);
        this.#checkReceived(ledger, false);
        return;
      default:
        invariant(false, 'only events that there are', () => at);
    }
  }

  #add(stream: Http2Stream): StreamLedger {
    const ledger: StreamLedger = {
      stream,
      heads: [],
      body: [],
      end: null,
      resetReason: null,
      isGivenUp: false,
      wantedBlocks: [],
      sentBytes: 0,
      announced: -1,
      hasEnded: false,
    };
    this.ledgers.set(stream.id, ledger);
    this.order.push(ledger);
    return ledger;
  }

  /** What was told of a body is what came, or its beginning. */
  #checkReceived(ledger: StreamLedger, isWhole: boolean): void {
    const { id, receiveLength } = ledger.stream;
    const body = Buffer.concat(ledger.body);
    const came = Buffer.concat(this.observer.streams.get(id)?.receivedBody ?? []);
    const wanted = isWhole ? came : came.subarray(0, body.length);
    invariant(body.equals(wanted), 'a body is what was sent', () => `stream ${id}: ${body.length} of ${came.length} bytes`);
    if (!isWhole) return;
    invariant(
      receiveLength < 0 || body.length === receiveLength,
      'a body has the length it was given',
      () => `${body.length} of ${receiveLength}`,
    );
    invariant(this.observer.streams.get(id)?.hasReceivedEnd === true, 'an end is an end on the wire', () => `stream ${id}`);
  }

  /** Commands do nothing any more. */
  #isDead(stream: Http2Stream): boolean {
    return stream.isClosed || this.fatal !== null || this.isOver;
  }

  // ---- the program ---------------------------------------------------------------------------------------------------------------

  /** The streams that can still be spoken of, by any number. */
  pick(number: number): StreamLedger | null {
    return this.order.length === 0 ? null : (this.order[number % this.order.length] ?? null);
  }

  request(kind: number): void {
    const { connection } = this;
    if (this.#isServer || connection.availableStreams === 0) return;
    const bodyLength = [0, -1, 5, 300][kind & 3] ?? 0;
    const method = bodyLength === 0 ? (['GET', 'HEAD'][(kind >> 2) & 1] as string) : 'POST';
    const headers = HeaderMap.from([['Host', 'a.example'], ...fieldsOf(kind >> 3)]);
    const stream = connection.request(requestHead(method, `/${kind}`, { headers }), { bodyLength }, this.now);
    const ledger = this.#add(stream);
    ledger.wantedBlocks.push(`:method ${method}`);
    ledger.announced = bodyLength;
    ledger.hasEnded = bodyLength === 0;
    this.pump();
  }

  interim(ledger: StreamLedger): void {
    const { stream } = ledger;
    if (!this.#isServer || stream.isHeadSent) return;
    if (!this.#isDead(stream) && stream.interimSent < (this.#options.maxInterimResponses ?? 8)) ledger.wantedBlocks.push(':status 103');
    this.connection.sendInterim(stream, responseHead(103, { headers: { Link: '</a>' } }), this.now);
  }

  respond(ledger: StreamLedger, kind: number): void {
    const { stream } = ledger;
    if (!this.#isServer || stream.isHeadSent) return;
    const status = [200, 404, 204, 304][(kind >> 2) & 3] ?? 200;
    const bodyLength = [0, -1, 5, 300][kind & 3] ?? 0;
    if (!this.#isDead(stream)) ledger.wantedBlocks.push(`:status ${status}`);
    this.connection.sendHead(stream, responseHead(status, { headers: HeaderMap.from(fieldsOf(kind >> 4)) }), bodyLength, '', this.now);
    if (!stream.isHeadSent) return;
    const isBodyless = stream.request?.method === 'HEAD' || status === 204 || status === 304;
    ledger.announced = isBodyless ? 0 : bodyLength;
    ledger.hasEnded = isBodyless || bodyLength === 0;
    this.pump();
  }

  send(ledger: StreamLedger, length: number): void {
    const { stream } = ledger;
    if (!stream.isHeadSent || ledger.hasEnded) return;
    const isTooMuch = ledger.announced >= 0 && ledger.sentBytes + length > ledger.announced;
    const isClosed = this.#isDead(stream);
    const bytes = bodyBytes(stream.id, ledger.sentBytes, length);
    try {
      const hasRoom = this.connection.sendData(stream, bytes.slice(), this.now);
      invariant(!isTooMuch || isClosed, 'a body keeps to its length', () => `${ledger.sentBytes} and ${length} of ${ledger.announced}`);
      invariant(hasRoom || isClosed || stream.queuedBytes > 0, 'who has to wait has something waiting', () => `${stream.id}`);
      if (isClosed) return;
      ledger.sentBytes += length;
    } catch (thrown) {
      this.#onMisuse(ledger, thrown, isTooMuch && !isClosed);
    }
    this.pump();
  }

  finish(ledger: StreamLedger, hasTrailers: boolean): void {
    const { stream } = ledger;
    if (!stream.isHeadSent || ledger.hasEnded) return;
    const isTooLittle = ledger.announced > ledger.sentBytes;
    const isClosed = this.#isDead(stream);
    try {
      this.connection.sendEnd(stream, hasTrailers ? HeaderMap.from({ 'X-Sum': `${stream.id}` }) : null, this.now);
      invariant(!isTooLittle || isClosed, 'a body keeps to its length', () => `${ledger.sentBytes} of ${ledger.announced}`);
      ledger.hasEnded = true;
      if (hasTrailers && !isClosed) ledger.wantedBlocks.push('x-sum');
    } catch (thrown) {
      this.#onMisuse(ledger, thrown, isTooLittle && !isClosed);
    }
    this.pump();
  }

  /** A body that is not of the length it was given ends its stream. */
  #onMisuse(ledger: StreamLedger, thrown: unknown, isMisuse: boolean): void {
    invariant(thrown instanceof RangeError && isMisuse, 'a command that is valid is taken', () => String(thrown));
    this.#giveUp(ledger);
  }

  /** RST_STREAM goes out, and nothing more is told. */
  #giveUp(ledger: StreamLedger): void {
    ledger.isGivenUp = true;
    this.causedBytes += 13;
  }

  reset(ledger: StreamLedger, code: number): void {
    if (ledger.stream.isClosed) return;
    this.#giveUp(ledger);
    this.connection.reset(ledger.stream, code, this.now);
    this.pump();
  }

  pause(ledger: StreamLedger, isPaused: boolean): void {
    this.connection.setReadingPaused(ledger.stream, isPaused, this.now);
    this.pump();
  }

  // ---- time and output -----------------------------------------------------------------------------------------------------------

  /** Lets time pass, to every time-out on the way. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (let steps = 0; ; steps++) {
      const next = this.connection.nextTimeout();
      if (next > until) break;
      invariant(steps < 2_000, 'time-outs come to an end', () => `${steps} until ${until}`);
      this.now = Math.max(this.now, next);
      // A ping, a GOAWAY of two steps.
      this.causedBytes += 64;
      const error = this.connection.handleTimeout(this.now);
      this.pump();
      invariant(error === null || this.fatal === error, 'a time-out that ends the connection is its error', () => error?.reason ?? '');
    }
    this.now = until;
  }

  /** Moves out what is to be written. */
  take(maxBytes: number): Uint8Array {
    const { connection, observer } = this;
    const hadOutput = connection.hasOutput;
    const bytes = Uint8Array.from(Buffer.concat(connection.takeOutput(maxBytes)));
    invariant(hadOutput || bytes.length === 0, 'no output without hasOutput', () => `${bytes.length} bytes`);
    observer.readOutput(bytes);
    for (let stream = connection.takeWritable(); stream !== null; stream = connection.takeWritable()) {
      const closed = stream;
      invariant(!closed.isClosed, 'a stream that is writable is open', () => `${closed.id}`);
    }
    const most = 3 * this.inputBytes + this.causedBytes + 600;
    invariant(
      observer.controlBytes <= most,
      'what a peer forces is bounded',
      () => `${observer.controlBytes} for ${this.inputBytes} bytes`,
    );
    this.#checkSent();
    return bytes;
  }

  #checkSent(): void {
    let queued = 0;
    for (const { stream } of this.order) queued += stream.isClosed ? 0 : stream.queuedBytes;
    invariant(queued === this.connection.queuedBytes, 'bytes that wait are those of the streams', () => `${queued}`);
    for (const [id, books] of this.observer.streams) {
      const ledger = this.ledgers.get(id);
      if (ledger === undefined) {
        for (const block of books.blocks)
          invariant(/^[45]/.test(block[0]?.[1] ?? ''), 'a refusal is an error', () => JSON.stringify(block));
        continue;
      }
      books.blocks.forEach((block, i) => {
        const wanted = ledger.wantedBlocks[i] ?? '';
        const [name = '', value = ''] = block[0] ?? [];
        invariant(wanted === name || wanted === `${name} ${value}`, 'blocks are what was meant', () => `${name} ${value}, not ${wanted}`);
      });
      const { sent, hasSentEnd } = books;
      invariant(sent <= ledger.sentBytes, 'no more goes out than was given', () => `stream ${id}: ${sent} of ${ledger.sentBytes} bytes`);
      if (!hasSentEnd) continue;
      invariant(books.blocks.length === ledger.wantedBlocks.length, 'every block goes out before the end', () => `${books.blocks.length}`);
      invariant(ledger.hasEnded && sent === ledger.sentBytes, 'an end is an end', () => `${sent} of ${ledger.sentBytes} bytes`);
    }
  }

  /** The peer has sent more than a window lets it: that of a stream, or what was left of it when the stream was reset. */
  hasPassedWindow(): boolean {
    return this.events.some((event) => event.includes('WINDOW_EXCEEDED') || event.includes('STRAY_DATA'));
  }

  /** All was written: windows of both sides agree. */
  checkBooks(): void {
    // Whoever has closed does not listen any more.
    if (this.fatal !== null || this.isOver || this.connection.shouldClose) return;
    this.observer.checkReceived((id) => {
      const ledger = this.ledgers.get(id);
      return ledger === undefined || ledger.stream.isClosed || ledger.resetReason !== null;
    });
  }

  /** The program is done with everything, and time goes on: nothing is left. */
  checkEnd(): void {
    const { connection } = this;
    this.take(Number.POSITIVE_INFINITY);
    this.checkBooks();
    for (const ledger of this.order) this.reset(ledger, 8);
    invariant(connection.openStreamCount === 0, 'what was given up is not open', () => `${connection.openStreamCount}`);
    this.advance(3_600_000);
    this.take(Number.POSITIVE_INFINITY);
    invariant(connection.shouldClose, 'a connection ends by itself', () => `next ${connection.nextTimeout()}`);
    invariant(connection.queuedBytes === 0 && !connection.hasOutput, 'nothing is left', () => `${connection.queuedBytes}`);
    for (const { stream, end, resetReason, isGivenUp } of this.order) {
      const isTold = resetReason !== null || isGivenUp || (end !== null && stream.isSendEnded);
      invariant(stream.isClosed && (isTold || this.fatal !== null), 'every stream has one end', () => `stream ${stream.id}`);
    }
  }
}

function fieldsOf(kind: number): [string, string][] {
  const all: [string, string][] = [
    ['X-Long', 'l'.repeat(120)],
    ['Cookie', 'a=1; b=2'],
    ['X-Token', `t${kind}`],
    ['Authorization', 'secret'],
  ];
  return all.filter((_, i) => ((kind >> i) & 1) === 1);
}
