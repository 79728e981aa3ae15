/** Node's own HTTP parser as a second opinion: the native build of llhttp (9.4 in Node 24), strict, as `node:http` drives it. */
import { type Http1Oracle, isBodylessNow, type OracleDraft, type OracleOptions, type OracleResult } from './http1-oracle.ts';
import { loadNodeHttpParser, type NodeHttpParser, type NodeHttpParserError, type NodeHttpParserModule } from './node-http-parser.ts';

/** Node's default of 16 KiB would be an opinion on limits; what a head may cost is not the oracle's matter. */
const MAX_HEADER_BYTES = 0x4000_0000;
const SKIP_BODY = 1;

/** A strict llhttp as Node has it built in. */
export class NodeParserOracle implements Http1Oracle {
  readonly #node: NodeHttpParserModule;

  /** @throws {Error} if this Node hides its parser */
  constructor() {
    this.#node = loadNodeHttpParser();
  }

  /** @inheritdoc */
  parse(data: Uint8Array, options: OracleOptions): OracleResult {
    const { HTTPParser } = this.#node;
    const messages: OracleDraft[] = [];
    const parser = new HTTPParser();
    try {
      parser.initialize(options.kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {}, MAX_HEADER_BYTES);
      this.#listen(parser, messages, options);
      const error = readAll(parser, data) ?? (options.isEnded === true ? nameOf(parser.finish()) : null);
      return { messages, error };
    } finally {
      parser.close();
    }
  }

  #listen(parser: NodeHttpParser, messages: OracleDraft[], options: OracleOptions): void {
    const { HTTPParser, methods } = this.#node;
    const isRequest = options.kind === 'request';
    // Of more than 32 fields, of long heads and of trailers, Node tells in parts, ahead of the head or of the end.
    let early: string[] = [];
    let earlyTarget = '';
    parser[HTTPParser.kOnHeaders] = (fields: readonly string[], target: string): void => {
      early.push(...fields);
      earlyTarget += target;
    };
    parser[HTTPParser.kOnHeadersComplete] = (
      major: number,
      minor: number,
      fields: readonly string[] | undefined,
      method: number,
      target: string | undefined,
      status: number,
      reason: string,
      _isUpgrade: boolean,
      keepAlive: boolean,
    ): number => {
      messages.push({
        start: isRequest ? (methods[method] ?? '') : String(status),
        rest: isRequest ? (target ?? earlyTarget) : reason,
        version: `${major}.${minor}`,
        fields: fieldLines(fields ?? early),
        trailers: [],
        body: '',
        keepAlive,
        isComplete: false,
      });
      early = [];
      earlyTarget = '';
      return isBodylessNow(messages, options) ? SKIP_BODY : 0;
    };
    parser[HTTPParser.kOnBody] = (data: Uint8Array): void => {
      const message = messages.at(-1);
      if (message !== undefined) message.body += Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('latin1');
    };
    parser[HTTPParser.kOnMessageComplete] = (): void => {
      const message = messages.at(-1);
      if (message === undefined) return;
      message.isComplete = true;
      message.trailers = fieldLines(early);
      early = [];
      earlyTarget = '';
    };
  }
}

/** @returns the name of the error, null if there was none */
function readAll(parser: NodeHttpParser, data: Uint8Array): string | null {
  let at = 0;
  while (at < data.byteLength) {
    const read = parser.execute(Buffer.from(data.buffer, data.byteOffset + at, data.byteLength - at));
    if (typeof read !== 'number') return nameOf(read);
    // It stops behind a request for an upgrade and goes on from there. Where it then stands still, there is an error whose name it does not tell.
    if (read <= 0) return 'UNKNOWN';
    at += read;
  }
  return null;
}

function nameOf(error: NodeHttpParserError | undefined): string | null {
  return error === undefined ? null : (error.code ?? 'UNKNOWN').replace(/^HPE_/, '');
}

function fieldLines(flat: readonly string[]): readonly string[] {
  return Array.from({ length: flat.length / 2 }, (_, index) => `${flat[2 * index]}: ${flat[2 * index + 1]}`);
}
