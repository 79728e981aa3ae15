/**
 * What the matrix measures, and what has to hold.
 *
 * | scenario | in | out | the subject |
 * |---|---|---|---|
 * | h1-hooks | HTTP/1 | HTTP/1 | a program on @ferrata/proxy with three hooks, no log |
 * | h1-log | HTTP/1 | HTTP/1 | `ferrata reverse` with its access log |
 * | tls-h1 | HTTP/1 over TLS | HTTP/1 | `ferrata reverse` |
 * | h2tls-h1 | HTTP/2 over TLS | HTTP/1 | `ferrata reverse` |
 * | h2c-h2c | HTTP/2 | HTTP/2 | `ferrata reverse` |
 * | grpc-unary | HTTP/2, a POST | HTTP/2, with trailers | `ferrata reverse` |
 * | h1-1m | HTTP/1 | HTTP/1, 1 MiB | `ferrata reverse` |
 */
import { GRPC, HTTP2_PROXIES } from '../../http2/scenarios.ts';
import { ferrata, ferrataHooks, haproxy, httpProxy3, type MatrixContender, nginx, withoutLog } from './proxies.ts';

/** What makes the load of a scenario. */
export type MatrixLoad =
  /** wrk, each connection with one request at a time. */
  | { readonly kind: 'http1'; readonly connections: number }
  /** h2load, each connection with so many streams at a time; `requests` are those of one run, at most 9 900 for a connection. */
  | { readonly kind: 'http2'; readonly connections: number; readonly streams: number; readonly requests: number };

/** What the subject may cost, in CPU time per request, as a multiple of another's. */
export interface MatrixBar {
  readonly than: string;
  readonly limit: number;
}

/** One table. */
export interface MatrixScenario {
  readonly name: string;
  readonly title: string;
  readonly load: MatrixLoad;
  readonly origin: 'http1' | 'http2' | 'grpc';
  /** Of the requests. */
  readonly path: string;
  /** Of an answer's body. */
  readonly bytes: number;
  readonly subject: string;
  readonly bars: readonly MatrixBar[];
  readonly contenders: readonly MatrixContender[];
}

/** Whose throughput sets the rate at which latencies are compared, and which share of it the rate is. */
export const PACE = { setter: 'nginx', share: 0.7 } as const;

/** At least 2.5 times better. */
const THAN_HTTP_PROXY_3: MatrixBar = { than: 'http-proxy-3', limit: 0.4 };
const HTTP1_LOAD: MatrixLoad = { kind: 'http1', connections: 64 };
const HTTP2_LOAD: MatrixLoad = { kind: 'http2', connections: 8, streams: 32, requests: 8 * 9_900 };
const SMALL = { path: '/100', bytes: 100 } as const;
const LARGE = { path: '/1m', bytes: 2 ** 20 } as const;
const TO_HTTP2 = { load: HTTP2_LOAD, subject: 'ferrata', contenders: HTTP2_PROXIES.map(withoutLog) } as const;

/** All of them, in the order of the tables. */
export const MATRIX: readonly MatrixScenario[] = [
  {
    name: 'h1-hooks',
    title: 'HTTP/1 in and out, 100 bytes, three hooks, no log',
    ...SMALL,
    load: HTTP1_LOAD,
    origin: 'http1',
    subject: 'ferrata-hooks',
    bars: [{ than: 'nginx', limit: 1.3 }, THAN_HTTP_PROXY_3],
    contenders: [
      ferrataHooks(),
      ferrata('plain'),
      nginx('plain', { hasHooks: true }),
      haproxy('plain', { hasHooks: true }),
      httpProxy3('plain'),
    ],
  },
  {
    name: 'h1-log',
    title: 'HTTP/1 in and out, 100 bytes, an access log of JSON in a file',
    ...SMALL,
    load: HTTP1_LOAD,
    origin: 'http1',
    subject: 'ferrata',
    bars: [{ than: 'nginx', limit: 1.45 }],
    contenders: [
      ferrata('plain', { hasLog: true }),
      nginx('plain', { log: 'stock' }),
      nginx('plain', { name: 'nginx-buffered-log', log: 'buffered' }),
    ],
  },
  {
    name: 'tls-h1',
    title: 'HTTP/1 over TLS in, HTTP/1 out, 100 bytes',
    ...SMALL,
    load: HTTP1_LOAD,
    origin: 'http1',
    subject: 'ferrata',
    bars: [{ than: 'nginx', limit: 1.45 }, THAN_HTTP_PROXY_3],
    contenders: [ferrata('tls'), nginx('tls'), haproxy('tls'), httpProxy3('tls')],
  },
  {
    name: 'h2tls-h1',
    title: 'HTTP/2 over TLS in, HTTP/1 out, 100 bytes',
    ...SMALL,
    load: HTTP2_LOAD,
    origin: 'http1',
    subject: 'ferrata',
    bars: [{ than: 'nginx', limit: 1.3 }],
    contenders: [ferrata('h2-tls'), nginx('h2-tls'), haproxy('h2-tls')],
  },
  {
    name: 'h2c-h2c',
    title: 'HTTP/2 in and out, 100 bytes',
    ...SMALL,
    ...TO_HTTP2,
    origin: 'http2',
    bars: [
      { than: 'nginx', limit: 0.25 },
      { than: 'haproxy', limit: 1.5 },
    ],
  },
  {
    name: 'grpc-unary',
    title: `gRPC, unary, ${GRPC.request.length} bytes there and ${GRPC.answer.length} back, status in trailers`,
    path: GRPC.path,
    bytes: GRPC.answer.length,
    ...TO_HTTP2,
    origin: 'grpc',
    bars: [
      { than: 'nginx', limit: 0.25 },
      { than: 'haproxy', limit: 1.5 },
    ],
  },
  {
    name: 'h1-1m',
    title: 'HTTP/1 in and out, 1 MiB',
    ...LARGE,
    load: HTTP1_LOAD,
    origin: 'http1',
    subject: 'ferrata',
    bars: [{ than: 'nginx', limit: 0.9 }, THAN_HTTP_PROXY_3],
    contenders: [
      ferrata('plain'),
      nginx('plain'),
      nginx('plain', { name: 'nginx-large-buffers', hasLargeBuffers: true }),
      haproxy('plain'),
      httpProxy3('plain'),
    ],
  },
];
