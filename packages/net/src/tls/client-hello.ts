/**
 * Reads the ClientHello (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2) before TLS does, for what decides which settings the handshake gets: the name, the
 * protocols, and the key of the ticket. OpenSSL is given all the bytes afterwards, and judges them.
 *
 * ```
 *   record     22 | 3, minor | length:2 | fragment                                 a message may lie in several
 *   message     1 | length:3 | version:2 | random:32 | session id:1+n | suites:2+n | compression:1+n | extensions:2+n
 *   extension  type:2 | length:2 | …      0 server_name  5 status_request  16 ALPN  35 session ticket  41 pre_shared_key
 * ```
 * Rules: linear work whatever the chunks; at most `maxBytes` are held; what this file does not understand is left to OpenSSL (`unclear`), which
 * answers with the right alert.
 */
import { latin1Decode } from '@ferrata/bytes';

const handshakeRecord = 22;
const clientHelloMessage = 1;
const recordHeaderBytes = 5;
const messageHeaderBytes = 4;
/** RFC 8446 §5.1. */
const maxRecordBytes = 16_384;
const ticketNameBytes = 16;

const Extension = { serverName: 0, statusRequest: 5, alpn: 16, sessionTicket: 35, preSharedKey: 41 } as const;

/** What a client has said. */
export interface ClientHello {
  /** As it was sent, in lower case; null if there is none. */
  readonly serverName: string | null;
  /** Null if the client does not know ALPN. */
  readonly alpn: readonly string[] | null;
  /** It asks for a stapled OCSP response (RFC 6066 §8). */
  readonly asksForStaple: boolean;
  /** The first 16 bytes of the ticket it wants to resume with; null if it has none. */
  readonly ticketName: Uint8Array | null;
}

/** `partial`: needs data. `unclear`: not to be understood, OpenSSL shall say why. */
export type ClientHelloState = 'partial' | 'complete' | 'unclear' | 'tooLong';

/** What is known of a client whose hello is unclear: nothing. */
export const noHello: ClientHello = Object.freeze({ serverName: null, alpn: null, asksForStaple: false, ticketName: null });

/** Takes chunks until the hello is complete. */
export class ClientHelloReader {
  /** All that came, for TLS to read again. */
  readonly chunks: Uint8Array[] = [];
  readonly #maxBytes: number;
  #total = 0;
  #isOtherProtocol = false;
  #state: ClientHelloState = 'partial';
  #hello: ClientHello = noHello;
  readonly #header = new Uint8Array(recordHeaderBytes);
  #headerLength = 0;
  #recordLeft = 0;
  #message: Uint8Array = new Uint8Array(0);
  #messageLength = 0;
  /** -1 until the message's own header is there. */
  #messageEnd = -1;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get hello(): ClientHello {
    return this.#hello;
  }

  /** Whether the first byte cannot begin TLS: somebody speaks another protocol, as HTTP without TLS. */
  get isOtherProtocol(): boolean {
    return this.#isOtherProtocol;
  }

  feed(chunk: Uint8Array): ClientHelloState {
    if (this.#total === 0) this.#isOtherProtocol = chunk[0] !== handshakeRecord;
    this.chunks.push(chunk);
    this.#total += chunk.length;
    let at = 0;
    while (at < chunk.length && this.#state === 'partial') {
      if (this.#recordLeft === 0) this.#takeHeaderByte(chunk[at++] as number);
      else at += this.#takeFragment(chunk, at);
    }
    if (this.#state === 'partial' && this.#total >= this.#maxBytes) this.#state = 'tooLong';
    return this.#state;
  }

  #takeHeaderByte(byte: number): void {
    const header = this.#header;
    header[this.#headerLength++] = byte;
    if (header[0] !== handshakeRecord || (this.#headerLength > 1 && header[1] !== 3)) {
      this.#state = 'unclear';
      return;
    }
    if (this.#headerLength < recordHeaderBytes) return;
    this.#headerLength = 0;
    this.#recordLeft = uint16(header, 3);
    // RFC 8446 §5.1: no empty fragments of handshake messages.
    if (this.#recordLeft === 0 || this.#recordLeft > maxRecordBytes) this.#state = 'unclear';
  }

  #takeFragment(chunk: Uint8Array, at: number): number {
    const length = Math.min(this.#recordLeft, chunk.length - at);
    this.#recordLeft -= length;
    this.#append(chunk.subarray(at, at + length));
    if (this.#messageEnd < 0 && this.#messageLength >= messageHeaderBytes) {
      const message = this.#message;
      if (message[0] !== clientHelloMessage) this.#state = 'unclear';
      this.#messageEnd = messageHeaderBytes + ((message[1] as number) << 16) + uint16(message, 2);
    }
    if (this.#messageEnd > this.#maxBytes && this.#state === 'partial') this.#state = 'tooLong';
    if (this.#state === 'partial' && this.#messageEnd >= 0 && this.#messageLength >= this.#messageEnd) this.#parse();
    return length;
  }

  /** Usually all of it lies in one chunk: no copy. Grows by doubling, since a record may hold a single byte. */
  #append(fragment: Uint8Array): void {
    const end = this.#messageLength + fragment.length;
    if (this.#messageLength === 0) {
      this.#message = fragment;
    } else {
      if (end > this.#message.length) {
        const grown = new Uint8Array(Math.max(256, 2 * end));
        grown.set(this.#message.subarray(0, this.#messageLength));
        this.#message = grown;
      }
      this.#message.set(fragment, this.#messageLength);
    }
    this.#messageLength = end;
  }

  #parse(): void {
    const hello = parseClientHello(this.#message.subarray(messageHeaderBytes, this.#messageEnd));
    this.#hello = hello ?? noHello;
    this.#state = hello === null ? 'unclear' : 'complete';
    this.#message = this.#message.subarray(0, 0);
  }
}

/** @returns null if it is malformed */
function parseClientHello(body: Uint8Array): ClientHello | null {
  let at = 2 + 32;
  at = skipVector(body, at, 1);
  at = skipVector(body, at, 2);
  at = skipVector(body, at, 1);
  // Without extensions (RFC 5246 §7.4.1.2).
  if (at === body.length) return noHello;
  const extensions = vectorAt(body, at, 2);
  if (at < 0 || extensions === null) return null;
  let serverName: string | null = null;
  let alpn: readonly string[] | null = null;
  let asksForStaple = false;
  let ticketName: Uint8Array | null = null;
  for (let place = 0; place < extensions.length; ) {
    const content = vectorAt(extensions, place + 2, 2);
    if (content === null) return null;
    switch (uint16(extensions, place)) {
      case Extension.serverName:
        serverName = parseServerName(content);
        break;
      case Extension.statusRequest:
        asksForStaple = content[0] === 1;
        break;
      case Extension.alpn:
        alpn = parseAlpn(content);
        if (alpn === null) return null;
        break;
      case Extension.sessionTicket:
        if (ticketName === null && content.length >= ticketNameBytes) ticketName = content.slice(0, ticketNameBytes);
        break;
      case Extension.preSharedKey:
        ticketName = parseFirstIdentity(content) ?? ticketName;
        break;
      default:
    }
    place += 4 + content.length;
  }
  return { serverName, alpn, asksForStaple, ticketName };
}

/** RFC 6066 §3: a list with one entry of the type host_name (0). */
function parseServerName(content: Uint8Array): string | null {
  const list = vectorAt(content, 0, 2);
  if (list === null || list[0] !== 0) return null;
  const name = vectorAt(list, 1, 2);
  return name === null || name.length === 0 ? null : latin1Decode(name).toLowerCase();
}

/** RFC 7301 §3.1. */
function parseAlpn(content: Uint8Array): readonly string[] | null {
  const list = vectorAt(content, 0, 2);
  if (list === null) return null;
  const names: string[] = [];
  for (let at = 0; at < list.length; ) {
    const name = vectorAt(list, at, 1);
    if (name === null) return null;
    names.push(latin1Decode(name));
    at += 1 + name.length;
  }
  return names;
}

/** RFC 8446 §4.2.11. */
function parseFirstIdentity(content: Uint8Array): Uint8Array | null {
  const identities = vectorAt(content, 0, 2);
  const identity = identities === null ? null : vectorAt(identities, 0, 2);
  return identity === null || identity.length < ticketNameBytes ? null : identity.slice(0, ticketNameBytes);
}

/** What a vector holds (RFC 8446 §3.4) whose length takes `lengthBytes`; null if it does not lie wholly in `bytes`. */
function vectorAt(bytes: Uint8Array, at: number, lengthBytes: 1 | 2): Uint8Array | null {
  const start = at + lengthBytes;
  if (at < 0 || start > bytes.length) return null;
  const end = start + (lengthBytes === 1 ? (bytes[at] as number) : uint16(bytes, at));
  return end > bytes.length ? null : bytes.subarray(start, end);
}

/** The place behind a vector; -1 if it is cut off. */
function skipVector(bytes: Uint8Array, at: number, lengthBytes: 1 | 2): number {
  const vector = vectorAt(bytes, at, lengthBytes);
  return vector === null ? -1 : at + lengthBytes + vector.length;
}

function uint16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
}
