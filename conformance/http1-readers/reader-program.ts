/**
 * The second readers, nginx and haproxy, each as one process with two rows of Unix sockets: `forward[i]` passes what it is sent on to origin `i`, for
 * requests that we forward; `fetch[i]` asks our proxy `i`, for responses that we forward.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type PeerProgram, versionOf } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { endProcess, untilListening } from '../rig/peer-process.ts';

/** The programs, for `providePrograms`. */
export const READERS = {
  nginx: { command: 'nginx', debianPackage: 'nginx', purpose: 'a second reader of what we forward' },
  haproxy: { command: 'haproxy', debianPackage: 'haproxy', purpose: 'a second reader of what we forward' },
} as const satisfies Record<string, PeerProgram>;

/** Which reader. */
export type ReaderName = keyof typeof READERS;

/** Ports on 127.0.0.1 of what stands behind a reader, lane by lane. */
export interface ReaderPorts {
  /** Origins, behind `forward`. */
  readonly origins: readonly number[];
  /** Our proxies, behind `fetch`. */
  readonly proxies: readonly number[];
}

/** A reader that runs. */
export interface RunningReader extends AsyncDisposable {
  readonly version: string;
  /** Paths of sockets. */
  readonly forward: readonly string[];
  readonly fetch: readonly string[];
}

/** A folder for the sockets of a reader, which are named before it is started: our proxies in front of it must know them. */
export class ReaderFolder extends TemporaryFolder {
  constructor(name: ReaderName) {
    super(`ferrata-${name}-`);
  }

  socket(kind: 'forward' | 'fetch', lane: number): string {
    return join(this.path, `${kind}-${lane}.sock`);
  }
}

/** Starts a reader; it ends with this process at the latest. @throws {Error} with what it said, when it does not come up */
export async function startReader(name: ReaderName, folder: ReaderFolder, ports: ReaderPorts): Promise<RunningReader> {
  const file = join(folder.path, `${name}.conf`);
  writeFileSync(file, name === 'nginx' ? nginxConfiguration(folder, ports) : haproxyConfiguration(folder, ports));
  const args = name === 'nginx' ? ['-p', folder.path, '-c', file, '-e', 'stderr'] : ['-db', '-f', file];
  const child = spawn(name, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  killOnExit(child);
  const forward = ports.origins.map((_, lane) => folder.socket('forward', lane));
  const fetch = ports.proxies.map((_, lane) => folder.socket('fetch', lane));
  try {
    await untilListening(name, child, [...forward, ...fetch]);
  } catch (error) {
    await endProcess(child);
    throw error;
  }
  return { version: versionOf(name, '-v'), forward, fetch, [Symbol.asyncDispose]: async () => await endProcess(child) };
}

/** As open as nginx can be set: what it refuses or removes with these settings it does whoever runs it. */
function nginxConfiguration(folder: ReaderFolder, { origins, proxies }: ReaderPorts): string {
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${folder.path}/${kind};`);
  const lane = (kind: 'forward' | 'fetch', index: number, port: number): string => `  upstream ${kind}${index} {
    server 127.0.0.1:${port} max_fails=0;
    keepalive 4;
    keepalive_requests 1000000;
  }
  server {
    listen unix:${folder.socket(kind, index)};
    location / { proxy_pass http://${kind}${index}; }
  }`;
  return `daemon off;
master_process off;
pid ${folder.path}/nginx.pid;
error_log stderr emerg;
events { worker_connections 512; }
http {
  access_log off;
${temporaryPaths.join('\n')}
  keepalive_requests 1000000;
  client_max_body_size 0;
  client_header_buffer_size 32k;
  large_client_header_buffers 8 64k;
  ignore_invalid_headers off;
  underscores_in_headers on;
  merge_slashes off;
  proxy_http_version 1.1;
  proxy_set_header Host $http_host;
  proxy_set_header Connection "";
  proxy_pass_header Date;
  proxy_pass_header Server;
  proxy_ignore_headers X-Accel-Redirect X-Accel-Expires X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset Expires Cache-Control Set-Cookie Vary;
  proxy_buffer_size 64k;
  proxy_buffers 8 64k;
  proxy_busy_buffers_size 128k;
  proxy_connect_timeout 5s;
  proxy_read_timeout 5s;
  proxy_next_upstream off;
${origins.map((port, index) => lane('forward', index, port)).join('\n')}
${proxies.map((port, index) => lane('fetch', index, port)).join('\n')}
}
`;
}

function haproxyConfiguration(folder: ReaderFolder, { origins, proxies }: ReaderPorts): string {
  const lane = (kind: 'forward' | 'fetch', index: number, port: number): string => `listen ${kind}${index}
  bind unix@${folder.socket(kind, index)}
  server peer 127.0.0.1:${port} pool-max-conn 4`;
  return `global
  nbthread 1
  maxconn 512
  tune.bufsize 65536
  tune.http.maxhdr 500
defaults
  mode http
  option http-keep-alive
  http-reuse always
  retries 0
  timeout connect 5s
  timeout client 10s
  timeout server 5s
${origins.map((port, index) => lane('forward', index, port)).join('\n')}
${proxies.map((port, index) => lane('fetch', index, port)).join('\n')}
`;
}
