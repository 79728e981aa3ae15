/**
 * What is measured of HTTP/2, and beside whom.
 *
 * | scenario | the subject | its peers |
 * |---|---|---|
 * | local | a server of @ferrata/http | node:http2's stream API, nginx, haproxy, nghttpd, each answering by itself |
 * | h2-to-h2 | `ferrata reverse --to h2c://…` | nginx `grpc_pass` (all that nginx has), haproxy, nghttpx |
 * | h2-to-h1 | `ferrata reverse --to http://…` | nginx, haproxy, nghttpx |
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasCommand } from '@ferrata/tools/peers';
import type { Contender } from '../proxy/contenders.ts';
import { haproxyToOrigin, startHaproxyWith } from '../proxy/haproxy.ts';
import { NGINX_MANY_REQUESTS, NGINX_TO_HTTP2_ORIGIN, NGINX_TO_ORIGIN, nginxUpstream, startNginxWith } from '../proxy/nginx.ts';
import { startOrigin } from '../proxy/origin.ts';
import { findFreePort } from '../proxy/ports.ts';
import { parseSize } from '../proxy/sizes.ts';
import { FERRATA_COMMAND, type RunningProxy, type StartContext, startCommand, startNode } from '../proxy/start.ts';
import { bodyOf } from './programs/bodies.ts';

/** Where requests of a scenario go in the end. */
export type OriginKind = 'none' | 'http1' | 'http2' | 'grpc';

/** What the subject may cost, in CPU time per request, as a multiple of another's. */
export interface ScenarioBar {
  readonly than: string;
  readonly limit: number;
}

/** One table. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  /** The name of the body's size, which is the path too. */
  readonly size: string;
  readonly connections: number;
  readonly streams: number;
  /** Of one run of h2load. */
  readonly requests: number;
  readonly origin: OriginKind;
  readonly subject: string;
  readonly bars: readonly ScenarioBar[];
  readonly contenders: readonly Contender[];
}

const SERVER = fileURLToPath(new URL('./programs/ferrata-server.ts', import.meta.url));
const NODE_SERVER = fileURLToPath(new URL('./programs/node-http2.ts', import.meta.url));
const MAX_CONNECTIONS = 4_096;
/** The load of small responses; a server may close each connection after 10 000. */
const SMALL = { size: '100', connections: 8, streams: 32, requests: 8 * 9_900 } as const;

const local: readonly Contender[] = [
  program('ferrata', 'a server of @ferrata/http', SERVER),
  program('node:http2', 'stream API of node:http2', NODE_SERVER),
  command('nginx', 'nginx', '1 worker, `return 200` up to 1 KiB, a file above', (context) => startNginx(context, localNginx)),
  command('haproxy', 'haproxy', '1 thread, `http-request return`', (context) => startHaproxy(context, localHaproxy)),
  command('nghttpd', 'nghttpd', "nghttp2's own server, 1 worker, files", (context) => startNghttpd(context)),
];

/** Proxies with HTTP/2 on both sides. */
export const HTTP2_PROXIES: readonly Contender[] = [
  ferrataReverse('h2c'),
  command('nginx', 'nginx', '1 worker, `grpc_pass`, upstream keep-alive', (context) =>
    startNginx(context, proxyNginx(NGINX_TO_HTTP2_ORIGIN)),
  ),
  command('haproxy', 'haproxy', '1 thread, `proto h2` both sides', (context) =>
    startHaproxy(context, () => haproxyToOrigin(context.to, { serverOptions: 'proto h2' })),
  ),
  command('nghttpx', 'nghttpx', '1 worker, `proto=h2`', (context) => startNghttpx(context, ';proto=h2')),
];

const toHttp1: readonly Contender[] = [
  ferrataReverse('http'),
  command('nginx', 'nginx', '1 worker, upstream keep-alive', (context) => startNginx(context, proxyNginx(NGINX_TO_ORIGIN))),
  command('haproxy', 'haproxy', '1 thread, `http-reuse always`', (context) => startHaproxy(context, () => haproxyToOrigin(context.to))),
  command('nghttpx', 'nghttpx', '1 worker', (context) => startNghttpx(context, '')),
];

/** All of them, in the order of the tables. */
export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'local',
    title: 'small responses answered locally',
    ...SMALL,
    origin: 'none',
    subject: 'ferrata',
    bars: [
      { than: 'node:http2', limit: 0.4 },
      { than: 'nginx', limit: 0.4 },
    ],
    contenders: local,
  },
  {
    name: 'h2-to-h2',
    title: 'HTTP/2 in, HTTP/2 out, small responses',
    ...SMALL,
    origin: 'http2',
    subject: 'ferrata',
    bars: [
      { than: 'nginx', limit: 0.25 },
      { than: 'haproxy', limit: 1.5 },
    ],
    contenders: HTTP2_PROXIES,
  },
  {
    name: 'h2-to-h1',
    title: 'HTTP/2 in, HTTP/1 out, small responses',
    ...SMALL,
    origin: 'http1',
    subject: 'ferrata',
    bars: [{ than: 'nginx', limit: 1.1 }],
    contenders: toHttp1,
  },
  {
    name: 'local-1m',
    title: '1 MiB responses answered locally',
    size: '1m',
    connections: 4,
    streams: 4,
    requests: 2_000,
    origin: 'none',
    subject: 'ferrata',
    bars: [{ than: 'node:http2', limit: 1 }],
    // haproxy answers from a buffer only.
    contenders: local.filter((one) => one.name !== 'haproxy'),
  },
];

/**
 * Starts the origin of a scenario, on the CPUs of the load.
 *
 * @param size the name of the body's size, for an origin of HTTP/1
 * @returns its URL; empty where nobody is asked
 */
export async function startOriginOf(
  kind: OriginKind,
  size: string,
  context: Omit<StartContext, 'to' | 'cores'> & { readonly loadCores: string },
): Promise<string> {
  const { processes, loadCores } = context;
  const own = { ...context, to: '', cores: loadCores };
  switch (kind) {
    case 'none':
      return '';
    case 'http1':
      return (await startOrigin(processes, loadCores, [parseSize(size)])).url;
    case 'http2':
      // nghttpd answers in some 3 µs, so that it is not what limits the proxies.
      return (await startNghttpd(own)).url;
    case 'grpc':
      return (await startGrpcOrigin(own)).url;
  }
}

/** A unary method of gRPC: one message there, one back, and the status in trailers. */
export const GRPC = {
  path: '/bench.Echo/Unary.grpc',
  fields: { 'content-type': 'application/grpc', te: 'trailers' },
  /** Messages with their prefix of five bytes: not compressed, length. */
  request: grpcMessage(32),
  answer: grpcMessage(100),
  trailers: { 'grpc-status': '0' },
} as const;

/** nghttpd as an origin that answers the method of gRPC: to it the message is a file. */
async function startGrpcOrigin(context: StartContext): Promise<RunningProxy> {
  const folder = context.processes.makeFolder('grpc');
  const file = join(folder, GRPC.path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, GRPC.answer);
  const mimeTypes = join(folder, 'mime.types');
  writeFileSync(mimeTypes, `${GRPC.fields['content-type']} grpc\n`);
  const trailers = Object.entries(GRPC.trailers).map(([name, value]) => `--trailer=${name}: ${value}`);
  return startNghttpd(context, ['-d', folder, `--mime-types-file=${mimeTypes}`, '--no-content-length', ...trailers]);
}

function grpcMessage(bytes: number): Uint8Array {
  const message = new Uint8Array(5 + bytes).fill(0x61);
  new DataView(message.buffer).setUint8(0, 0);
  new DataView(message.buffer).setUint32(1, bytes);
  return message;
}

function program(name: string, note: string, script: string): Contender {
  return { name, note, isDefault: true, missing: () => null, start: (context) => startNode(name, [script], context) };
}

function ferrataReverse(scheme: 'h2c' | 'http'): Contender {
  return {
    name: 'ferrata',
    note: `ferrata reverse --to ${scheme}://…, as a user starts it`,
    isDefault: true,
    missing: () => null,
    start: (context) => {
      const to = context.to.replace(/^http/, scheme);
      return startNode('ferrata', [FERRATA_COMMAND, 'reverse', '--listen', 'http://127.0.0.1:0', '--to', to], context);
    },
  };
}

function command(name: string, executable: string, note: string, start: Contender['start']): Contender {
  return { name, note, isDefault: true, missing: () => (hasCommand(executable) ? null : `${executable} is not installed`), start };
}

// ---- nginx -------------------------------------------------------------------------------------------------------------------------

type ServerLines = (folder: string, to: string) => { readonly http: string; readonly server: string };

async function startNginx(context: StartContext, lines: ServerLines): Promise<RunningProxy> {
  return await startNginxWith((folder) => {
    const { http, server } = lines(folder, context.to);
    return {
      connections: MAX_CONNECTIONS,
      clientRequests: NGINX_MANY_REQUESTS,
      http: `open_file_cache max=64 inactive=1h; http2_max_concurrent_streams 128; ${http}`,
      listen: 'http2',
      server: `default_type text/plain; ${server}`,
    };
  }, context);
}

function localNginx(folder: string): ReturnType<ServerLines> {
  writeBodies(folder);
  return { http: '', server: `root ${folder}; location = /100 { return 200 '${'a'.repeat(100)}'; }` };
}

function proxyNginx(location: string): ServerLines {
  return (_folder, to) => ({ http: nginxUpstream(to, { requests: NGINX_MANY_REQUESTS }), server: `location / { ${location} }` });
}

// ---- haproxy -----------------------------------------------------------------------------------------------------------------------

async function startHaproxy(context: StartContext, frontend: (folder: string) => string): Promise<RunningProxy> {
  return await startHaproxyWith(
    (folder) => ({ connections: MAX_CONNECTIONS, global: 'tune.bufsize 32768', bind: 'proto h2', frontend: frontend(folder) }),
    context,
  );
}

function localHaproxy(folder: string): string {
  writeBodies(folder);
  return `  http-request return status 200 content-type text/plain file ${folder}/100`;
}

// ---- nghttp2 -----------------------------------------------------------------------------------------------------------------------

async function startNghttpd(context: StartContext, serving: readonly string[] | null = null): Promise<RunningProxy> {
  const folder = context.processes.makeFolder('nghttpd');
  writeBodies(folder);
  const port = await findFreePort();
  const args = ['--no-tls', '-a', '127.0.0.1', ...(serving ?? ['-d', folder]), '-n', '1', String(port)];
  return await startCommand({ command: 'nghttpd', args, port }, context);
}

async function startNghttpx(context: StartContext, backendOptions: string): Promise<RunningProxy> {
  const folder = context.processes.makeFolder('nghttpx');
  const port = await findFreePort();
  const { hostname, port: originPort } = new URL(context.to);
  const args = [
    `--frontend=127.0.0.1,${port};no-tls`,
    `--backend=${hostname},${originPort};${backendOptions}`,
    '--workers=1',
    '--no-ocsp',
    '--add-x-forwarded-for',
    '--conf=/dev/null',
    `--pid-file=${folder}/nghttpx.pid`,
    '--errorlog-file=/dev/stderr',
  ];
  return await startCommand({ command: 'nghttpx', args, port }, context);
}

function writeBodies(folder: string): void {
  for (const { size } of SCENARIOS) {
    const body = bodyOf(`/${size}`);
    if (body !== null) writeFileSync(join(folder, size), body);
  }
}
