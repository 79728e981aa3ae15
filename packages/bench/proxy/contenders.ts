/**
 * The proxies that are compared, each started the way its users are told to for speed: keep-alive on both sides, no access log, one
 * worker, and the same work per request where the proxy can do it (X-Forwarded-For, -Proto and -Host).
 *
 * Every Node proxy is a small program that is told `--to URL`, listens on a port of its own and prints `ready http://127.0.0.1:PORT`, as the
 * command of Ferrata does.
 */

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hasCommand } from '@ferrata/tools/peers';
import { temporaryPaths } from './origin.ts';
import { findFreePort, untilAccepting } from './ports.ts';
import type { ProcessGroup, RunningProcess } from './processes.ts';

/** How long a Node proxy may take until it prints that it is ready. */
const READY_TIMEOUT_MS = 60_000;
/** Connections that nginx's worker and haproxy are prepared for: the idle bench opens 10 000, each may need one more upstream. */
const MAX_CONNECTIONS = 30_000;
export const FERRATA_COMMAND: string = fileURLToPath(new URL('../../ferrata/src/main.ts', import.meta.url));

/** What every nginx that is a proxy by HTTP/1.1 says of its one location, and every haproxy of its connections and of forwarding. */
export const NGINX_TO_ORIGIN = `proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;`;
export const HAPROXY_DEFAULTS = `defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 3s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s`;
export const HAPROXY_FORWARDED = `  option forwardfor
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.hdr(host)]`;

/** A proxy that is up. */
export interface RunningProxy {
  /** `http://127.0.0.1:PORT` of its listener. */
  readonly url: string;
  /** Its process; workers are its children. */
  readonly process: RunningProcess;
}

/** Where a proxy is started. */
export interface StartContext {
  readonly processes: ProcessGroup;
  /** URL of the origin. */
  readonly to: string;
  /** CPUs for the proxy, as `taskset -c` takes them; null: any. */
  readonly cores: string | null;
  /** Limit of open files in force. */
  readonly openFiles: number;
  /** Options of Node itself for a proxy that runs on it. Default none. */
  readonly nodeFlags?: readonly string[];
}

/** A proxy that can be compared. */
export interface Contender {
  readonly name: string;
  /** What it is, in the words of the table's legend. */
  readonly note: string;
  /** Whether it takes part when nothing is chosen. */
  readonly isDefault: boolean;
  /** Says why it cannot run here, or null. */
  readonly missing: () => string | null;
  readonly start: (context: StartContext) => Promise<RunningProxy>;
}

const always = (): null => null;

/** All proxies, in the order of the table. */
export const CONTENDERS: readonly Contender[] = [
  {
    name: 'ferrata',
    note: 'ferrata reverse, as a user starts it',
    isDefault: true,
    missing: () => (existsSync(FERRATA_COMMAND) ? null : `its command does not exist yet (${FERRATA_COMMAND})`),
    start: (context) => startFerrata(context, 1),
  },
  {
    name: 'nginx',
    note: '1 worker, upstream keep-alive, buffers of stock size, no temporary files for bodies',
    isDefault: true,
    missing: () => (hasCommand('nginx') ? null : 'nginx is not installed'),
    start: (context) => startNginx({ name: 'nginx' }, context),
  },
  {
    name: 'nginx-large-buffers',
    note: 'the same with 16 buffers of 64 KiB a response, which nobody has by default and which is much of its cost for large bodies',
    isDefault: true,
    missing: () => (hasCommand('nginx') ? null : 'nginx is not installed'),
    start: (context) =>
      startNginx(
        { name: 'nginx-large-buffers', bufferLines: 'proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 256k;' },
        context,
      ),
  },
  {
    name: 'haproxy',
    note: '1 thread, http-reuse always',
    isDefault: true,
    missing: () => (hasCommand('haproxy') ? null : 'haproxy is not installed'),
    start: startHaproxy,
  },
  baseline('http-proxy', 'http-proxy 1.18 with a keep-alive agent', true),
  baseline('http-proxy-3', 'http-proxy-3 2, the fork that is maintained, with a keep-alive agent', true),
  baseline('fast-proxy', 'fast-proxy 2 in its undici mode', true),
  baseline('fastify-http-proxy', '@fastify/http-proxy 11 on fastify 5', true),
  baseline('node-http', 'bare node:http with a keep-alive agent', true),
  baseline('raw-net', 'NOT a proxy: a minimal loop on node:net, as what JavaScript can reach', true),
  baseline('undici', 'bare node:http into undici 8 dispatch', false),
];

/**
 * Returns the contenders of these names, in the table's order; null: those that take part by default.
 *
 * @throws {RangeError} when a name is unknown.
 */
export function chooseContenders(names: readonly string[] | null): readonly Contender[] {
  if (names === null) return CONTENDERS.filter((one) => one.isDefault);
  const unknown = names.filter((name) => !CONTENDERS.some((one) => one.name === name));
  if (unknown.length > 0) {
    throw new RangeError(`no proxy is called ${unknown.join(', ')}; there are ${CONTENDERS.map((one) => one.name).join(', ')}`);
  }
  return CONTENDERS.filter((one) => names.includes(one.name));
}

/** The order turns, so that nobody always comes after the same one. */
export function rotated<Item>(items: readonly Item[], by: number): readonly Item[] {
  const at = items.length === 0 ? 0 : by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}

function baseline(name: string, note: string, isDefault: boolean): Contender {
  const script = fileURLToPath(new URL(`./baselines/${name}.ts`, import.meta.url));
  return { name, note, isDefault, missing: always, start: (context) => startNode(name, [script, '--to', context.to], context) };
}

/**
 * Starts a Node program that prints `ready http://127.0.0.1:PORT`, or `ready https://…`.
 *
 * @throws {Error} with its last words when it ends before that, or takes too long
 */
export async function startNode(
  name: string,
  args: readonly string[],
  context: Pick<StartContext, 'processes' | 'cores' | 'nodeFlags'>,
): Promise<RunningProxy> {
  let announce: (url: string) => void = () => {};
  const ready = new Promise<string>((resolve) => {
    announce = resolve;
  });
  const running = await context.processes.start({
    name,
    command: process.execPath,
    args: [...(context.nodeFlags ?? []), ...args],
    cores: context.cores,
    onLine: (line) => {
      const match = /^ready (https?:\/\/\S+)$/.exec(line.trim());
      if (match?.[1] !== undefined) announce(match[1]);
    },
  });
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, READY_TIMEOUT_MS, null);
  });
  const url = await Promise.race([ready, tooLate, running.exited.then(() => null)]);
  clearTimeout(timer);
  if (url !== null) return { url, process: running };
  const reason =
    running.exitStatus === null ? `printed no "ready" line within ${READY_TIMEOUT_MS / 1000} s` : `ended with ${running.exitStatus}`;
  const lastWords = running.errorOutput;
  await running.kill();
  throw new Error(`${name} ${reason}${lastWords === '' ? '' : `:\n${lastWords}`}`);
}

/** A command that listens on a port that it is given. */
export interface ListeningCommand {
  /** Default: that of the command. */
  readonly name?: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly port: number;
  /** See `StartOptions.outputFile`. */
  readonly outputFile?: string;
}

/** Starts a command that listens. @throws {Error} with its last words when it does not */
export async function startCommand(
  { command, name = command, args, port, outputFile }: ListeningCommand,
  { processes, cores }: Pick<StartContext, 'processes' | 'cores'>,
): Promise<RunningProxy> {
  const running = await processes.start({ name, command, args, cores, ...(outputFile === undefined ? {} : { outputFile }) });
  await untilAccepting(running, port);
  return { url: `http://127.0.0.1:${port}`, process: running };
}

/** As root, nginx's worker would become another user, who cannot enter the temporary folder. */
export function nginxUser(): string {
  return process.getuid?.() === 0 ? 'user root;\n' : '';
}

/** How nginx differs from the stock one of the tables. */
export interface NginxVariant {
  readonly name: string;
  /** Lines of its location. Default none. */
  readonly bufferLines?: string;
  /** Default 1. */
  readonly workers?: number;
  /** Idle connections to the origin that each worker keeps. Default 256. */
  readonly keepalive?: number;
  /** Requests on one connection to the origin. Default nginx's own: 1 000. */
  readonly keepaliveRequests?: number;
  /** Each worker listens on a socket of its own (SO_REUSEPORT). Default false. */
  readonly isReusingPort?: boolean;
}

/** Starts the command of Ferrata. */
export async function startFerrata(context: StartContext, threads: number): Promise<RunningProxy> {
  const args = [FERRATA_COMMAND, 'reverse', '--threads', String(threads), '--listen', 'http://127.0.0.1:0', '--to', context.to];
  return await startNode('ferrata', args, context);
}

/** Starts nginx. */
export async function startNginx(variant: NginxVariant, context: StartContext): Promise<RunningProxy> {
  const { name, bufferLines = '', workers = 1, keepalive = 256, keepaliveRequests = 1_000, isReusingPort = false } = variant;
  const folder = context.processes.makeFolder(name);
  const port = await findFreePort();
  const configFile = join(folder, 'nginx.conf');
  writeFileSync(
    configFile,
    `${nginxUser()}daemon off;
worker_processes ${workers};
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections ${Math.min(MAX_CONNECTIONS, context.openFiles - 64)}; }
http {
  access_log off;
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 75s;
  ${temporaryPaths(folder)}
  upstream origin { server ${new URL(context.to).host}; keepalive ${keepalive}; keepalive_requests ${keepaliveRequests}; }
  server {
    listen 127.0.0.1:${port} backlog=4096${isReusingPort ? ' reuseport' : ''};
    location / {
      ${bufferLines}
      ${NGINX_TO_ORIGIN}
    }
  }
}
`,
  );
  const args = ['-p', folder, '-c', configFile, '-e', 'stderr'];
  return await startCommand({ name, command: 'nginx', args, port }, context);
}

async function startHaproxy(context: StartContext): Promise<RunningProxy> {
  const folder = context.processes.makeFolder('haproxy');
  const port = await findFreePort();
  const configFile = join(folder, 'haproxy.cfg');
  // haproxy wants two descriptors a connection and some of its own.
  const maxConnections = Math.min(MAX_CONNECTIONS, Math.floor((context.openFiles - 128) / 2));
  writeFileSync(
    configFile,
    `global
  nbthread 1
  maxconn ${maxConnections}
${HAPROXY_DEFAULTS}
frontend entry
  bind 127.0.0.1:${port} backlog 4096
${HAPROXY_FORWARDED}
  default_backend origin
backend origin
  server origin ${new URL(context.to).host} pool-max-conn 256
`,
  );
  return await startCommand({ command: 'haproxy', args: ['-db', '-f', configFile], port }, context);
}
