/** What the readers of requests and responses have in common: the lines of a section as they come, and the checks that need more than one. */
import { parseDecimal } from '@ferrata/bytes';
import { HeaderMap, isInKnownHeaderSet, KnownHeader } from '@ferrata/headers';
import type { HpackDecoder } from '@ferrata/hpack';
import { faultOf, knownIdOf, NOT_PLAIN, type PseudoHeader, pseudoOf } from '../field-tags.ts';
import type { MessageReason } from '../message-reason.ts';
import { CANONICAL_NAMES, LOWER_NAMES, SENSITIVE } from './field-names.ts';

/** Who is told what is no plain field line. Methods of an object, not callbacks: no closure for a message. */
export interface SectionOwner {
  /** Whether Cookie may come in crumbs, as it may in requests alone (RFC 9113 §8.2.3). */
  readonly joinsCookies: boolean;
  /** A pseudo-header field that has no fault and comes for the first time, before all field lines. @returns what is wrong with it, else null */
  onPseudo(pseudo: PseudoHeader, value: string, tag: number): MessageReason | null;
  /** Before the first field line is kept. */
  onFields(): void;
  /** A Host line without fault; it is kept only by its owner. @returns what is wrong with it, else null */
  onHost(value: string): MessageReason | null;
}

/** Room for field lines at first; then for a few more than the last message had. */
const FIRST_ROOM = 12;
const SPARE_ROOM = 3;

/** The largest map that is made in advance: a long message must not make all later ones large. */
const MAX_ROOM = 32;

/** Reads the fields of one block after the other. One for each reader. */
export class FieldSection {
  readonly #owner: SectionOwner;
  #room = FIRST_ROOM;
  headers: HeaderMap = NO_FIELDS;
  /** The first thing that is wrong; null as long as nothing is. */
  fault: MessageReason | null = null;
  /** The value of Content-Length; −1 if there is none. */
  contentLength = -1;
  #seenPseudo = 0;
  #hasFields = false;
  /** Crumbs of Cookie joined so far. */
  #cookie = '';
  #crumbs = 0;
  /** Names that came as never-indexed literals; null in the usual case. */
  #secrets: Set<string> | null = null;

  constructor(owner: SectionOwner) {
    this.#owner = owner;
  }

  begin(): void {
    this.headers = new HeaderMap(this.#room);
    this.fault = null;
    this.contentLength = -1;
    this.#seenPseudo = 0;
    this.#hasFields = false;
    this.#cookie = '';
    this.#crumbs = 0;
    this.#secrets = null;
  }

  /** Takes all fields that the decoder has. @throws {WireError} what the decoder throws */
  read(decoder: HpackDecoder): void {
    while (decoder.next()) {
      // Decoding goes on whatever happens: a table that missed a field would make every later block mean something else (RFC 9113 §4.3).
      if (this.fault !== null) continue;
      const { tag } = decoder;
      if (decoder.isNeverIndexed) this.#noteSecret(decoder.name);
      if ((tag & NOT_PLAIN) !== 0) {
        this.fault = this.#take(decoder.value, tag);
        continue;
      }
      if (!this.#hasFields) this.#beginFields();
      const id = knownIdOf(tag);
      this.headers.appendTrusted(id === 0 ? decoder.name : (CANONICAL_NAMES[id] as string), id, decoder.value);
    }
    if (decoder.isOverLimit) this.fault ??= 'H2_HEADERS_TOO_LARGE';
  }

  /** Whether a pseudo-header field has come. */
  hasPseudo(pseudo: PseudoHeader): boolean {
    return ((this.#seenPseudo >>> pseudo) & 1) !== 0;
  }

  /** The block is over and nothing is wrong: puts together what came in pieces. */
  finish(): HeaderMap {
    const { headers } = this;
    if (!this.#hasFields) this.#beginFields();
    // RFC 9113 §8.2.3: one line again, where the first crumb stood, before anybody sees it who does not know of crumbs.
    if (this.#crumbs > 1) headers.setKnown(KnownHeader.cookie, this.#cookie);
    this.#room = Math.min(Math.max(headers.size + SPARE_ROOM, 4), MAX_ROOM);
    return headers;
  }

  /** Lets go of what was read; the reader of an idle connection must hold no message. */
  clear(): void {
    this.headers = NO_FIELDS;
    this.#cookie = '';
    this.#secrets = null;
  }

  /** Names that came as never-indexed literals (RFC 7541 §6.2.3), but those that are always sent so; null if there are none. */
  neverIndexed(): readonly string[] | null {
    return this.#secrets === null ? null : [...this.#secrets];
  }

  #noteSecret(name: string): void {
    // Browsers ask it for each cookie: what is sent so in any case costs no list.
    if (ALWAYS_NEVER_INDEXED.has(name)) return;
    this.#secrets ??= new Set();
    this.#secrets.add(name);
  }

  #take(value: string, tag: number): MessageReason | null {
    const fault = faultOf(tag);
    if (fault !== null) return fault;
    const pseudo = pseudoOf(tag);
    if (pseudo !== 0) return this.#takePseudo(pseudo, value, tag);
    if (!this.#hasFields) this.#beginFields();
    const id = knownIdOf(tag);
    switch (id) {
      case KnownHeader.contentLength:
        // As strict as HTTP/1: equal repetitions too, as somebody added the second one (RFC 9110 §8.6 leaves the choice).
        if (this.contentLength >= 0) return 'H2_CONTENT_LENGTH_REPEATED';
        this.contentLength = parseDecimal(value);
        break;
      case KnownHeader.host:
        return this.#owner.onHost(value);
      case KnownHeader.cookie:
        if (!this.#owner.joinsCookies) break;
        this.#crumbs++;
        // A crumb of nothing adds nothing, and would leave a blank at an end of the line.
        if (this.#cookie === '') this.#cookie = value;
        else if (value !== '') this.#cookie = `${this.#cookie}; ${value}`;
        if (this.#crumbs > 1) return null;
        break;
      default:
    }
    this.headers.appendTrusted(CANONICAL_NAMES[id] as string, id, value);
    return null;
  }

  #takePseudo(pseudo: PseudoHeader, value: string, tag: number): MessageReason | null {
    // RFC 9113 §8.3: all before the first field line, none twice.
    if (this.#hasFields) return 'H2_PSEUDO_LATE';
    if (this.hasPseudo(pseudo)) return 'H2_PSEUDO_REPEATED';
    this.#seenPseudo |= 1 << pseudo;
    return this.#owner.onPseudo(pseudo, value, tag);
  }

  #beginFields(): void {
    this.#hasFields = true;
    this.#owner.onFields();
  }
}

const ALWAYS_NEVER_INDEXED: ReadonlySet<string> = new Set(LOWER_NAMES.filter((_, id) => isInKnownHeaderSet(SENSITIVE, id as KnownHeader)));

/** Stands where no message is being read; nothing is ever added to it. */
const NO_FIELDS: HeaderMap = new HeaderMap(0);
