/**
 * HTTP/1 read in the most obvious way: the oracle.
 *
 * It is told the whole input at once, turns it into text, cuts it into lines and asks regular expressions. No speed, no limits, no state, no
 * code in common with `@ferrata/http1`: where the two disagree, one of them is wrong. Where RFC 9112 leaves a choice it is as strict as the
 * decoders are by default.
 *
 * @see RFC 9112 · RFC 9110 §5.6, §7.2, §7.8
 */
import { isIPv6 } from 'node:net';

/** Names and values in order, the names as written. */
export type NaiveFields = readonly (readonly [name: string, value: string])[];

/** What requests and responses share. Text has one character a byte. */
export interface NaiveMessage {
  readonly minorVersion: number;
  readonly fields: NaiveFields;
  readonly body: string;
  /** All trailer fields, also those that may not be trailers. */
  readonly trailers: NaiveFields;
}

/** A request as the oracle reads it. */
export interface NaiveRequest extends NaiveMessage {
  readonly method: string;
  readonly target: string;
}

/** A response as the oracle reads it. */
export interface NaiveResponse extends NaiveMessage {
  readonly status: number;
  readonly reason: string;
}

/** What the oracle makes of an input. */
export interface NaiveReading<Message> {
  /** The complete messages, up to the first that is not. */
  readonly messages: readonly Message[];
  /** `whole`: nothing is wrong; `incomplete`: the input stops inside a message; `refused`: a rule was broken. */
  readonly verdict: 'whole' | 'incomplete' | 'refused';
  /** Why it was refused; for people. */
  readonly why: string;
  /** What was not read: after the last message of the connection, after a switch of protocols, or from the message that was not complete on. */
  readonly rest: string;
}

/** Reads requests until the input, or the connection, is over. @param bytes all that the client sent before its end */
export function naiveHttp1(bytes: Uint8Array): NaiveReading<NaiveRequest> {
  const messages: NaiveRequest[] = [];
  return read(bytes, messages, (cursor) => {
    for (let emptyLines = 0; cursor.startsWith('\r\n'); emptyLines++) {
      if (emptyLines === 4) refuse('more than four empty lines');
      cursor.take(2);
    }
    if (cursor.isAtEnd || cursor.rest === '\r') return false;
    const { request, goesOn } = readRequest(cursor);
    messages.push(request);
    return goesOn;
  });
}

/**
 * Reads the responses to requests with these methods, interim ones included.
 *
 * @param bytes all that the server sent before its end
 */
export function naiveHttp1Responses(bytes: Uint8Array, methods: readonly string[]): NaiveReading<NaiveResponse> {
  const messages: NaiveResponse[] = [];
  let answered = 0;
  return read(bytes, messages, (cursor) => {
    const method = methods[answered];
    if (cursor.isAtEnd) return answered < methods.length ? stop() : false;
    if (method === undefined) refuse('bytes that nobody asked for');
    const { response, goesOn } = readResponse(cursor, method);
    messages.push(response);
    if (response.status >= 200 || response.status === 101) answered += 1;
    return goesOn;
  });
}

/** Thrown inside this file only. */
class Refusal extends Error {}
class Incomplete extends Error {}

function refuse(why: string): never {
  throw new Refusal(why);
}

function stop(): never {
  throw new Incomplete();
}

function read<Message>(bytes: Uint8Array, messages: Message[], readOne: (cursor: Cursor) => boolean): NaiveReading<Message> {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  const cursor = new Cursor(text);
  let { rest } = cursor;
  try {
    while (readOne(cursor)) rest = cursor.rest;
    return { messages, verdict: 'whole', why: '', rest: cursor.rest };
  } catch (thrown) {
    if (thrown instanceof Incomplete) return { messages, verdict: 'incomplete', why: '', rest };
    if (thrown instanceof Refusal) return { messages, verdict: 'refused', why: thrown.message, rest };
    throw thrown;
  }
}

class Cursor {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  get rest(): string {
    return this.#text.slice(this.#at);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length;
  }

  startsWith(prefix: string): boolean {
    return this.#text.startsWith(prefix, this.#at);
  }

  take(length: number): string {
    if (this.#at + length > this.#text.length) stop();
    this.#at += length;
    return this.#text.slice(this.#at - length, this.#at);
  }

  /** A line without its CRLF, which is the only line end there is. */
  takeLine(): string {
    const line = /^[^\r\n]*/.exec(this.rest)?.[0] ?? '';
    const lineEnd = this.#text.slice(this.#at + line.length, this.#at + line.length + 2);
    if (lineEnd === '' || lineEnd === '\r') stop();
    if (lineEnd !== '\r\n') refuse('a line that does not end in CRLF');
    this.take(line.length + 2);
    return line;
  }
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";

function readRequest(cursor: Cursor): { request: NaiveRequest; goesOn: boolean } {
  const line = new RegExp(`^(${token}) ([!-~]+) HTTP/([0-9])\\.([0-9])$`).exec(cursor.takeLine());
  if (line === null) refuse('no request line');
  const [, method = '', target = '', major, minor] = line;
  if (major !== '1') refuse('another major version');
  const minorVersion = Number(minor);
  checkTarget(method, target);
  const fields = readFields(cursor);
  checkHost(fields, minorVersion);
  const length = framing(fields, minorVersion);
  if (method === 'CONNECT' && length !== null && length !== 0) refuse('CONNECT with a body');
  const { body, trailers } = length === 'chunked' ? readChunked(cursor) : { body: cursor.take(length ?? 0), trailers: [] };
  const request: NaiveRequest = { method, target, minorVersion, fields, body, trailers };
  const mayUpgrade = minorVersion > 0 && method !== 'CONNECT' && (length ?? 0) === 0;
  const asksUpgrade = mayUpgrade && values(fields, 'upgrade').join('') !== '' && connectionHas(fields, 'upgrade');
  return { request, goesOn: staysOpen(fields, minorVersion) || asksUpgrade };
}

function readResponse(cursor: Cursor, method: string): { response: NaiveResponse; goesOn: boolean } {
  const line = /^HTTP\/([0-9])\.([0-9]) ([1-9][0-9][0-9])(?: (.*))?$/s.exec(cursor.takeLine());
  if (line === null) refuse('no status line');
  const [, major, minor, digits, reason = ''] = line;
  if (major !== '1') refuse('another major version');
  if (!isFieldText(reason)) refuse('a control byte in the reason');
  const minorVersion = Number(minor);
  const status = Number(digits);
  const fields = readFields(cursor);
  const length = framing(fields, minorVersion);
  const head = { status, reason, minorVersion, fields };
  const isTunnel = status === 101 || (method === 'CONNECT' && status >= 200 && status <= 299);
  if (isTunnel) return { response: { ...head, body: '', trailers: [] }, goesOn: false };
  if (status < 200) return { response: { ...head, body: '', trailers: [] }, goesOn: true };
  const goesOn = staysOpen(fields, minorVersion);
  if (method === 'HEAD' || status === 204 || status === 304) return { response: { ...head, body: '', trailers: [] }, goesOn };
  if (length === null) return { response: { ...head, body: cursor.take(cursor.rest.length), trailers: [] }, goesOn: false };
  const { body, trailers } = length === 'chunked' ? readChunked(cursor) : { body: cursor.take(length), trailers: [] };
  return { response: { ...head, body, trailers }, goesOn };
}

function readFields(cursor: Cursor): NaiveFields {
  const fields: (readonly [string, string])[] = [];
  for (let line = cursor.takeLine(); line !== ''; line = cursor.takeLine()) {
    const parts = new RegExp(`^(${token}):(.*)$`, 's').exec(line);
    if (parts === null) refuse('no field line');
    const [, name = '', raw = ''] = parts;
    if (!isFieldText(raw)) refuse('a control byte in a field value');
    fields.push([name, raw.replace(/^[ \t]+/, '').replace(/[ \t]+$/, '')]);
  }
  return fields;
}

/** RFC 9110 §5.5: HTAB, SP, visible ASCII and everything above. */
function isFieldText(text: string): boolean {
  return /^[\t -~\x80-\xff]*$/.test(text);
}

function readChunked(cursor: Cursor): { body: string; trailers: NaiveFields } {
  const quoted = '"(?:[^"\\\\\\x00-\\x08\\x0a-\\x1f\\x7f]|\\\\[^\\x00-\\x08\\x0a-\\x1f\\x7f])*"';
  const extension = `[ \\t]*;[ \\t]*${token}(?:[ \\t]*=[ \\t]*(?:${token}|${quoted}))?`;
  const chunkLine = new RegExp(`^([0-9A-Fa-f]{1,16})(?:${extension})*$`);
  let body = '';
  for (;;) {
    const line = chunkLine.exec(cursor.takeLine());
    if (line === null) refuse('no chunk line');
    const size = Number(`0x${line[1]}`);
    if (!Number.isSafeInteger(size)) refuse('a chunk size beyond 2^53');
    if (size === 0) return { body, trailers: readFields(cursor) };
    body += cursor.take(size);
    if (cursor.take(2) !== '\r\n') refuse('no CRLF after a chunk');
  }
}

/** RFC 9112 §6.3, refusing whatever two readers could read in two ways. @returns null if nothing is said */
function framing(fields: NaiveFields, minorVersion: number): number | 'chunked' | null {
  const lengths = values(fields, 'content-length');
  const codings = values(fields, 'transfer-encoding');
  if (codings.length > 0) {
    if (lengths.length > 0) refuse('both Content-Length and Transfer-Encoding');
    if (minorVersion === 0) refuse('Transfer-Encoding in HTTP/1.0');
    if (codings.length > 1 || codings[0]?.toLowerCase() !== 'chunked') refuse('not exactly chunked');
    return 'chunked';
  }
  if (lengths.length === 0) return null;
  if (lengths.length > 1 || !/^[0-9]+$/.test(lengths[0] ?? '')) refuse('not exactly one number as Content-Length');
  const length = Number(lengths[0]);
  if (!Number.isSafeInteger(length)) refuse('Content-Length beyond 2^53');
  return length;
}

function checkTarget(method: string, target: string): void {
  if (target.includes('#')) refuse('a fragment');
  if (method === 'CONNECT') {
    const port = /:([0-9]+)$/.exec(target)?.[1];
    if (!isAuthority(target) || Number(port ?? 0) === 0) refuse('CONNECT needs host and port');
    return;
  }
  if (target.startsWith('/') || (target === '*' && method === 'OPTIONS')) return;
  const authority = /^https?:\/\/([^/?]*)/i.exec(target)?.[1];
  if (authority === undefined || !isAuthority(authority)) refuse('none of the forms of a target');
}

function checkHost(fields: NaiveFields, minorVersion: number): void {
  const hosts = values(fields, 'host');
  if (hosts.length === 0 && minorVersion === 0) return;
  if (hosts.length !== 1 || !isAuthority(hosts[0] ?? '')) refuse('not exactly one valid Host');
}

/** `uri-host [ ":" port ]`, the host not empty. @see RFC 3986 §3.2.2 */
function isAuthority(text: string): boolean {
  const parts = /^(\[[^\]]*\]|[^:[\]]+)(?::([0-9]*))?$/.exec(text);
  if (parts === null) return false;
  const [, host = '', port = ''] = parts;
  if (port !== '' && BigInt(port) > 65_535n) return false;
  if (host.startsWith('[')) return !host.includes('%') && isIPv6(host.slice(1, -1));
  return /^(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$/.test(host);
}

function staysOpen(fields: NaiveFields, minorVersion: number): boolean {
  if (connectionHas(fields, 'close')) return false;
  return minorVersion > 0 || connectionHas(fields, 'keep-alive');
}

function connectionHas(fields: NaiveFields, option: string): boolean {
  return values(fields, 'connection').some((value) =>
    value.split(',').some((item) => item.replace(/^[ \t]+|[ \t]+$/g, '').toLowerCase() === option),
  );
}

function values(fields: NaiveFields, name: string): string[] {
  return fields.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value);
}
