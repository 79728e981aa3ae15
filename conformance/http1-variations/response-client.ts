/** A client that sends one request, reads up to the end of the connection, and takes apart what came by code of its own, with strings. */
import { connect } from 'node:net';
import { type Line, trimBlanks } from './request-case.ts';

/** A final response as the client sees it. */
export interface SeenResponse {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Line[];
  readonly body: string;
  readonly trailers: readonly Line[];
  readonly isComplete: boolean;
}

/** What came. */
export interface SeenAnswer {
  readonly interim: readonly number[];
  readonly final: SeenResponse | null;
  /** Bytes that belong to no response. */
  readonly rest: string;
  readonly isClosed: boolean;
}

/** Asks once. The request tells the server to close behind its answer. */
export async function ask(port: number, method: string, target: string, quietMs: number): Promise<SeenAnswer> {
  const head = `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close, TE\r\nTE: trailers\r\n${method === 'GET' || method === 'HEAD' ? '' : 'Content-Length: 0\r\n'}\r\n`;
  return await new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let text = '';
    let quiet = setTimeout(() => finish(false), quietMs);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      clearTimeout(quiet);
      quiet = setTimeout(() => finish(false), quietMs);
    });
    socket.on('error', () => finish(true));
    socket.on('close', () => finish(true));
    socket.write(head, 'latin1');

    function finish(isClosed: boolean): void {
      clearTimeout(quiet);
      socket.destroy();
      resolve({ ...readAnswer(text, method), isClosed });
    }
  });
}

const STATUS_LINE = /^HTTP\/1\.1 (\d{3})(?: ([^\r\n]*))?$/;

/** Takes apart all that came on a connection. */
export function readAnswer(text: string, method: string): Omit<SeenAnswer, 'isClosed'> {
  const interim: number[] = [];
  let rest = text;
  for (;;) {
    const end = rest.indexOf('\r\n\r\n');
    if (end < 0) return { interim, final: null, rest };
    const [first = '', ...lines] = rest.slice(0, end).split('\r\n');
    const [, code, reason = ''] = STATUS_LINE.exec(first) ?? [];
    if (code === undefined) return { interim, final: null, rest };
    const status = Number(code);
    rest = rest.slice(end + 4);
    if (status < 200 && status !== 101) {
      interim.push(status);
      continue;
    }
    const fields = lines.map(parseLine);
    const body = readBody(rest, status, method, fields);
    return { interim, final: { status, reason, fields, ...body }, rest: rest.slice(body.end) };
  }
}

interface Body {
  readonly body: string;
  readonly trailers: readonly Line[];
  readonly isComplete: boolean;
  readonly end: number;
}

function readBody(text: string, status: number, method: string, fields: readonly Line[]): Body {
  const valueOf = (wanted: string): string | undefined => fields.find(([name]) => name === wanted)?.[1];
  if (method === 'HEAD' || status === 101 || status === 204 || status === 304) return { body: '', trailers: [], isComplete: true, end: 0 };
  if (valueOf('transfer-encoding') === 'chunked') return readChunks(text);
  const length = Number(valueOf('content-length') ?? text.length);
  return { body: text.slice(0, length), trailers: [], isComplete: text.length >= length, end: Math.min(length, text.length) };
}

function readChunks(text: string): Body {
  let at = 0;
  let body = '';
  for (;;) {
    const [line = '', digits = ''] = /^([0-9a-f]+)\r\n/i.exec(text.slice(at, at + 20)) ?? [];
    const size = Number.parseInt(digits, 16);
    if (line === '' || text.length < at + line.length + size) return { body, trailers: [], isComplete: false, end: text.length };
    at += line.length;
    if (size === 0) {
      const end = text.startsWith('\r\n', at) ? at : text.indexOf('\r\n\r\n', at) + 2;
      const lines = end > at ? text.slice(at, end - 2).split('\r\n') : [];
      return { body, trailers: lines.map(parseLine), isComplete: end >= at && text.startsWith('\r\n', end), end: end + 2 };
    }
    body += text.slice(at, at + size);
    at += size + 2;
  }
}

function parseLine(line: string): Line {
  const colon = line.indexOf(':');
  return [line.slice(0, colon).toLowerCase(), trimBlanks(line.slice(colon + 1))];
}
