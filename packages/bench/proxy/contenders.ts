/**
 * The proxies that are compared, each started the way its users are told to for speed: keep-alive on both sides, no access log, one
 * worker, and the same work per request where the proxy can do it (X-Forwarded-For, -Proto and -Host).
 *
 * Every Node proxy is a small program that is told `--to URL`, listens on a port of its own and prints `ready http://127.0.0.1:PORT`, as the
 * command of Ferrata does.
 */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { haproxyConnections, haproxyToOrigin, missingHaproxy, startHaproxyWith } from './haproxy.ts';
import { missingNginx, NGINX_LARGE_BUFFERS, NGINX_TO_ORIGIN, nginxUpstream, startNginxWith } from './nginx.ts';
import { FERRATA_COMMAND, type RunningProxy, type StartContext, startNode } from './start.ts';

/** Connections that nginx's worker and haproxy are prepared for: the idle bench opens 10 000, each may need one more upstream. */
const MAX_CONNECTIONS = 30_000;

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
    missing: missingNginx,
    start: (context) => startNginx({ name: 'nginx' }, context),
  },
  {
    name: 'nginx-large-buffers',
    note: 'the same with 16 buffers of 64 KiB a response, which nobody has by default and which is much of its cost for large bodies',
    isDefault: true,
    missing: missingNginx,
    start: (context) => startNginx({ name: 'nginx-large-buffers', bufferLines: NGINX_LARGE_BUFFERS }, context),
  },
  {
    name: 'haproxy',
    note: '1 thread, http-reuse always',
    isDefault: true,
    missing: missingHaproxy,
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
  const { name, bufferLines = '', workers = 1, keepalive, keepaliveRequests, isReusingPort = false } = variant;
  const kept = {
    ...(keepalive === undefined ? {} : { keepalive }),
    ...(keepaliveRequests === undefined ? {} : { requests: keepaliveRequests }),
  };
  const parts = {
    workers,
    connections: Math.min(MAX_CONNECTIONS, context.openFiles - 64),
    http: nginxUpstream(context.to, kept),
    listen: isReusingPort ? 'reuseport' : '',
    server: `location / { ${bufferLines} ${NGINX_TO_ORIGIN} }`,
  };
  return await startNginxWith(() => parts, context, name);
}

async function startHaproxy(context: StartContext): Promise<RunningProxy> {
  const parts = { connections: haproxyConnections(MAX_CONNECTIONS, context.openFiles), frontend: haproxyToOrigin(context.to) };
  return await startHaproxyWith(() => parts, context);
}
