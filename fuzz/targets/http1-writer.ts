/**
 * Invariant: whatever strings, lengths and commands a program gives to the encoders and machines, they throw a `TypeError` or `RangeError` of their
 * own, or what they have written is read as exactly the messages that were meant: by a naive reader and by two builds of llhttp, none of which
 * ever finds another message in it (response splitting, request smuggling by our own hand); what is plainly valid is taken.
 *
 * The input is words between bytes 0xFE; a byte 0xFD puts the next byte 0x100 higher, as such characters may lose their upper half on the way to
 * the wire. The first word is a plan, byte by byte; the others are method or status, target or reason, Connection, Upgrade or Date, a chunk
 * extension, then names and values.
 */
import { ByteWriter } from '@ferrata/bytes';
import { HeaderMap, type RequestHead, type ResponseHead } from '@ferrata/headers';
import {
  BodyLength,
  ClientConnection,
  formatRequestHead,
  formatResponseHead,
  http1Error,
  MessageEvent,
  ServerConnection,
  writeChunk,
  writeLastChunk,
} from '@ferrata/http1';
import { checkRequestsMeant, checkResponsesMeant, type MeantMessage } from '../oracles/meant.ts';
import { isValid, refusalOf } from '../oracles/misuse.ts';
import { latin1 } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http1', 'chunked', 'writer'], maxLength: 512 };

const LENGTHS = [
  0,
  1,
  5,
  BodyLength.chunked,
  BodyLength.untilClose,
  -3,
  1.5,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  2 ** 53 - 1,
  2 ** 53,
  -0,
] as const;
const BODY = Uint8Array.from(Buffer.from('0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n', 'latin1'));
/** What the peer of a machine has asked for. */
const REQUESTS = [
  'GET /1 HTTP/1.1\r\nHost: a\r\n\r\n',
  'HEAD /1 HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /1 HTTP/1.0\r\n\r\n',
  'GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n',
  'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n',
  'POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc',
  'POST /1 HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n',
] as const;
const MAX_COMMANDS = 24;
/** A head without options. */
const NOTHING: { readonly connection?: string; readonly upgrade?: string | null } = {};

export function fuzz(data: Uint8Array): void {
  const input = new Input(data);
  switch (input.next() & 3) {
    case 0:
      return writeRequest(input);
    case 1:
      return writeResponse(input);
    case 2:
      return driveServer(input);
    default:
      return driveClient(input);
  }
}

/** Words, and the bytes of the plan one by one; both are without end, as what is missing is empty or 0. */
class Input {
  readonly words: readonly string[];
  #at = 0;

  constructor(data: Uint8Array) {
    this.words = Buffer.from(data.buffer, data.byteOffset, data.length)
      .toString('latin1')
      .split('\xfe')
      .map((word) => word.replace(/\xfd([^])/g, (_, next: string) => String.fromCharCode(0x100 | next.charCodeAt(0))));
  }

  /** The next byte of the plan. */
  next(): number {
    return (this.words[0] ?? '').charCodeAt(this.#at++) & 0xff;
  }

  get hasNext(): boolean {
    return this.#at < (this.words[0] ?? '').length;
  }

  word(index: number): string {
    return this.words[index] ?? '';
  }

  nextLength(): number {
    return LENGTHS[this.next() % LENGTHS.length] as number;
  }

  /** Names and values from the sixth word on, `count` of them after `skipped` others; those that are not valid are refused, and left out. */
  fields(skipped: number, count: number): HeaderMap {
    const headers = new HeaderMap();
    for (let pair = skipped; pair < skipped + count; pair++) {
      const name = this.words[6 + 2 * pair];
      const value = this.word(7 + 2 * pair);
      if (name !== undefined) attempt(() => headers.append(name, value), isValid.field(name, value));
    }
    return headers;
  }

  requestHead(): RequestHead {
    return { method: this.word(1), target: this.word(2), version: 11, headers: this.fields(0, this.next() & 7) };
  }

  responseHead(): ResponseHead {
    // Numbers in every spelling that JavaScript knows, as a program may have got its status from text.
    return { status: Number(this.word(1)), reason: this.word(2), version: 11, headers: this.fields(0, this.next() & 7) };
  }

  trailers(): HeaderMap | null {
    const plan = this.next();
    return (plan & 1) === 0 ? null : this.fields((plan >> 1) & 3, (plan >> 3) & 3);
  }
}

/** Runs a command that may be refused, unless it is valid. @returns false if it was refused */
function attempt(command: () => unknown, mustBeTaken: boolean, onRefused?: (refusal: Error) => void): boolean {
  const refusal = refusalOf(command);
  if (refusal === null) return true;
  invariant(!mustBeTaken, 'what is valid is taken', () => refusal.message);
  onRefused?.(refusal);
  return false;
}

/** Sends a piece of a body or its end. What was not of the length announced breaks the message, and nothing may follow it. */
function send(last: MeantMessage | undefined, mustBeTaken: boolean, command: () => unknown): boolean {
  const isSent = attempt(command, mustBeTaken, (error) => {
    if (error instanceof RangeError && last !== undefined) last.isBroken = true;
  });
  return isSent && isOpen(last);
}

function isOpen(message: MeantMessage | undefined): message is MeantMessage {
  return message !== undefined && !message.isEnded && !message.isBroken;
}

/** `more` bytes are not too many for the length announced. */
function hasRoom(message: MeantMessage | undefined, more: number): boolean {
  return isOpen(message) && (message.bodyLength < 0 || message.body.length + more <= message.bodyLength);
}

/** As many bytes have been sent as announced. */
function isFull(message: MeantMessage | undefined): boolean {
  return isOpen(message) && (message.bodyLength < 0 || message.body.length === message.bodyLength);
}

function checkLength(bodyLength: number): void {
  const isLength =
    bodyLength === BodyLength.chunked || bodyLength === BodyLength.untilClose || (Number.isSafeInteger(bodyLength) && bodyLength >= 0);
  invariant(isLength, 'what is no length is refused', () => String(bodyLength));
}

function checkUnbroken(last: MeantMessage | undefined): void {
  invariant(last?.isBroken !== true, 'nothing follows a message of the wrong length', () => JSON.stringify(last));
}

function addTo(last: MeantMessage | undefined, data: Uint8Array): void {
  if (last !== undefined) last.body += latin1(data);
}

function endWith(last: MeantMessage | undefined, trailers: HeaderMap | null): void {
  if (last === undefined) return;
  last.isEnded = true;
  last.trailers = [...(trailers ?? [])];
}

function meant(start: string, rest: string, headers: HeaderMap, bodyLength: number): MeantMessage {
  return { start, rest, fields: [...headers], bodyLength, body: '', trailers: [], isEnded: false, isBroken: false };
}

// ---- encoders --------------------------------------------------------------------------------------------------------------------

function writeRequest(input: Input): void {
  const head = input.requestHead();
  const bodyLength = input.nextLength();
  const plan = input.next();
  const message = meant(head.method, head.target, head.headers, bodyLength);
  const own = (plan & 1) === 0 ? NOTHING : { connection: input.word(3), upgrade: (plan & 2) === 0 ? null : input.word(4) };
  let text = '';
  const mustBeTaken =
    isValid.request(head.method, head.target) &&
    (bodyLength === BodyLength.chunked || isValid.length(bodyLength)) &&
    isValid.value(own.connection ?? '') &&
    (typeof own.upgrade !== 'string' || (own.upgrade !== '' && isValid.value(own.upgrade)));
  if (!attempt(() => (text = formatRequestHead(head, { bodyLength, ...own })), mustBeTaken)) return;
  checkLength(bodyLength);
  const bytes = writeMessage(input, text, message);
  checkRequestsMeant(bytes, [message]);
}

function writeResponse(input: Input): void {
  const head = input.responseHead();
  const bodyLength = input.nextLength();
  const plan = input.next();
  const method = ['GET', 'HEAD', 'CONNECT', 'POST'][plan & 3] as string;
  const { status } = head;
  const isTunnel = method === 'CONNECT' && status >= 200 && status < 300;
  const isBodyless = method === 'HEAD' || status === 304;
  const hasNoBody = isBodyless || isTunnel || status < 200 || status === 204;
  const message = meant(String(status), head.reason, head.headers, hasNoBody ? 0 : bodyLength);
  const own = { ...((plan & 4) === 0 ? {} : { connection: input.word(3) }), ...((plan & 8) === 0 ? {} : { date: input.word(4) }) };
  let text = '';
  const mustBeTaken =
    isValid.response(status, head.reason) &&
    (bodyLength === BodyLength.chunked || bodyLength === BodyLength.untilClose || isValid.length(bodyLength)) &&
    isValid.value(own.connection ?? '') &&
    isValid.value(own.date ?? '');
  if (!attempt(() => (text = formatResponseHead(head, { bodyLength, isBodyless, isTunnel, ...own })), mustBeTaken)) return;
  if (!hasNoBody) checkLength(bodyLength);
  const bytes = writeMessage(input, text, message);
  checkResponsesMeant(bytes, [message], [method]);
}

/** The body as `message.bodyLength` has it, and what it holds of the input. */
function writeMessage(input: Input, head: string, message: MeantMessage): Uint8Array {
  const writer = new ByteWriter();
  invariant(!/[^\0-\xff]/.test(head), 'each character of a head is a byte', () => JSON.stringify(head));
  writer.writeLatin1(head);
  const { bodyLength } = message;
  const data = BODY.slice(0, bodyLength >= 0 ? Math.min(bodyLength, BODY.length) : input.next() % BODY.length);
  const trailers = input.trailers();
  if (bodyLength === BodyLength.chunked) {
    const extension = input.word(5);
    if (attempt(() => writeChunk(writer, data, extension), isValid.extension(extension))) message.body = latin1(data);
    writeLastChunk(writer, trailers);
    message.trailers = [...(trailers ?? [])];
  } else {
    writer.writeBytes(data);
    message.body = latin1(data);
  }
  message.isEnded = bodyLength < 0 || bodyLength === data.length;
  return writer.take();
}

/** Exactly one, of a form that no two readers differ on. */
function hasPlainHost(headers: HeaderMap): boolean {
  const hosts = [...headers].filter(([name]) => name.toLowerCase() === 'host');
  return hosts.length === 1 && /^[a-z\d][a-z\d.-]*$/i.test(hosts[0]?.[1] ?? '');
}

// ---- machines --------------------------------------------------------------------------------------------------------------------

function driveServer(input: Input): void {
  const request = REQUESTS[input.next() % REQUESTS.length] as string;
  const method = request.slice(0, request.indexOf(' '));
  const machine = new ServerConnection(0);
  const messages: MeantMessage[] = [];
  const chunks: Uint8Array[] = [];
  /** A request has come, and nothing has been said of it. */
  let isDue = false;
  machine.receive(bytesOf(`${request}GET /2 HTTP/1.1\r\nHost: a\r\n\r\n`), 0);
  for (let commands = 0; input.hasNext && commands < MAX_COMMANDS; commands++) {
    const command = input.next();
    const last = messages.at(-1);
    switch (command & 7) {
      case 0: {
        const head = input.responseHead();
        const before = machine.outputBytes;
        const mustBeTaken = isDue && isValid.response(head.status, head.reason) && head.status < 200 && head.status !== 101;
        const isTaken = attempt(() => machine.sendInterim(head, 0), mustBeTaken) && machine.outputBytes > before;
        if (isTaken) messages.push({ ...meant(String(head.status), head.reason, head.headers, 0), isEnded: true });
        break;
      }
      case 1: {
        const head = input.responseHead();
        const bodyLength = input.nextLength();
        const isAnswerToHead = machine.answeredCount === 0 && method === 'HEAD';
        const date = input.word(4);
        const mustBeTaken =
          isDue &&
          isValid.response(head.status, head.reason) &&
          head.status >= (method === 'CONNECT' ? 300 : 200) &&
          isValid.length(bodyLength) &&
          isValid.value(date);
        if (!attempt(() => machine.sendHead(head, bodyLength, date), mustBeTaken)) break;
        isDue = false;
        checkLength(bodyLength);
        const hasNoBody = isAnswerToHead || head.status === 204 || head.status === 304;
        checkUnbroken(last);
        const unknown = request.includes('HTTP/1.0') && machine.answeredCount === 0 ? BodyLength.untilClose : BodyLength.chunked;
        messages.push(meant(String(head.status), head.reason, head.headers, hasNoBody ? 0 : bodyLength < 0 ? unknown : bodyLength));
        break;
      }
      case 2: {
        const data = BODY.slice(0, (command >> 3) % BODY.length);
        if (send(last, hasRoom(last, data.length), () => machine.sendData(data.slice())) && last?.bodyLength !== 0) addTo(last, data);
        break;
      }
      case 3: {
        const trailers = input.trailers();
        if (send(last, isFull(last), () => machine.sendEnd(trailers))) endWith(last, trailers);
        break;
      }
      case 4: {
        const head = input.responseHead();
        if (!attempt(() => machine.sendTunnelHead(head, input.word(4)), false)) break;
        isDue = false;
        messages.push({ ...meant(String(head.status), head.reason, head.headers, 0), isEnded: true });
        break;
      }
      case 5: {
        const status = machine.refuse(http1Error('H1_CHUNK_SIZE_INVALID', 'request'), 'Thu, 01 Jan 1970 00:00:00 GMT');
        isDue = false;
        if (isOpen(last)) last.isBroken = true;
        if (status !== 0) messages.push({ ...meant(String(status), '', new HeaderMap(), 0), isPage: true, isEnded: true });
        break;
      }
      case 6:
        for (const chunk of machine.takeOutput()) chunks.push(Uint8Array.from(chunk));
        break;
      default:
        if (!machine.nextEvent(0)) break;
        invariant(machine.event !== MessageEvent.none, 'an event is one', () => request);
        if (machine.event === MessageEvent.head) isDue = true;
    }
  }
  for (const chunk of machine.takeOutput()) chunks.push(Uint8Array.from(chunk));
  checkResponsesMeant(Uint8Array.from(Buffer.concat(chunks)), messages, [method, 'GET', 'GET']);
}

function driveClient(input: Input): void {
  const machine = new ClientConnection(0);
  const messages: MeantMessage[] = [];
  const chunks: Uint8Array[] = [];
  for (let commands = 0; input.hasNext && commands < MAX_COMMANDS; commands++) {
    const command = input.next();
    const last = messages.at(-1);
    switch (command & 7) {
      case 0:
      case 1: {
        const head = input.requestHead();
        const bodyLength = input.nextLength();
        const upgrade = (command & 8) === 0 ? null : input.word(4);
        const mustBeTaken =
          machine.isReusable &&
          isValid.request(head.method, head.target) &&
          hasPlainHost(head.headers) &&
          (bodyLength === BodyLength.chunked || isValid.length(bodyLength)) &&
          (upgrade === null || (upgrade !== '' && isValid.value(upgrade)));
        if (!attempt(() => machine.sendHead(head, bodyLength, upgrade, 0), mustBeTaken)) break;
        checkLength(bodyLength);
        checkUnbroken(last);
        messages.push({ ...meant(head.method, head.target, head.headers, bodyLength), isEnded: bodyLength === 0 });
        break;
      }
      case 2:
      case 3: {
        const data = BODY.slice(0, (command >> 3) % BODY.length);
        if (send(last, hasRoom(last, data.length), () => machine.sendData(data.slice(), 0))) addTo(last, data);
        break;
      }
      case 4:
      case 5: {
        const trailers = input.trailers();
        if (send(last, isFull(last), () => machine.sendEnd(trailers, 0))) endWith(last, trailers);
        break;
      }
      case 6:
        for (const chunk of machine.takeOutput()) chunks.push(Uint8Array.from(chunk));
        break;
      default:
        if (!machine.isBusy) break;
        machine.receive(bytesOf('HTTP/1.1 204 No Content\r\n\r\n'), 0);
        while (machine.nextEvent()) invariant(machine.event !== MessageEvent.none, 'an event is one', () => String(command));
    }
  }
  for (const chunk of machine.takeOutput()) chunks.push(Uint8Array.from(chunk));
  checkRequestsMeant(Uint8Array.from(Buffer.concat(chunks)), messages);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}
