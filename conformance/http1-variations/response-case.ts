/** A case of responses, and how a generator makes one. The rules of `request-case.ts` hold here too. */
import type { Line } from './request-case.ts';

/** A final response as it must be understood. */
export interface ExpectedResponse {
  readonly status: number;
  /** Null if it is not compared. */
  readonly reason: string | null;
  readonly body: string;
  /** Null if they are not compared. */
  readonly trailers: readonly Line[] | null;
  /** Fields that must be there with these values, in this order. */
  readonly fields: readonly Line[];
}

/**
 * What follows the final responses.
 *
 * `reusable`: nothing; the connection may carry another exchange. `last`: it ends, and what follows is not looked at. `stray`: bytes that nobody
 * asked for, an error. `refused`: the head that should have come is an error. `cut`: a head comes, and its body is never complete. `lost`: the
 * connection ends before the head is complete. `tunnel`: what follows is no HTTP.
 */
export type ResponseEnding = 'reusable' | 'last' | 'stray' | 'refused' | 'cut' | 'lost' | 'tunnel';

/** One case. */
export interface ResponseCase {
  readonly id: string;
  readonly rule: string;
  /** Methods of the requests that are waiting for an answer. */
  readonly methods: readonly string[];
  readonly raw: string;
  /** Whether the server ends its side behind the last byte. */
  readonly isEnded: boolean;
  /** Status codes of the interim responses, in order. */
  readonly interim: readonly number[];
  /** The final responses that are complete, in order. */
  readonly finals: readonly ExpectedResponse[];
  readonly ending: ResponseEnding;
  /** For a proxy: judged in the same way, refused with 502, or not at all. `only` is judged there alone. */
  readonly proxy: 'same' | 'refused' | 'none' | 'refused-only';
}

/** What differs from 200 without a body. */
export type ResponseTraits = Partial<ExpectedResponse>;

/** What differs from one GET on a connection that stays open. */
export type ExchangeTraits = Partial<Pick<ResponseCase, 'methods' | 'isEnded' | 'interim' | 'proxy'>>;

/** Fills in an expectation. */
export function expectResponse(traits: ResponseTraits = {}): ExpectedResponse {
  return { status: 200, reason: null, body: '', trailers: null, fields: [], ...traits };
}

/** A whole response that must never be taken for an answer. */
export const SMUGGLED_RESPONSE = 'HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled';

/** Gathers the cases of one class. */
export class ResponseCases {
  readonly cases: ResponseCase[] = [];
  readonly #name: string;
  readonly #rule: string;
  readonly #ids = new Map<string, string>();

  /** @param rule why the verdicts are what they are, with the sections of the RFCs */
  constructor(name: string, rule: string) {
    this.#name = name;
    this.#rule = rule;
  }

  /** A response that is complete, on a connection that goes on. */
  accept(name: string, raw: string, traits: ResponseTraits = {}, exchange: ExchangeTraits = {}): void {
    this.add(name, raw, [expectResponse(traits)], 'reusable', exchange);
  }

  /** A response that is complete, and the last one; the server ends the connection. */
  acceptLast(name: string, raw: string, traits: ResponseTraits = {}, exchange: ExchangeTraits = {}): void {
    this.add(name, raw, [expectResponse(traits)], 'last', { isEnded: true, ...exchange });
  }

  /** A response that is complete, and bytes behind it. */
  stray(name: string, raw: string, traits: ResponseTraits = {}, exchange: ExchangeTraits = {}): void {
    this.add(name, raw, [expectResponse(traits)], 'stray', exchange);
  }

  /** A head that must be refused, with all that follows. */
  refuse(name: string, raw: string, exchange: ExchangeTraits = {}): void {
    this.add(name, raw + SMUGGLED_RESPONSE, [], 'refused', exchange);
  }

  /** A head whose body is never complete. */
  cut(name: string, raw: string, exchange: ExchangeTraits = {}): void {
    this.add(name, raw, [], 'cut', exchange);
  }

  /** Any other combination. */
  add(name: string, raw: string, finals: readonly ExpectedResponse[], ending: ResponseEnding, exchange: ExchangeTraits = {}): void {
    const id = `${this.#name}/${name}`;
    const before = this.#ids.get(id);
    if (before === raw) return;
    if (before !== undefined) throw new TypeError(`two cases are called ${id}`);
    this.#ids.set(id, raw);
    this.cases.push({
      id,
      rule: this.#rule,
      methods: ['GET'],
      raw,
      isEnded: false,
      interim: [],
      proxy: 'same',
      ...exchange,
      finals,
      ending,
    });
  }
}

/** Writes a response: status line, lines as they are, the empty line and what follows. */
export function response(lines: readonly string[] = [], rest = '', start = 'HTTP/1.1 200 OK'): string {
  return `${[start, ...lines].join('\r\n')}\r\n\r\n${rest}`;
}
