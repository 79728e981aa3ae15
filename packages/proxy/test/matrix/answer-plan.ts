/** Answers of HTTP/1 that break its rules, as bytes, and what the client may have of each: U11 to U14 of the fault list. */
import type { Outcome } from '@ferrata/proxy';
import type { Ending } from './client-end.ts';
import type { Cell } from './ends.ts';

/** What the rules say. */
export interface Expected {
  readonly status: number;
  readonly ending: Ending;
  /** Null: the proxy's own words. */
  readonly body: string | null;
  readonly outcome: Outcome;
  /** The connection is told of as dirty: more has come on it than an answer. */
  readonly isDirty: boolean;
}

export interface AnswerRow {
  readonly what: string;
  readonly method: string;
  /** What the origin writes, at once. */
  readonly bytes: string;
  readonly expected: Expected;
}

/** Never to be seen by a client. */
export const EVIL = 'evil';

const refused: Expected = { status: 502, ending: 'whole', body: null, outcome: 'upstream_error', isDirty: false };

/** Bytes that belong to no answer: the connection is dropped, and nothing of them goes on. */
const dirty = (body: string, status = 200): Expected => ({ status, ending: 'whole', body, outcome: 'completed', isDirty: true });
const cut = (body: string): Expected => ({ status: 200, ending: 'cut', body, outcome: 'upstream_error', isDirty: false });

const INVALID: Readonly<Record<string, string>> = {
  'Content-Length with Transfer-Encoding':
    'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nevil',
  'a list of two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 4, 5\r\n\r\nevil',
  'a length with a sign': 'HTTP/1.1 200 OK\r\nContent-Length: +4\r\n\r\nevil',
  'a negative length': 'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nevil',
  'a length in hexadecimal': 'HTTP/1.1 200 OK\r\nContent-Length: 0x4\r\n\r\nevil',
  'lines that end with LF alone': 'HTTP/1.1 200 OK\nContent-Length: 4\n\nevil',
  'a space before a colon': 'HTTP/1.1 200 OK\r\nContent-Length : 4\r\n\r\nevil',
  'a NUL in a field': 'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 4\r\n\r\nevil',
  'chunked that is not the last coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n4\r\nevil\r\n0\r\n\r\n',
  'a head of 100 kB': `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}\r\n\r\nevil`,
  '10 000 fields': `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(10_000)}\r\nevil`,
  'no HTTP at all': 'SSH-2.0-evil\r\n\r\n',
  'HTTP/2 in the face of HTTP/1': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nevil',
  '101 that nobody has asked for (U11)': 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: evil\r\n\r\nevil',
  'a status of two digits': 'HTTP/1.1 20 OK\r\nContent-Length: 4\r\n\r\nevil',
};

const BAD_CHUNKS: Readonly<Record<string, string>> = {
  'a size that is none': 'evil\r\n',
  'a size with a sign': '+4\r\nevil\r\n',
  'a size beyond 2^53': 'fffffffffffffffff\r\nevil',
  'a size in words': 'two\r\nevil',
  'an extension without an end': `4;${'x'.repeat(100_000)}`,
  'trailers without a colon': '0\r\nevil\r\n\r\n',
};

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

export const ANSWER_ROWS: readonly AnswerRow[] = [
  // U12
  { what: 'bytes behind an answer', method: 'GET', bytes: `${OK}evil`, expected: dirty('ok') },
  {
    what: 'a second answer behind an answer',
    method: 'GET',
    bytes: `${OK}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`,
    expected: dirty('ok'),
  },
  {
    what: 'bytes behind the last chunk',
    method: 'GET',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nevil',
    expected: dirty('ok'),
  },
  // U13
  ...Object.entries(INVALID).map(([what, bytes]) => ({ what, method: 'GET', bytes, expected: refused })),
  ...Object.entries(BAD_CHUNKS).map(([what, chunk]) => ({
    what: `behind a chunk: ${what}`,
    method: 'GET',
    bytes: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n${chunk}`,
    expected: cut('ok'),
  })),
  {
    what: 'no CRLF behind a chunk',
    method: 'GET',
    bytes: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokevil\r\n',
    expected: cut('ok'),
  },
  // U14
  {
    what: 'a body behind an answer to HEAD',
    method: 'HEAD',
    bytes: 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil',
    expected: dirty(''),
  },
  { what: 'a body behind 204', method: 'GET', bytes: 'HTTP/1.1 204 No Content\r\n\r\nevil', expected: dirty('', 204) },
  {
    what: 'a body behind 304',
    method: 'GET',
    bytes: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil',
    expected: dirty('', 304),
  },
];

/** A row in a cell. */
export interface AnswerCase {
  readonly name: string;
  readonly cell: Cell;
  readonly row: AnswerRow;
}

/** All of them, side by side. */
export function answerBatches(cell: Cell): AnswerCase[][] {
  return [ANSWER_ROWS.map((row) => ({ name: `${cell.name}: ${row.what}`, cell, row }))];
}
