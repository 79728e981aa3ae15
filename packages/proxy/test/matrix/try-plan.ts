/**
 * What origins do to a request before they answer, and whether it is sent again: U3, U4 and U16 of the fault list, for each class of retry.
 *
 * @see RFC 9110 §9.2.2 · RFC 9113 §6.5, §6.8, §8.7, §9.2.2
 */

import { FrameType, Http2ErrorCode, SettingId } from '@ferrata/http2-framing';
import type { Outcome } from '@ferrata/proxy';
import type { H2Wire } from '../h2-wire.ts';
import { type Cell, hasTls, type Protocol, type Sampling } from './ends.ts';
import type { OriginRequest } from './origin-end.ts';
import { type Answer, answerScript } from './scripts.ts';

/** What is seen of it by the client, the log and the origin. */
export interface Expected {
  readonly status: number;
  readonly outcome: Outcome;
  /** How often it has come to the origin. */
  readonly tries: number;
}

/** What an origin does with a request that has come; `h2` is null over HTTP/1. */
export type Act = (request: OriginRequest, h2: H2Wire | null) => void;

/** One row of the table. */
export interface TryRow {
  readonly what: string;
  readonly protocol: Protocol;
  readonly method: string;
  /** The connection has served another request before. */
  readonly isReused: boolean;
  /** Done at the first try; later ones are answered. */
  readonly act: Act;
  /** Done when the client has sent the rest of its body. Default: nothing. */
  readonly later?: Act;
  readonly expected: Expected;
}

export const SERVED: Answer = { status: 200, hasInterim: false, framing: 'length', pieces: ['served'], trailers: [] };

const once: Expected = { status: 200, outcome: 'completed', tries: 1 };
const again: Expected = { status: 200, outcome: 'completed', tries: 2 };
const failed: Expected = { status: 502, outcome: 'upstream_error', tries: 1 };
const late: Expected = { status: 504, outcome: 'timeout', tries: 1 };

const IDEMPOTENT = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'];
const OTHERS = ['POST', 'PATCH'];
const METHODS = [...IDEMPOTENT, ...OTHERS];

function serve(request: OriginRequest): void {
  // RFC 9110 §9.3.2: no body behind an answer to HEAD.
  request.play(answerScript('http2', request.method === 'HEAD' ? { ...SERVED, framing: 'none', pieces: [] } : SERVED));
}

/** GOAWAY says that it will be answered, and so it is. */
const COVERED: Readonly<Record<string, Act>> = {
  'GOAWAY that covers it, and an answer': (request, h2) => {
    h2?.goaway(request.streamId);
    serve(request);
  },
};

/** What shows that the origin has not read the request, or will not: sent again whatever the method is. */
const UNREAD: Readonly<Record<string, Act>> = {
  'GOAWAY that leaves it out': ({ streamId }, h2) => void h2?.goaway(Math.max(streamId - 2, 0)),
  REFUSED_STREAM: ({ streamId }, h2) => void h2?.resetStream(streamId, Http2ErrorCode.refusedStream),
};

/** What shows nothing: sent again where it may be done twice. */
const UNKNOWN: Readonly<Record<string, Act>> = {
  'a reset': (request) => request.fault('reset'),
  'the end': (request) => request.fault('end'),
};

const UNKNOWN_HTTP2: Readonly<Record<string, Act>> = {
  ...UNKNOWN,
  'GOAWAY that covers it, and the end': ({ streamId }, h2) => void h2?.goaway(streamId).end(),
  'GOAWAY with an error that covers it': ({ streamId }, h2) => void h2?.goaway(streamId, Http2ErrorCode.internalError).end(),
  'RST_STREAM INTERNAL_ERROR': ({ streamId }, h2) => void h2?.resetStream(streamId, Http2ErrorCode.internalError),
  'RST_STREAM CANCEL': ({ streamId }, h2) => void h2?.resetStream(streamId, Http2ErrorCode.cancel),
};

/** What breaks the protocol shows nothing either. */
const BROKEN: Readonly<Record<string, Act>> = {
  'DATA on no stream': (request) => request.write(frame(FrameType.data, 0, 0)),
  'HEADERS without an end, and then another frame': (request) => {
    request.write(Uint8Array.from([...frame(FrameType.headers, 0, request.streamId), ...frame(FrameType.data, 0, request.streamId)]));
  },
  'a frame that is too large': (request) => request.write(frame(FrameType.data, 0, request.streamId, 0xff_ffff)),
  'RST_STREAM PROTOCOL_ERROR': ({ streamId }, h2) => void h2?.resetStream(streamId, Http2ErrorCode.protocolError),
  'RST_STREAM HTTP_1_1_REQUIRED': ({ streamId }, h2) => void h2?.resetStream(streamId, Http2ErrorCode.http11Required),
};

/** The nine bytes of a frame's head (RFC 9113 §4.1); no payload follows. */
function frame(type: number, flags: number, streamId: number, length = 0): Uint8Array {
  return Uint8Array.from([length >>> 16, (length >>> 8) & 255, length & 255, type, flags, 0, 0, streamId >>> 8, streamId & 255]);
}

function rowsOf(protocol: Protocol, acts: Readonly<Record<string, Act>>, expectedOf: (method: string) => Expected): TryRow[] {
  return Object.entries(acts).flatMap(([what, act]) =>
    METHODS.flatMap((method) => [false, true].map((isReused) => ({ what, protocol, method, isReused, act, expected: expectedOf(method) }))),
  );
}

const byMethod = (method: string): Expected => (IDEMPOTENT.includes(method) ? again : failed);

/** An upload of two pieces: the origin lets the first one through, and the window is what the row says when the second one comes. */
const closeWindow: Act = (_request, h2) => void h2?.settings([SettingId.initialWindowSize, 0]);
const upload = { protocol: 'http2', method: 'PUT', isReused: false } as const;

const WINDOWS: readonly TryRow[] = [
  {
    ...upload,
    what: 'a window that is lowered and then opened',
    act: closeWindow,
    later: (request, h2) => {
      h2?.window(request.streamId, 1_000);
    },
    expected: once,
  },
  { ...upload, what: 'a window that stays closed for ever', act: closeWindow, expected: late },
  {
    ...upload,
    what: 'fewer streams than are open',
    act: (_request, h2) => void h2?.settings([SettingId.maxConcurrentStreams, 0]),
    expected: once,
  },
];

export const ROWS: readonly TryRow[] = [
  ...rowsOf('http1', UNKNOWN, byMethod),
  ...rowsOf('http2', UNREAD, () => again),
  ...rowsOf('http2', COVERED, () => once),
  ...rowsOf('http2', UNKNOWN_HTTP2, byMethod),
  ...rowsOf('http2', BROKEN, byMethod),
  ...WINDOWS,
];

/** A row in a cell. */
export interface TryCase {
  readonly name: string;
  readonly cell: Cell;
  readonly row: TryRow;
}

/** Of the rows, one in so many is run in cells with TLS. */
const TLS_STRIDE = 4;

/** All rows that a cell can have, side by side. */
export function tryBatches(cell: Cell, { seed }: Sampling): TryCase[][] {
  const rows = ROWS.filter(({ protocol }, index) => protocol === cell.up.protocol && (!hasTls(cell) || (index + seed) % TLS_STRIDE === 0));
  const nameOf = ({ what, method, isReused }: TryRow): string =>
    `${cell.name}: ${method} on ${isReused ? 'a reused' : 'a fresh'} connection: ${what}`;
  return [rows.map((row) => ({ name: nameOf(row), cell, row }))];
}
