/**
 * A case of requests, and how a generator makes one.
 *
 * Rules of this folder:
 * - The verdict is computed from the parts of which a case is built, by the grammar of RFC 9112 and by the choices in the README of
 *   `@ferrata/http1` ("Supported, and not"). No decoder is asked, neither ours nor another.
 * - A case that is to be accepted is followed by a request that must be served, one that is to be refused by a request that must never be.
 * - Bytes are characters U+0000 to U+00FF. `TOKEN_` in targets becomes a token of the same length that belongs to the case alone.
 */

/** Stands in raw bytes for the token of the case. */
export const TOKEN = 'TOKEN_';

/** A request as it must be understood. */
export interface ExpectedRequest {
  readonly method: string;
  /** As it was sent. */
  readonly target: string;
  /** As an origin must be sent it. */
  readonly path: string;
  /** Where it goes: the host of an absolute-form target, else Host. */
  readonly host: string;
  readonly body: string;
  /** Null if it is not compared; else the lines of the trailer section that may be trailers. */
  readonly trailers: readonly Line[] | null;
  /** Fields of the head that must be there with these values, in this order. */
  readonly fields: readonly Line[];
  /** Names, in lower case, that may not be forwarded. */
  readonly dropped: readonly string[];
  /** The protocols it asks for; null for none, undefined if it is not compared. */
  readonly upgrade: string | null | undefined;
  readonly expectsContinue: boolean;
}

/** Name and value of a field. */
export type Line = readonly [name: string, value: string];

/**
 * What must follow the requests that are served.
 *
 * `open`: the connection waits for the next request. `closed`: it ends, and what follows is not looked at. `refused`: one error status, and it
 * ends. `truncated`: the bytes stop inside a request, which is never complete. `tunnel`: what follows is no HTTP.
 */
export type RequestEnding = 'open' | 'closed' | 'refused' | 'truncated' | 'tunnel';

/** One case. */
export interface RequestCase {
  readonly id: string;
  /** The rule that gives the verdict. */
  readonly rule: string;
  readonly raw: string;
  readonly serves: readonly ExpectedRequest[];
  readonly ending: RequestEnding;
  /**
   * What may be answered to what is not served: to a refused request, by a proxy also to a cut one and to one for a tunnel. Empty where all is
   * served.
   */
  readonly statuses: readonly number[];
  /** For a proxy: judged in the same way, refused where a decoder need not, or not at all. */
  readonly proxy: 'same' | 'refused' | 'none';
}

/** What differs from a plain `GET /TOKEN_/a` with `Host: localhost`. */
export type RequestTraits = Partial<ExpectedRequest>;

/** Fills in an expectation. */
export function expectRequest(traits: RequestTraits = {}): ExpectedRequest {
  const target = traits.target ?? `/${TOKEN}/a`;
  return {
    method: 'GET',
    path: target,
    host: 'localhost',
    body: '',
    trailers: null,
    fields: [],
    dropped: [],
    upgrade: null,
    expectsContinue: false,
    ...traits,
    target,
  };
}

/** What follows an accepted case: a request that must be served. */
export const NEXT = `GET /${TOKEN}/next HTTP/1.1\r\nHost: localhost\r\n\r\n`;
/** What follows a refused case: a request that must never be served. */
export const SMUGGLED = `GET /${TOKEN}/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const NEXT_REQUEST = expectRequest({ target: `/${TOKEN}/next` });

/** Options of a refusal. */
export interface RefusalOptions {
  /** Requests served before. */
  readonly after?: readonly ExpectedRequest[];
  /** What may be answered; by default `BAD_REQUEST` alone. */
  readonly statuses?: readonly number[];
}

/**
 * What is due to a request that breaks a rule (RFC 9110 §15.5.1; RFC 9112 §2.2, §3, §5.1, §6.3).
 *
 * Another status is due where the RFC names it: 501 for a transfer coding that is not understood (RFC 9112 §6.1), 505 for another major version
 * (RFC 9110 §15.6.6), 414 for a long target (RFC 9112 §3), 431 for large fields (RFC 6585 §5), 413 for a large body (RFC 9110 §15.5.14), 501 for
 * a method longer than any that is known (RFC 9112 §3).
 */
export const BAD_REQUEST: readonly number[] = [400];

/** Where no tunnels are given: the method is known and not allowed, or it is not implemented (RFC 9110 §9.1). */
const NO_TUNNEL: readonly number[] = [405, 501];

/** Gathers the cases of one class. */
export class RequestCases {
  readonly cases: RequestCase[] = [];
  readonly #name: string;
  readonly #rule: string;
  readonly #ids = new Map<string, string>();

  /** @param rule why the verdicts are what they are, with the sections of the RFCs */
  constructor(name: string, rule: string) {
    this.#name = name;
    this.#rule = rule;
  }

  /** A message that must be served, and the next one after it. */
  accept(name: string, raw: string, traits: RequestTraits = {}): void {
    this.#add(name, raw + NEXT, [expectRequest(traits), NEXT_REQUEST], 'open');
  }

  /** A message that must be served, after which the connection ends: what follows must not be seen. */
  acceptLast(name: string, raw: string, traits: RequestTraits = {}): void {
    this.#add(name, raw + SMUGGLED, [expectRequest(traits)], 'closed');
  }

  /** Several messages in a row, all served, and the next one after them. */
  acceptSeveral(name: string, raw: string, serves: readonly ExpectedRequest[]): void {
    this.#add(name, raw + NEXT, [...serves, NEXT_REQUEST], 'open');
  }

  /** The same, where the last one ends the connection. */
  acceptSeveralLast(name: string, raw: string, serves: readonly ExpectedRequest[]): void {
    this.#add(name, raw + SMUGGLED, serves, 'closed');
  }

  /** Messages that must be refused, with all that follows. */
  refuse(name: string, raw: string, { after = [], statuses = BAD_REQUEST }: RefusalOptions = {}): void {
    this.#add(name, raw + SMUGGLED, after, 'refused', statuses);
  }

  /** Bytes that stop inside a message. */
  truncate(name: string, raw: string, serves: readonly ExpectedRequest[] = []): void {
    this.#add(name, raw, serves, 'truncated', BAD_REQUEST);
  }

  /** The same, where no origin of a test could take what is announced. */
  truncateForDecoder(name: string, raw: string): void {
    this.#add(name, raw, [], 'truncated', BAD_REQUEST, 'none');
  }

  /** A message after which a decoder's work ends; a proxy that gives no tunnels refuses it. */
  tunnel(name: string, raw: string, traits: RequestTraits): void {
    this.#add(name, raw + SMUGGLED, [expectRequest(traits)], 'tunnel', NO_TUNNEL, 'refused');
  }

  /** A message that is valid, and whose handling by a proxy is no business of its framing. */
  acceptByDecoder(name: string, raw: string, traits: RequestTraits): void {
    this.#add(name, raw + NEXT, [expectRequest(traits), NEXT_REQUEST], 'open', [], 'none');
  }

  #add(
    name: string,
    raw: string,
    serves: readonly ExpectedRequest[],
    ending: RequestEnding,
    statuses: readonly number[] = [],
    proxy: RequestCase['proxy'] = 'same',
  ): void {
    const id = `${this.#name}/${name}`;
    const before = this.#ids.get(id);
    // Two ways to build one message are one case; two messages under one name are a mistake of a generator.
    if (before === raw) return;
    if (before !== undefined) throw new TypeError(`two cases are called ${id}`);
    this.#ids.set(id, raw);
    this.cases.push({ id, rule: this.#rule, raw, serves, ending, statuses, proxy });
  }
}

/** Writes a message: start line, lines as they are, the empty line and what follows. */
export function message(start: string, lines: readonly string[], rest = ''): string {
  return `${[start, ...lines].join('\r\n')}\r\n\r\n${rest}`;
}

/** `POST /TOKEN_/a` to localhost, with more lines and what follows the head. */
export function post(lines: readonly string[], rest: string, version = 'HTTP/1.1'): string {
  return message(`POST /${TOKEN}/a ${version}`, ['Host: localhost', ...lines], rest);
}

/** `GET /TOKEN_/a` to localhost, with more lines. */
export function get(lines: readonly string[] = [], version = 'HTTP/1.1'): string {
  return message(`GET /${TOKEN}/a ${version}`, ['Host: localhost', ...lines]);
}

/** A text in which everything but plain ASCII is told by its code, for names of cases. */
export function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is control bytes that are made visible
  const told = text.replace(/[\0-\x20"/\\\x7f-\xff]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
  return told.length <= 60 ? told : `${told.slice(0, 50)}…${told.length}`;
}

/** Trims optional whitespace (RFC 9110 §5.6.3): blanks and tabs, nothing else. */
export function trimBlanks(text: string): string {
  return text.replace(/^[ \t]+/, '').replace(/[ \t]+$/, '');
}
