/** llhttp as it is built into Node, behind `require('_http_common')`: an independent reader of HTTP/1 for tests and benches. */
import { createRequire } from 'node:module';

interface LlhttpParser {
  initialize(type: number, resource: object): void;
  execute(bytes: Uint8Array, start?: number, length?: number): number | Error;
  finish(): undefined | Error;
  [callback: number]: unknown;
}

interface LlhttpConstructor {
  new (): LlhttpParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

/** The deprecation of `_http_common` is known; there is no other way to Node's parser. */
function load(): { readonly HTTPParser: LlhttpConstructor; readonly methods: readonly string[] } {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return createRequire(import.meta.url)('_http_common') as { HTTPParser: LlhttpConstructor; methods: readonly string[] };
  } finally {
    process.emitWarning = emitWarning;
  }
}

export const { HTTPParser, methods } = load();

export interface LlhttpMessage {
  /** Of a request. */
  readonly method: string;
  readonly target: string;
  /** Of a response. */
  readonly status: number;
  readonly reason: string;
  readonly headers: (readonly [string, string])[];
  readonly keepAlive: boolean;
  body: string;
  trailers: (readonly [string, string])[] | null;
  isComplete: boolean;
}

/** Reads a whole input. @returns messages, and whether llhttp found an error */
export function readWithLlhttp(
  kind: 'request' | 'response',
  bytes: Uint8Array,
  ends = false,
): { readonly messages: LlhttpMessage[]; readonly isValid: boolean } {
  const messages: LlhttpMessage[] = [];
  const parser = new HTTPParser();
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {});
  // After trailers the next head comes in two parts: fields and target first.
  let early: string[] = [];
  let earlyTarget = '';
  parser[HTTPParser.kOnHeaders] = (fields: string[], target: string): void => {
    early.push(...fields);
    earlyTarget += target;
  };
  parser[HTTPParser.kOnHeadersComplete] = (
    _major: number,
    _minor: number,
    fields: string[] | undefined,
    method: number,
    url: string | undefined,
    status: number,
    reason: string,
    _upgrade: boolean,
    keepAlive: boolean,
  ): number => {
    messages.push({
      method: methods[method] ?? '',
      target: url ?? earlyTarget,
      status,
      reason,
      headers: pairs(fields ?? early),
      keepAlive,
      body: '',
      trailers: null,
      isComplete: false,
    });
    early = [];
    earlyTarget = '';
    return 0;
  };
  parser[HTTPParser.kOnBody] = (data: Uint8Array): void => {
    const message = messages.at(-1);
    if (message !== undefined) message.body += Buffer.from(data).toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = (): void => {
    const message = messages.at(-1);
    if (message === undefined) return;
    message.isComplete = true;
    if (early.length > 0) message.trailers = pairs(early);
    early = [];
    earlyTarget = '';
  };
  const result = parser.execute(Buffer.from(bytes));
  const isRead = !(result instanceof Error);
  const isValid = isRead && (!ends || !(parser.finish() instanceof Error));
  return { messages, isValid };
}

function pairs(flat: readonly string[]): (readonly [string, string])[] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] as string, flat[2 * i + 1] as string]);
}
