/**
 * Baseline: the least that JavaScript can do between two sockets and still read the heads. A yardstick, NOT a proxy: it serves requests
 * without a body and responses with a Content-Length, and answers everything else with 501; no time-outs, no limits, no strictness.
 *
 *   client ──head──▶ parse, drop hop-by-hop, write ──▶ pooled origin connection
 *   client ◀─head + body, one write while small──── parse, count the body ◀──┘
 */

import { connect, createServer, type Socket } from 'node:net';
import { announceWhenListening, originOfCommandLine } from './serve.ts';

const HEAD_END = '\r\n\r\n';
const BAD_GATEWAY = 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
const NOT_IMPLEMENTED = 'HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\nConnection: close\r\n\r\n';
/** Up to here a head and its body are copied into one buffer, above they leave as two in one writev. */
const COPY_LIMIT = 4096;

const origin = originOfCommandLine();
const idle: OriginSide[] = [];

/** The fields of a head that are passed on, and what its framing says. */
interface Head {
  readonly startLine: string;
  readonly lines: string;
  readonly contentLength: number;
  readonly isChunked: boolean;
  readonly closes: boolean;
}

class ClientSide {
  readonly socket: Socket;
  upstream: OriginSide | null = null;
  #pending: Buffer | null = null;
  #closes = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('drain', () => this.upstream?.socket.resume());
    socket.on('error', () => {});
    socket.on('close', () => this.upstream?.socket.destroy());
  }

  #onData(chunk: Buffer): void {
    const bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    const end = this.upstream === null ? bytes.indexOf(HEAD_END) : -1;
    if (end === -1) {
      this.#pending = bytes;
      return;
    }
    this.#pending = bytes.length > end + 4 ? bytes.subarray(end + 4) : null;
    const head = parseHead(bytes.toString('latin1', 0, end));
    if (head.contentLength > 0 || head.isChunked) {
      this.socket.end(NOT_IMPLEMENTED);
      return;
    }
    this.#closes = head.closes;
    this.upstream = idle.pop() ?? new OriginSide();
    this.upstream.begin(this, `${head.startLine}\r\n${head.lines}X-Forwarded-For: ${this.socket.remoteAddress ?? ''}\r\n\r\n`);
  }

  /** The response is complete: the next request may come. */
  next(): void {
    this.upstream = null;
    if (this.#closes) this.socket.end();
    else if (this.#pending !== null) this.#onData(Buffer.alloc(0));
  }
}

class OriginSide {
  readonly socket: Socket;
  #client: ClientSide | null = null;
  #pending: Buffer | null = null;
  #bodyLeft = -1;
  #closes = false;

  constructor() {
    this.socket = connect({ host: origin.hostname, port: Number(origin.port), noDelay: true });
    this.socket.on('data', (chunk) => this.#onData(chunk));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.#onClose());
  }

  begin(client: ClientSide, head: string): void {
    this.#client = client;
    this.#bodyLeft = -1;
    this.socket.write(head, 'latin1');
  }

  #onData(chunk: Buffer): void {
    const client = this.#client;
    if (client === null) {
      this.socket.destroy();
      return;
    }
    if (this.#bodyLeft === -1) this.#onHead(client, chunk);
    else this.#onBody(client, chunk);
  }

  #onHead(client: ClientSide, chunk: Buffer): void {
    const bytes = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk]);
    const end = bytes.indexOf(HEAD_END);
    this.#pending = end === -1 ? bytes : null;
    if (end === -1) return;
    const head = parseHead(bytes.toString('latin1', 0, end));
    if (head.isChunked || head.contentLength < 0) {
      client.socket.end(NOT_IMPLEMENTED);
      this.socket.destroy();
      return;
    }
    this.#closes = head.closes;
    const body = bytes.subarray(end + 4);
    this.#bodyLeft = head.contentLength - body.length;
    this.#write(client, `${head.startLine}\r\n${head.lines}\r\n`, body);
    if (this.#bodyLeft === 0) this.#finish(client);
  }

  #onBody(client: ClientSide, chunk: Buffer): void {
    this.#bodyLeft -= chunk.length;
    if (!client.socket.write(chunk)) this.socket.pause();
    if (this.#bodyLeft === 0) this.#finish(client);
  }

  #write(client: ClientSide, head: string, body: Buffer): void {
    if (body.length <= COPY_LIMIT) {
      const message = Buffer.allocUnsafe(head.length + body.length);
      message.write(head, 0, 'latin1');
      body.copy(message, head.length);
      client.socket.write(message);
      return;
    }
    client.socket.cork();
    client.socket.write(head, 'latin1');
    if (!client.socket.write(body)) this.socket.pause();
    client.socket.uncork();
  }

  #finish(client: ClientSide): void {
    this.#client = null;
    this.socket.resume();
    if (this.#closes) this.socket.destroy();
    else idle.push(this);
    client.next();
  }

  #onClose(): void {
    const at = idle.indexOf(this);
    if (at !== -1) idle.splice(at, 1);
    const client = this.#client;
    if (client === null) return;
    this.#client = null;
    client.upstream = null;
    if (this.#bodyLeft === -1) client.socket.end(BAD_GATEWAY);
    else client.socket.destroy();
  }
}

function parseHead(text: string): Head {
  let at = text.indexOf('\r\n');
  const startLine = at === -1 ? text : text.slice(0, at);
  let lines = '';
  let contentLength = -1;
  let isChunked = false;
  let closes = false;
  while (at !== -1) {
    const start = at + 2;
    at = text.indexOf('\r\n', start);
    const end = at === -1 ? text.length : at;
    const colon = text.indexOf(':', start);
    const name = text.slice(start, colon);
    const value = text.slice(colon + 2, end);
    switch (name.toLowerCase()) {
      case 'connection':
        closes = value === 'close';
        continue;
      case 'content-length':
        contentLength = Number(value);
        break;
      case 'transfer-encoding':
        isChunked = true;
        break;
    }
    lines += `${name}: ${value}\r\n`;
  }
  return { startLine, lines, contentLength, isChunked, closes };
}

announceWhenListening(createServer((socket) => void new ClientSide(socket)));
