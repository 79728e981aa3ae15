/** The parser of Node itself, as an independent reader of requests. */
import { createRequire } from 'node:module';

interface NodeParser {
  initialize(type: number, resource: object): void;
  execute(bytes: Uint8Array): number | Error;
  [callback: number]: unknown;
}

interface NodeParserConstructor {
  new (): NodeParser;
  readonly REQUEST: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

/** The deprecation of `_http_common` is known; there is no other way to Node's parser. */
function load(): { readonly HTTPParser: NodeParserConstructor; readonly methods: readonly string[] } {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return createRequire(import.meta.url)('_http_common') as ReturnType<typeof load>;
  } finally {
    process.emitWarning = emitWarning;
  }
}

const { HTTPParser, methods } = load();

/** A request as llhttp reads it. */
export interface LlhttpRequest {
  method: string;
  target: string;
  fields: string[];
  trailers: string[];
  body: string;
  isComplete: boolean;
}

/** @returns the requests in `bytes`, or null if llhttp finds an error in them */
export function llhttpRequests(bytes: Uint8Array): LlhttpRequest[] | null {
  const requests: LlhttpRequest[] = [];
  const parser = new HTTPParser();
  parser.initialize(HTTPParser.REQUEST, {});
  // Of more than 32 fields, and of trailers, llhttp tells in parts.
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
    target: string | undefined,
  ): number => {
    requests.push({
      method: methods[method] ?? '',
      target: target ?? earlyTarget,
      fields: fields ?? early,
      trailers: [],
      body: '',
      isComplete: false,
    });
    early = [];
    earlyTarget = '';
    return 0;
  };
  parser[HTTPParser.kOnBody] = (data: Uint8Array): void => {
    const request = requests.at(-1);
    if (request !== undefined) request.body += Buffer.from(data).toString('latin1');
  };
  parser[HTTPParser.kOnMessageComplete] = (): void => {
    const request = requests.at(-1);
    if (request === undefined) return;
    request.isComplete = true;
    request.trailers = early;
    early = [];
  };
  return parser.execute(Buffer.from(bytes)) instanceof Error ? null : requests;
}
