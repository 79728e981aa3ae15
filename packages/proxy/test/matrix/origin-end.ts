/** The origin's end of a cell: it takes requests down, plays an answer's bytes up to some position, and then fails as it is told. */
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { type H2Message, H2Wire, type H2WireOptions, valueOf } from '../h2-wire.ts';
import { readResponse, Wire } from '../rig.ts';
import { type Carried, MutableStream, type Outer } from './carriers.ts';
import type { Protocol } from './ends.ts';
import { onStream, type Script } from './scripts.ts';

/**
 * What an origin does to its connection: a reset, its end, an end below TLS without close_notify, nothing ever again; or to the stream of the request
 * alone: RST_STREAM, or nothing ever again.
 */
export type OriginFault = 'reset' | 'end' | 'bare end' | 'stall' | 'rst' | 'stream stall';

/** One request as an origin sees it. */
export interface OriginRequest {
  readonly target: string;
  readonly method: string;
  /** 0 over HTTP/1. */
  readonly streamId: number;
  readonly body: string;
  /** It says itself that it is whole. */
  readonly isWhole: boolean;
  /** The proxy has visibly given it up: by a reset of its connection or its stream. */
  readonly isCancelled: boolean;
  /** The code of RST_STREAM; HTTP/2 only. */
  readonly resetCode: number | null;
  /** The value of a field of its head, by its name in lower case; undefined: there is none. */
  fieldOf(name: string): string | undefined;
  /** Says the first `count` bytes of the answer. */
  play(script: Script, count?: number): void;
  /** Writes anything. */
  write(bytes: Uint8Array): void;
  fault(how: OriginFault): void;
}

/** A connection of an origin. */
export interface OriginEnd {
  readonly requests: readonly OriginRequest[];
  /** The proxy has ended or reset it, or we have reset it. */
  readonly isOver: boolean;
  /** HTTP/2: for frames of the connection. */
  readonly h2: H2Wire | null;
  readonly carried: Carried;
  /** All that has come behind the head of its first request. */
  readonly heard: string;
  /** HTTP/1: behind so many bytes it reads no more, until `readOn`. HTTP/2: gives no window back beyond the first ones. */
  stopAt(bytes: number): void;
  readOn(): void;
}

export function originEnd(
  protocol: Protocol,
  outer: Outer,
  onRequest: (request: OriginRequest) => void,
  options: H2WireOptions = {},
): OriginEnd {
  return protocol === 'http1' ? new Http1Origin(outer, onRequest) : new Http2Origin(outer, onRequest, options);
}

class Http1Origin implements OriginEnd {
  readonly requests: Http1OriginRequest[] = [];
  readonly h2 = null;
  readonly carried: Carried;
  readonly #wire: Wire;
  #stopsAt = Number.POSITIVE_INFINITY;

  constructor(outer: Outer, onRequest: (request: OriginRequest) => void) {
    this.#wire = new Wire(outer.stream);
    this.carried = outer.carried;
    this.#wire.onText = (wire) => {
      if (wire.text.length >= this.#stopsAt) wire.stream.pause();
      for (;;) {
        const last = this.requests.at(-1);
        last?.read(wire.text);
        if (last?.isWhole === false) return;
        const at = last?.endsAt ?? 0;
        if (!wire.text.includes('\r\n\r\n', at)) return;
        const request = new Http1OriginRequest(wire, outer, at);
        this.requests.push(request);
        request.read(wire.text);
        onRequest(request);
      }
    };
  }

  get isOver(): boolean {
    return this.#wire.isOver;
  }
  get heard(): string {
    const { text } = this.#wire;
    return text.slice(text.indexOf('\r\n\r\n') + 4);
  }

  stopAt(bytes: number): void {
    this.#stopsAt = bytes;
    if (bytes === 0) this.#wire.stream.pause();
  }
  readOn(): void {
    this.#stopsAt = Number.POSITIVE_INFINITY;
    this.#wire.stream.resume();
  }
}

class Http1OriginRequest implements OriginRequest {
  readonly target: string;
  readonly method: string;
  readonly resetCode = null;
  readonly streamId = 0;
  isWhole = false;
  endsAt = 0;
  readonly #wire: Wire;
  readonly #outer: Outer;
  readonly #at: number;
  #body = '';
  /** How much of the text has been looked at, and how much there must be before it is worth a look again. */
  #lookedAt = 0;
  #wanted = 0;

  constructor(wire: Wire, outer: Outer, at: number) {
    this.#wire = wire;
    this.#outer = outer;
    this.#at = at;
    const [method = '', target = ''] = wire.text.slice(at, wire.text.indexOf('\r\n', at)).split(' ');
    this.method = method;
    this.target = target;
  }

  get isCancelled(): boolean {
    return this.#wire.wasReset;
  }

  get body(): string {
    if (!this.isWhole && this.#wire.text.length > this.#lookedAt) this.#parse(this.#wire.text);
    return this.#body;
  }

  /** Reads on. */
  read(text: string): void {
    if (!this.isWhole && text.length >= this.#wanted) this.#parse(text);
  }

  /** Bodies of requests are delimited as those of responses, but that no field means no body (RFC 9112 §6.3). */
  #parse(text: string): void {
    this.#lookedAt = text.length;
    const fields = text.slice(text.indexOf('\r\n', this.#at) + 2);
    const head = fields.slice(0, fields.indexOf('\r\n\r\n') + 4);
    const hasBody = /^(?:content-length|transfer-encoding):/im.test(head);
    const { body, isComplete, rest } = readResponse(`HTTP/1.1 200 OK\r\n${fields}`);
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    this.#wanted = text.length - fields.length + head.length + length;
    this.#body = hasBody ? body : '';
    this.isWhole = !hasBody || isComplete;
    this.endsAt = hasBody ? text.length - rest.length : text.length - fields.length + head.length;
  }

  fieldOf(name: string): string | undefined {
    const head = this.#wire.text.slice(this.#at).split('\r\n\r\n', 1)[0] ?? '';
    return head
      .split('\r\n')
      .find((line) => line.toLowerCase().startsWith(`${name}:`))
      ?.slice(name.length + 1)
      .trim();
  }

  play({ bytes }: Script, count: number = bytes.length): void {
    this.write(bytes.slice(0, count));
  }
  write(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#wire.stream.write(bytes);
  }

  fault(how: OriginFault): void {
    if (how === 'reset' || how === 'rst') this.#wire.reset();
    else if (how === 'end') this.#wire.end();
    else if (how === 'bare end') this.#outer.endBare();
  }
}

class Http2Origin implements OriginEnd {
  readonly requests: Http2OriginRequest[] = [];
  readonly h2: H2Wire;

  readonly carried: Carried;

  constructor(outer: Outer, onRequest: (request: OriginRequest) => void, options: H2WireOptions) {
    const stream = new MutableStream(outer.stream);
    this.carried = outer.carried;
    this.h2 = new H2Wire('origin', stream, options);
    this.h2.onHead = (message, wire) => {
      if (message.trailers !== null) return;
      const request = new Http2OriginRequest(message, wire, stream, outer);
      this.requests.push(request);
      onRequest(request);
    };
  }

  get isOver(): boolean {
    return this.h2.isOver;
  }
  get heard(): string {
    return this.requests[0]?.body ?? '';
  }

  stopAt(): void {
    this.h2.isAutoWindow = false;
  }
  readOn(): void {
    this.h2.isAutoWindow = true;
    for (const id of [0, ...this.requests.map(({ streamId }) => streamId)]) this.h2.window(id, 0x10_0000);
  }
}

class Http2OriginRequest implements OriginRequest {
  readonly #message: H2Message;
  readonly #wire: H2Wire;
  readonly #stream: MutableStream;
  readonly #outer: Outer;

  constructor(message: H2Message, wire: H2Wire, stream: MutableStream, outer: Outer) {
    this.#message = message;
    this.#wire = wire;
    this.#stream = stream;
    this.#outer = outer;
  }

  get target(): string {
    return valueOf(this.#message.fields, ':path') ?? '';
  }
  get method(): string {
    return valueOf(this.#message.fields, ':method') ?? '';
  }
  get streamId(): number {
    return this.#message.id;
  }
  get body(): string {
    return this.#message.body;
  }
  get isWhole(): boolean {
    return this.#message.isEnded;
  }
  get resetCode(): number | null {
    return this.#message.resetCode;
  }
  get isCancelled(): boolean {
    return this.resetCode !== null || this.#wire.isOver;
  }

  fieldOf(name: string): string | undefined {
    return valueOf(this.#message.fields, name);
  }

  /** A script that stops within a frame is the last that this connection says. */
  play(script: Script, count: number = script.bytes.length): void {
    this.write(onStream(script, count, this.#message.id));
    if (count > 0 && !script.frameEnds.includes(count)) this.#stream.isMuted = true;
  }
  write(bytes: Uint8Array): void {
    if (bytes.length > 0) this.#stream.write(bytes);
  }

  fault(how: OriginFault): void {
    if (how === 'reset') this.#outer.stream.abort();
    else if (how === 'end') this.#outer.stream.end();
    else if (how === 'bare end') this.#outer.endBare();
    else if (how === 'stall') this.#stream.isMuted = true;
    else if (how === 'rst') this.#wire.resetStream(this.#message.id, Http2ErrorCode.internalError);
  }
}
