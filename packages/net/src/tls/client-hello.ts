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
/** The least that is allocated for a hello in pieces. */
const minHeldBytes = 256;
const nothing = new Uint8Array(0);

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

/** Takes chunks until the hello is complete. Holds them in one buffer: a chunk of one byte costs a hundred as an object of its own. */
export class ClientHelloReader {
  readonly #maxBytes: number;
  /** All that came, up to `#length`. */
  #bytes: Uint8Array = nothing;
  #length = 0;
  /** Whether `#bytes` is a chunk of somebody else's, not to be written to. */
  #isBorrowed = false;
  #state: ClientHelloState = 'partial';
  #hello: ClientHello = noHello;
  #isNameClear = true;
  /** Where the header of the present record begins. */
  #recordAt = 0;
  /** Bytes of the message in the records before it. */
  #messageLength = 0;
  /** -1 until the message's own header is there. */
  #messageEnd = -1;
  #firstByte = handshakeRecord;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get hello(): ClientHello {
    return this.#hello;
  }

  /** False for a server_name that is not exactly one host name (RFC 6066 §3): OpenSSL takes some of these, and others read them in their own ways. */
  get isNameClear(): boolean {
    return this.#isNameClear;
  }

  /** Whether the first byte cannot begin TLS: somebody speaks another protocol, as HTTP without TLS. */
  get isOtherProtocol(): boolean {
    return this.#firstByte !== handshakeRecord;
  }

  /** Bytes that came. */
  get length(): number {
    return this.#length;
  }

  /** Memory that they take. */
  get heldBytes(): number {
    return this.#bytes.length;
  }

  /** All that came, for TLS to read again; nothing is kept here. */
  takeBytes(): Uint8Array {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = nothing;
    return bytes;
  }

  feed(chunk: Uint8Array): ClientHelloState {
    if (this.#length === 0 && chunk.length > 0) this.#firstByte = chunk[0] as number;
    this.keep(chunk);
    this.#scan();
    if (this.#state === 'partial' && this.#length >= this.#maxBytes) this.#state = 'tooLong';
    // The rest will be copied behind it, and what is waited for should hold no more than its own bytes.
    if (this.#state === 'partial' && this.#isBorrowed) this.#grow(this.#length);
    return this.#state;
  }

  /** Takes what comes behind the hello. */
  keep(chunk: Uint8Array): void {
    if (this.#length === 0) {
      this.#bytes = chunk;
      this.#isBorrowed = true;
    } else {
      const end = this.#length + chunk.length;
      if (this.#isBorrowed || end > this.#bytes.length) this.#grow(end);
      this.#bytes.set(chunk, this.#length);
    }
    this.#length += chunk.length;
  }

  /** By doubling: linear work, whatever the chunks. */
  #grow(needed: number): void {
    const grown = new Uint8Array(Math.max(minHeldBytes, needed, Math.min(2 * this.#bytes.length, this.#maxBytes)));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#isBorrowed = false;
  }

  /** Goes on from the record that was the last one. Looks at each record's header again when more of the record comes, and at nothing else. */
  #scan(): void {
    const bytes = this.#bytes;
    while (this.#state === 'partial') {
      const at = this.#recordAt;
      const here = this.#length - at;
      if ((here > 0 && bytes[at] !== handshakeRecord) || (here > 1 && bytes[at + 1] !== 3)) this.#state = 'unclear';
      if (here < recordHeaderBytes) return;
      const length = uint16(bytes, at + 3);
      // An empty one is skipped, as by OpenSSL, though RFC 8446 §5.1 forbids them: else one in front would hide the hello from us, and not from OpenSSL.
      if (length > maxRecordBytes) this.#state = 'unclear';
      if (this.#state !== 'partial') return;
      const fragmentEnd = Math.min(this.#length, at + recordHeaderBytes + length);
      this.#checkMessage(this.#messageLength + fragmentEnd - at - recordHeaderBytes, fragmentEnd);
      if (fragmentEnd < at + recordHeaderBytes + length) return;
      this.#messageLength += length;
      this.#recordAt = fragmentEnd;
    }
  }

  /** @param length bytes of the message that are here @param end where they end */
  #checkMessage(length: number, end: number): void {
    if (length < messageHeaderBytes) return;
    if (this.#messageEnd < 0) {
      const header = this.#gather(messageHeaderBytes, end);
      this.#messageEnd = messageHeaderBytes + ((header[1] as number) << 16) + uint16(header, 2);
      if (header[0] !== clientHelloMessage) this.#state = 'unclear';
      else if (this.#messageEnd > this.#maxBytes) this.#state = 'tooLong';
    }
    if (this.#state === 'partial' && length >= this.#messageEnd) this.#parse(this.#gather(this.#messageEnd, end));
  }

  /** The first bytes of the message, which is usually all in one record: no copy then. */
  #gather(length: number, end: number): Uint8Array {
    const bytes = this.#bytes;
    if (uint16(bytes, 3) >= length) return bytes.subarray(recordHeaderBytes, recordHeaderBytes + length);
    const message = new Uint8Array(length);
    let filled = 0;
    for (let at = 0; filled < length && at < end; ) {
      const next = at + recordHeaderBytes + uint16(bytes, at + 3);
      const fragment = bytes.subarray(at + recordHeaderBytes, Math.min(next, end, at + recordHeaderBytes + length - filled));
      message.set(fragment, filled);
      filled += fragment.length;
      at = next;
    }
    return message;
  }

  #parse(message: Uint8Array): void {
    const parsed = parseClientHello(message.subarray(messageHeaderBytes));
    this.#hello = parsed?.hello ?? noHello;
    this.#isNameClear = parsed?.isNameClear ?? true;
    this.#state = parsed === null ? 'unclear' : 'complete';
  }
}

/** @returns null if it is malformed */
function parseClientHello(body: Uint8Array): { readonly hello: ClientHello; readonly isNameClear: boolean } | null {
  let at = 2 + 32;
  at = skipVector(body, at, 1);
  at = skipVector(body, at, 2);
  at = skipVector(body, at, 1);
  // Without extensions (RFC 5246 §7.4.1.2).
  if (at === body.length) return { hello: noHello, isNameClear: true };
  const extensions = vectorAt(body, at, 2);
  if (at < 0 || extensions === null) return null;
  let serverName: string | null = null;
  let alpn: readonly string[] | null = null;
  let asksForStaple = false;
  let ticketName: Uint8Array | null = null;
  let isNameClear = true;
  let hasName = false;
  for (let place = 0; place < extensions.length; ) {
    const content = vectorAt(extensions, place + 2, 2);
    if (content === null) return null;
    switch (uint16(extensions, place)) {
      case Extension.serverName:
        serverName = parseServerName(content);
        isNameClear = !hasName && serverName !== null && content.length === nameExtensionBytes + serverName.length;
        hasName = true;
        break;
      case Extension.statusRequest:
        asksForStaple = content[0] === 1;
        break;
      case Extension.alpn:
        // A second one (RFC 8446 §4.2 forbids it) would leave open which of them counts; OpenSSL refuses it.
        if (alpn !== null) return null;
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
  return { hello: { serverName, alpn, asksForStaple, ticketName }, isNameClear };
}

/** Length of the list, type and length of its one entry. */
const nameExtensionBytes = 5;

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
