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
import {
  type Contender,
  FERRATA_COMMAND,
  HAPROXY_DEFAULTS,
  HAPROXY_FORWARDED,
  NGINX_TO_ORIGIN,
  nginxUser,
  type RunningProxy,
  type StartContext,
  startCommand,
  startNode,
} from '../proxy/contenders.ts';
import { temporaryPaths } from '../proxy/origin.ts';
import { findFreePort } from '../proxy/ports.ts';
import { bodyOf } from './programs/bodies.ts';

/** Where requests of a scenario go in the end. */
export type OriginKind = 'none' | 'http1' | 'http2';

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
  command('nginx', 'nginx', '1 worker, `grpc_pass`, upstream keep-alive', (context) => startNginx(context, grpcNginx)),
  command('haproxy', 'haproxy', '1 thread, `proto h2` both sides', (context) =>
    startHaproxy(context, (port, to) => proxyHaproxy(port, to, ' proto h2')),
  ),
  command('nghttpx', 'nghttpx', '1 worker, `proto=h2`', (context) => startNghttpx(context, ';proto=h2')),
];

const toHttp1: readonly Contender[] = [
  ferrataReverse('http'),
  command('nginx', 'nginx', '1 worker, upstream keep-alive', (context) => startNginx(context, proxyNginx)),
  command('haproxy', 'haproxy', '1 thread, `http-reuse always`', (context) =>
    startHaproxy(context, (port, to) => proxyHaproxy(port, to, '')),
  ),
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

/** Starts nghttpd as the HTTP/2 origin: it answers in some 3 µs, so that it is not what limits the proxies. */
export async function startHttp2Origin(context: StartContext): Promise<RunningProxy> {
  return startNghttpd(context);
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

/** Starts nghttpd as an origin that answers the method of gRPC: to it the message is a file. */
export async function startGrpcOrigin(context: StartContext): Promise<RunningProxy> {
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
  const folder = context.processes.makeFolder('nginx');
  const port = await findFreePort();
  const configFile = join(folder, 'nginx.conf');
  const { http, server } = lines(folder, context.to);
  writeFileSync(
    configFile,
    `${nginxUser()}daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections ${MAX_CONNECTIONS}; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  open_file_cache max=64 inactive=1h;
  keepalive_timeout 1h;
  keepalive_requests 1000000000;
  http2_max_concurrent_streams 128;
  ${temporaryPaths(folder)}
  ${http}
  server {
    listen 127.0.0.1:${port} http2 backlog=4096;
    default_type text/plain;
    ${server}
  }
}
`,
  );
  const args = ['-p', folder, '-c', configFile, '-e', 'stderr'];
  return await startCommand({ command: 'nginx', args, port }, context);
}

function nginxUpstream(to: string): string {
  return `upstream origin { server ${new URL(to).host}; keepalive 256; keepalive_requests 1000000000; }`;
}

function localNginx(folder: string): ReturnType<ServerLines> {
  writeBodies(folder);
  return { http: '', server: `root ${folder}; location = /100 { return 200 '${'a'.repeat(100)}'; }` };
}

function grpcNginx(_folder: string, to: string): ReturnType<ServerLines> {
  return {
    http: nginxUpstream(to),
    server: `location / { grpc_pass grpc://origin; grpc_set_header Host $http_host; grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }`,
  };
}

function proxyNginx(_folder: string, to: string): ReturnType<ServerLines> {
  return {
    http: nginxUpstream(to),
    server: `location / { ${NGINX_TO_ORIGIN} }`,
  };
}

// ---- haproxy -----------------------------------------------------------------------------------------------------------------------

async function startHaproxy(context: StartContext, lines: (port: number, to: string) => string): Promise<RunningProxy> {
  const folder = context.processes.makeFolder('haproxy');
  writeBodies(folder);
  const port = await findFreePort();
  const configFile = join(folder, 'haproxy.cfg');
  writeFileSync(
    configFile,
    `global
  nbthread 1
  maxconn ${MAX_CONNECTIONS}
  tune.bufsize 32768
${HAPROXY_DEFAULTS}
frontend entry
${lines(port, context.to).replaceAll('FOLDER', folder)}
`,
  );
  const args = ['-db', '-f', configFile];
  return await startCommand({ command: 'haproxy', args, port }, context);
}

function localHaproxy(port: number): string {
  return `  bind 127.0.0.1:${port} proto h2 backlog 4096
  http-request return status 200 content-type text/plain file FOLDER/100`;
}

function proxyHaproxy(port: number, to: string, serverOptions: string): string {
  return `  bind 127.0.0.1:${port} proto h2 backlog 4096
${HAPROXY_FORWARDED}
  default_backend origin
backend origin
  server origin ${new URL(to).host} pool-max-conn 256${serverOptions}`;
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
