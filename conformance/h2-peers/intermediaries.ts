/** haproxy and nghttpx as HTTP/2 servers in front of something, on Unix sockets. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerProgram } from '@ferrata/tools/peers';
import { type Plan, valueOf } from '../http1-peers/plan.ts';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { endProcess, untilListening } from '../rig/peer-process.ts';
import type { Where } from './where.ts';

/** What has to be installed. */
export const HAPROXY: PeerProgram = { command: 'haproxy', debianPackage: 'haproxy', purpose: 'an HTTP/2 proxy of another making' };
export const NGHTTPX: PeerProgram = { command: 'nghttpx', debianPackage: 'nghttp2-proxy', purpose: 'an HTTP/2 proxy of another making' };

/** What stands behind a proxy, and which version it is spoken to in. */
export interface Backend {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'h1' | 'h2';
}

/** A proxy that runs: a socket for each backend. */
export interface Intermediary {
  readonly where: ReadonlyMap<string, Where>;
  close(): Promise<void>;
}

/** Starts haproxy. @throws {Error} with what it said, when it does not come up */
export async function startHaproxy(backends: readonly Backend[]): Promise<Intermediary> {
  return await start('haproxy', backends, (folder) => {
    const file = join(folder, 'haproxy.conf');
    const listens = backends.map(
      ({ name, port, protocol }) => `listen ${name}
  bind unix@${socketOf(folder, name)} proto h2
  server peer 127.0.0.1:${port} proto ${protocol}`,
    );
    writeFileSync(
      file,
      `global
  nbthread 1
  maxconn 512
  tune.bufsize 65536
  tune.http.maxhdr 500
  tune.h2.header-table-size 4096
defaults
  mode http
  option http-keep-alive
  http-reuse always
  retries 0
  timeout connect 5s
  timeout client 15s
  timeout server 15s
${listens.join('\n')}
`,
    );
    return ['-db', '-f', file];
  });
}

/** Starts nghttpx, so open as it can be set. @throws {Error} with what it said, when it does not come up */
export async function startNghttpx(backend: Backend): Promise<Intermediary> {
  return await start('nghttpx', [backend], (folder) => [
    '--conf=/dev/null',
    `--frontend=unix:${socketOf(folder, backend.name)};no-tls`,
    `--backend=127.0.0.1,${backend.port};;proto=${backend.protocol === 'h2' ? 'h2' : 'http/1.1'}`,
    '--single-thread',
    '--no-server-push',
    '--no-via',
    '--no-add-x-forwarded-proto',
    '--no-strip-incoming-x-forwarded-proto',
    '--no-strip-incoming-early-data',
    '--no-location-rewrite',
    '--no-server-rewrite',
    '--request-header-field-buffer=262144',
    '--max-request-header-fields=500',
    '--response-header-field-buffer=262144',
    '--max-response-header-fields=500',
    '--log-level=ERROR',
    '--errorlog-file=/dev/stderr',
    '--accesslog-file=/dev/null',
  ]);
}

async function start(name: string, backends: readonly Backend[], configure: (folder: string) => readonly string[]): Promise<Intermediary> {
  const folder = new TemporaryFolder(`ferrata-${name}-`);
  const child = spawn(name, configure(folder.path), { stdio: ['ignore', 'ignore', 'pipe'] });
  killOnExit(child);
  const close = async (): Promise<void> => {
    await endProcess(child);
    folder.remove();
  };
  try {
    await untilListening(
      name,
      child,
      backends.map((backend) => socketOf(folder.path, backend.name)),
    );
  } catch (error) {
    await close();
    throw error;
  }
  return { where: new Map(backends.map((backend) => [backend.name, { path: socketOf(folder.path, backend.name) }])), close };
}

function socketOf(folder: string, name: string): string {
  return join(folder, `${name}.sock`);
}

/** What haproxy passes on as it is: it drops trailers behind interim responses, and the default port of an authority. */
export function haproxyCarries({ request, response }: Plan): boolean {
  return (response.interim.length === 0 || response.trailers.length === 0) && !request.host.endsWith(':80');
}

const NGHTTPX_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE']);

/** Cookies that are cut into crumbs and put together again as they were. */
const PLAIN_COOKIE = /^\w+=\w+(?:; \w+=\w+)*$/;

/**
 * What nghttpx passes on as it is: methods that it knows, without TE, paths that are normal already. It takes cookies out of responses,
 * spells those of requests anew, and puts Via last.
 */
export function nghttpxCarries({ request, response }: Plan): boolean {
  return (
    NGHTTPX_METHODS.has(request.method) &&
    valueOf(request.fields, 'te') === undefined &&
    [request, response].every(({ fields }) => valueOf(fields, 'via') === undefined) &&
    valueOf(response.fields, 'cookie') === undefined &&
    request.fields.every(([name, value]) => name.toLowerCase() !== 'cookie' || PLAIN_COOKIE.test(value)) &&
    (request.target === '*' || /^\/(?:[\w-][\w.-]*\/?)*(?:\?[\w=&-]+)?$/.test(request.target))
  );
}
