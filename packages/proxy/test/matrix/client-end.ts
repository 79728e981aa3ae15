/** The client's end of a cell: it asks, and says what it got, in the same words whatever it speaks. */
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { type Field, H2Wire, requestFields } from '../h2-wire.ts';
import { readResponse, Wire } from '../rig.ts';
import { type Carried, MutableStream, type Outer } from './carriers.ts';
import type { Protocol } from './ends.ts';
import { bodyOf, FIRST_STREAM, ownFields, type Request } from './scripts.ts';

/** `whole`: it says so itself; `cut`: it visibly does not come to its end; `open`: more may come. */
export type Ending = 'whole' | 'cut' | 'open';

/** What a client has of the answer to one request. */
export interface Seen {
  /** 0: no head has come. */
  readonly status: number;
  readonly interims: number;
  readonly body: string;
  readonly trailers: string;
  readonly ending: Ending;
  /** The code of RST_STREAM; HTTP/2 only. */
  readonly resetCode: number | null;
  /** What came behind the answer; HTTP/1 only. */
  readonly rest: string;
}

/** One request of a client. */
export interface Asking {
  /** Sends what of the body was not sent at first. */
  finish(): void;
  /** Gives the request up: HTTP/2 resets its stream, HTTP/1 its connection. */
  leave(): void;
  seen(): Seen;
}

/** A request whose body is sent by and by. */
export interface Upload extends Asking {
  /** Sends what may be sent now. */
  goOn(): void;
}

/** A client's connection. */
export interface ClientEnd {
  readonly isOver: boolean;
  /** HTTP/2: codes of GOAWAY frames that have come. */
  readonly goaways: readonly number[];
  readonly carried: Carried;
  /** All that has come: on the connection, or over HTTP/2 as DATA of its first stream. */
  readonly heard: string;
  /** Sends a body of known length in pieces, at the pace that the other side allows. */
  upload(target: string, pieces: readonly string[]): Upload;
  /** Asks; of the body only the first `sentPieces` pieces go out. */
  ask(target: string, request: Request, sentPieces?: number): Asking;
  /** Writes the first bytes of a request as they are, and reads what comes; then says nothing more, unless `isAlive`. */
  askRaw(bytes: Uint8Array, isAlive: boolean): Asking;
  /** More bytes as they are. */
  sayRaw(bytes: Uint8Array): void;
  /** Gives no window back any more (HTTP/2), or reads no more (HTTP/1). */
  takeNoMore(): void;
  end(): void;
  reset(): void;
}

export function clientEnd(protocol: Protocol, outer: Outer): ClientEnd {
  return protocol === 'http1' ? new Http1Client(outer) : new Http2Client(outer);
}

/** Fields as they are compared. */
export function fieldLines(fields: readonly Field[]): string {
  return fields.map(([name, value]) => `${name.toLowerCase()}: ${value}\r\n`).join('');
}

class Http1Client implements ClientEnd {
  readonly #wire: Wire;
  /** Requests so far: their answers come in their order. */
  #askedCount = 0;

  readonly carried: Carried;

  constructor({ stream, carried }: Outer) {
    this.carried = carried;
    this.#wire = new Wire(stream);
  }

  readonly goaways: readonly number[] = [];

  get heard(): string {
    return this.#wire.text;
  }

  get isOver(): boolean {
    return this.#wire.isOver;
  }

  ask(target: string, request: Request, sentPieces: number = request.pieces.length): Asking {
    const { method, framing, pieces } = request;
    const body = pieces.join('');
    const sent = pieces.slice(0, sentPieces).join('');
    const length = framing === 'none' ? '' : `Content-Length: ${body.length}\r\n`;
    this.#wire.send(`${method} ${target} HTTP/1.1\r\nHost: h\r\n${ownFields(request)}${length}\r\n${sent}`);
    return this.#asking(() => this.#wire.send(body.slice(sent.length)));
  }

  upload(target: string, pieces: readonly string[]): Upload {
    this.#wire.send(`PUT ${target} HTTP/1.1\r\nHost: h\r\nContent-Length: ${pieces.join('').length}\r\n\r\n`);
    // The connection itself holds what the other side does not take.
    for (const piece of pieces) this.#wire.send(piece);
    return { ...this.#asking(() => {}), goOn: () => {} };
  }

  askRaw(bytes: Uint8Array): Asking {
    this.#wire.stream.write(bytes);
    return this.#asking(() => {});
  }

  sayRaw(bytes: Uint8Array): void {
    this.#wire.stream.write(bytes);
  }

  takeNoMore(): void {
    this.#wire.stream.pause();
  }

  #asking(finish: () => void): Asking {
    const index = this.#askedCount++;
    return { finish, leave: () => this.reset(), seen: () => this.#seen(index) };
  }

  #seen(index: number): Seen {
    let seen = this.#read(this.#wire.text);
    for (let before = 0; before < index; before++) seen = this.#read(seen.rest);
    return seen;
  }

  /** The first answer in a text. */
  #read(all: string): Seen {
    const { isOver, hasEnded, wasReset } = this.#wire;
    let text = all;
    let interims = 0;
    for (; /^HTTP\/1\.1 1\d\d [^]*?\r\n\r\n/.test(text); interims++) text = text.slice(text.indexOf('\r\n\r\n') + 4);
    // A reset behind the end takes nothing back.
    const { status, body, trailers, isComplete, rest } = readResponse(text, { isOver, wasReset: wasReset && !hasEnded });
    const ending = isComplete ? 'whole' : isOver ? 'cut' : 'open';
    return { status, interims, body, trailers: trailers.toLowerCase(), ending, resetCode: null, rest };
  }

  end(): void {
    this.#wire.end();
  }
  reset(): void {
    this.#wire.reset();
  }
}

class Http2Client implements ClientEnd {
  readonly #stream: MutableStream;
  #opened: H2Wire | null = null;

  readonly carried: Carried;

  constructor({ stream, carried }: Outer) {
    this.carried = carried;
    this.#stream = new MutableStream(stream);
  }

  get isOver(): boolean {
    return this.#wire.isOver;
  }

  get heard(): string {
    return this.#wire.message(FIRST_STREAM)?.body ?? '';
  }

  get goaways(): readonly number[] {
    return this.#wire.goaways.map(({ code }) => code);
  }

  /** Says the preface when it is first used. */
  get #wire(): H2Wire {
    return (this.#opened ??= new H2Wire('client', this.#stream));
  }

  ask(target: string, request: Request, sentPieces: number = request.pieces.length): Asking {
    const { method, framing, pieces } = request;
    const wire = this.#wire;
    const length: Field[] = framing === 'none' ? [] : [['content-length', String(bodyOf(request).length)]];
    const id = wire.request(requestFields(method, target, ...(request.fields ?? []), ...length), { isEnd: framing === 'none' });
    const send = (from: number, to: number): void => {
      for (let piece = from; piece < to; piece++) wire.data(id, pieces[piece] ?? '', piece === pieces.length - 1);
    };
    send(0, sentPieces);
    return this.#asking(id, () => send(sentPieces, pieces.length));
  }

  upload(target: string, pieces: readonly string[]): Upload {
    const wire = this.#wire;
    const length: Field = ['content-length', String(pieces.join('').length)];
    const id = wire.request(requestFields('PUT', target, length), { isEnd: false });
    let sent = 0;
    const goOn = (): void => {
      for (; sent < pieces.length && wire.windowOf(id) >= (pieces[sent]?.length ?? 0); sent++) {
        wire.data(id, pieces[sent] ?? '', sent === pieces.length - 1);
      }
    };
    return { ...this.#asking(id, () => {}), goOn };
  }

  askRaw(bytes: Uint8Array, isAlive: boolean): Asking {
    this.#stream.write(bytes);
    // The preface is among the bytes, and must not come again.
    this.#stream.isMuted = true;
    this.#wire.isAutoWindow = false;
    this.#stream.isMuted = !isAlive;
    return this.#asking(FIRST_STREAM, () => {});
  }

  sayRaw(bytes: Uint8Array): void {
    const { isMuted } = this.#stream;
    this.#stream.isMuted = false;
    this.#stream.write(bytes);
    this.#stream.isMuted = isMuted;
  }

  takeNoMore(): void {
    this.#wire.isAutoWindow = false;
  }

  #asking(id: number, finish: () => void): Asking {
    return { finish, leave: () => void this.#wire.resetStream(id, Http2ErrorCode.cancel), seen: () => this.#seen(id) };
  }

  #seen(id: number): Seen {
    const message = this.#wire.message(id);
    const { isOver } = this.#wire;
    if (message === undefined)
      return { status: 0, interims: 0, body: '', trailers: '', ending: isOver ? 'cut' : 'open', resetCode: null, rest: '' };
    const { fields, interims, body, trailers, isEnded, resetCode } = message;
    const status = Number(fields.find(([name]) => name === ':status')?.[1] ?? 0);
    // An answer that is over before its request is followed by RST_STREAM NO_ERROR (RFC 9113 §8.1): it is whole.
    const ending = isEnded ? 'whole' : isOver || resetCode !== null ? 'cut' : 'open';
    return { status, interims: interims.length, body, trailers: fieldLines(trailers ?? []), ending, resetCode, rest: '' };
  }

  end(): void {
    const { isMuted } = this.#stream;
    this.#stream.isMuted = false;
    this.#stream.end();
    this.#stream.isMuted = isMuted;
  }
  reset(): void {
    this.#stream.abort();
  }
}
