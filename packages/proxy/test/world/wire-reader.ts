/**
 * Reads HTTP/1 as it passes by: one direction of one connection, byte by byte, and says of each message how far it has come.
 *
 * Written apart from the codec under test, and only as strict as the worlds need: what is not a well-framed message stops the reader.
 *
 * @see RFC 9112 §6
 */

/** A field line: name and value. */
export type FieldLine = readonly [name: string, value: string];

/** How a body is framed: by its length, by chunks, by the end of the connection. */
export type WireFraming = number | 'chunked' | 'close';

/** A message as far as it has been seen. Text has one character a byte. */
export interface WireMessage {
  /** The three parts of the start line. */
  readonly start: readonly [string, string, string];
  readonly fields: readonly FieldLine[];
  readonly framing: WireFraming;
  /** All bytes of the message, framing included. */
  text: string;
  body: string;
  trailers: FieldLine[];
  isComplete: boolean;
}

/** The status of a response. */
export function statusOf(message: WireMessage): number {
  return Number(message.start[1]);
}

/** The value of the first field of that name, in lower case, or undefined. */
export function fieldIn(fields: readonly FieldLine[], name: string): string | undefined {
  return fields.find(([one]) => one.toLowerCase() === name)?.[1];
}

/** The same of a message's head. */
export function fieldOf(message: WireMessage, name: string): string | undefined {
  return fieldIn(message.fields, name);
}

/** Reads one direction of a connection. */
export class WireReader {
  readonly #kind: 'request' | 'response';
  readonly #methodOf: (index: number) => string;
  /** Messages in order, interim responses left out; the last one may be incomplete. */
  readonly messages: WireMessage[] = [];
  readonly interims: WireMessage[] = [];
  /** What follows a 101. */
  tunnel = '';
  /** Why reading has stopped, or null. */
  problem: string | null = null;
  isTunnel = false;
  #rest = '';
  #current: WireMessage | null = null;
  #part: 'head' | 'exact' | 'size' | 'chunk' | 'chunkEnd' | 'trailers' | 'close' = 'head';
  #left = 0;

  /** @param methodOf of the request that the response with this index answers */
  constructor(kind: 'request' | 'response', methodOf: (index: number) => string = () => 'GET') {
    this.#kind = kind;
    this.#methodOf = methodOf;
  }

  /** Nothing of a next message has come. */
  get isBetween(): boolean {
    return this.problem === null && this.#part === 'head' && this.#rest === '';
  }

  get completeCount(): number {
    return this.messages.length - (this.messages.at(-1)?.isComplete === false ? 1 : 0);
  }

  /** All that follows belongs to another protocol. */
  switchToTunnel(): void {
    this.isTunnel = true;
    this.tunnel += this.#rest;
    this.#rest = '';
  }

  feed(chunk: Uint8Array): void {
    const text = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength).toString('latin1');
    if (this.isTunnel) this.tunnel += text;
    else this.#rest += text;
    while (this.problem === null && !this.isTunnel && this.#advance());
  }

  /** The direction has ended in order. */
  end(): void {
    if (this.#part === 'close') this.#complete();
  }

  /** @returns false when more bytes are needed */
  #advance(): boolean {
    switch (this.#part) {
      case 'head':
        return this.#head();
      case 'exact':
      case 'chunk':
        return this.#data();
      case 'close':
        this.#take(this.#rest.length, true);
        return false;
      case 'size':
        return this.#size();
      case 'chunkEnd':
        if (this.#rest.length < 2) return false;
        if (this.#rest.startsWith('\r\n')) this.#part = 'size';
        else this.problem = 'no CRLF after a chunk';
        this.#take(2, false);
        return true;
      case 'trailers':
        return this.#trailer();
    }
  }

  #head(): boolean {
    const end = this.#rest.indexOf('\r\n\r\n');
    if (end < 0) return false;
    const text = this.#rest.slice(0, end + 4);
    this.#rest = this.#rest.slice(end + 4);
    const [startLine = '', ...lines] = text.slice(0, -4).split('\r\n');
    const start =
      this.#kind === 'request' ? /^(\S+) (\S+) (HTTP\/1\.[01])$/.exec(startLine) : /^(HTTP\/1\.[01]) (\d{3}) (.*)$/.exec(startLine);
    const fields = lines.map((line) => /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line));
    if (start === null || fields.includes(null)) {
      this.problem = 'not a head';
      return false;
    }
    const pairs = (fields as RegExpExecArray[]).map(([, name = '', value = '']) => [name, value] as const);
    const framing = this.#framing(pairs, start);
    if (framing === null) {
      this.problem = 'framing fields contradict each other';
      return false;
    }
    const [, a = '', b = '', c = ''] = start;
    this.#current = { start: [a, b, c], fields: pairs, framing, text, body: '', trailers: [], isComplete: false };
    if (this.#kind === 'response' && b.startsWith('1')) return this.#interim(this.#current, b);
    this.messages.push(this.#current);
    if (framing === 0) this.#complete();
    else this.#begin(framing);
    return true;
  }

  #interim(message: WireMessage, status: string): boolean {
    message.isComplete = true;
    if (status !== '101') {
      this.interims.push(message);
      return true;
    }
    this.messages.push(message);
    this.switchToTunnel();
    return false;
  }

  #begin(framing: WireFraming): void {
    if (framing === 'chunked') this.#part = 'size';
    else if (framing === 'close') this.#part = 'close';
    else {
      this.#part = 'exact';
      this.#left = framing;
    }
  }

  #framing(fields: readonly FieldLine[], start: RegExpExecArray): WireFraming | null {
    const valuesOf = (wanted: string): string[] => fields.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
    const lengths = valuesOf('content-length');
    const codings = valuesOf('transfer-encoding');
    if (
      lengths.length + codings.length > 1 ||
      lengths.some((length) => !/^\d{1,9}$/.test(length)) ||
      codings.some((coding) => coding !== 'chunked')
    ) {
      return null;
    }
    if (this.#kind === 'response') {
      const status = start[2] as string;
      const isBodyless = status.startsWith('1') || status === '204' || status === '304' || this.#methodOf(this.messages.length) === 'HEAD';
      if (isBodyless) return 0;
    }
    if (codings.length > 0) return 'chunked';
    if (lengths.length > 0) return Number(lengths[0]);
    return this.#kind === 'request' ? 0 : 'close';
  }

  #data(): boolean {
    if (this.#rest === '') return false;
    const size = Math.min(this.#left, this.#rest.length);
    this.#take(size, true);
    this.#left -= size;
    if (this.#left > 0) return false;
    if (this.#part === 'exact') this.#complete();
    else this.#part = 'chunkEnd';
    return true;
  }

  #size(): boolean {
    const end = this.#rest.indexOf('\r\n');
    if (end < 0) return false;
    const line = /^([0-9a-fA-F]{1,8})(?:;[\x20-\x7e]*)?$/.exec(this.#rest.slice(0, end));
    if (line === null) {
      this.problem = 'not a chunk size';
      return false;
    }
    this.#take(end + 2, false);
    this.#left = Number.parseInt(line[1] as string, 16);
    this.#part = this.#left === 0 ? 'trailers' : 'chunk';
    return true;
  }

  #trailer(): boolean {
    const end = this.#rest.indexOf('\r\n');
    if (end < 0) return false;
    const line = this.#rest.slice(0, end);
    this.#take(end + 2, false);
    if (line === '') {
      this.#complete();
      return true;
    }
    const found = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line);
    if (found === null) this.problem = 'not a trailer field';
    else this.#current?.trailers.push([found[1] as string, found[2] as string]);
    return true;
  }

  #take(size: number, isBody: boolean): void {
    const text = this.#rest.slice(0, size);
    this.#rest = this.#rest.slice(size);
    const message = this.#current;
    if (message === null) return;
    message.text += text;
    if (isBody) message.body += text;
  }

  #complete(): void {
    if (this.#current !== null) this.#current.isComplete = true;
    this.#current = null;
    this.#part = 'head';
  }
}
