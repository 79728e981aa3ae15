/**
 * The proxies of the matrix: each of them by the way that requests come in (plain, TLS, HTTP/2 over TLS), with and without a log; HTTP/1 goes out,
 * on connections that are kept. Those with HTTP/2 on both sides are those of `http2`.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Contender } from '../contenders.ts';
import { haproxyConnections, haproxyToOrigin, missingHaproxy, startHaproxyWith } from '../haproxy.ts';
import {
  missingNginx,
  NGINX_LARGE_BUFFERS,
  NGINX_MANY_REQUESTS,
  NGINX_TO_ORIGIN,
  nginxTls,
  nginxUpstream,
  startNginxWith,
} from '../nginx.ts';
import { findFreePort } from '../ports.ts';
import { FERRATA_COMMAND, type RunningProxy, type StartContext, startCommand, startNode } from '../start.ts';
import { ADDED_FIELD, REFUSED_PATH } from './programs/hook-work.ts';

/** How requests come in. */
export type Entrance = 'plain' | 'tls' | 'h2-tls';

/** Where a proxy of the matrix is started. */
export interface MatrixContext extends StartContext {
  /** A folder as `writeCertificates` fills it. */
  readonly certificates: string;
}

/** One that is up. */
export interface MatrixProxy extends RunningProxy {
  /** Where it writes a line for each request; null: nowhere. */
  readonly logFile: string | null;
}

/** One of those compared. */
export interface MatrixContender extends Omit<Contender, 'start' | 'isDefault'> {
  /** It runs on Node, whose heap tells what it allocates. */
  readonly isNode: boolean;
  readonly start: (context: MatrixContext) => Promise<MatrixProxy>;
}

const MAX_CONNECTIONS = 8_192;
const HOOKS_PROXY = fileURLToPath(new URL('./programs/hooks-proxy.ts', import.meta.url));
const HTTP_PROXY_3 = fileURLToPath(new URL('../baselines/http-proxy-3.ts', import.meta.url));

/** Returns a contender of another bench as one of the matrix. */
export function withoutLog(contender: Contender): MatrixContender {
  const { name, note, missing } = contender;
  return {
    name,
    note,
    missing,
    isNode: name === 'ferrata',
    start: async (context) => ({ ...(await contender.start(context)), logFile: null }),
  };
}

/** `ferrata reverse`. */
export function ferrata(entrance: Entrance, { hasLog = false }: { readonly hasLog?: boolean } = {}): MatrixContender {
  return {
    name: 'ferrata',
    note: `ferrata reverse${hasLog ? ' --access-log, to a file (the lines of 10 ms in one write)' : ''}, as a user starts it`,
    isNode: true,
    missing: () => null,
    start: async (context) => {
      const port = await findFreePort();
      const folder = context.certificates;
      const tls = entrance === 'plain' ? [] : ['--cert', join(folder, 'server.pem'), '--key', join(folder, 'server-key.pem')];
      const args = [
        ...(context.nodeFlags ?? []),
        FERRATA_COMMAND,
        'reverse',
        '--listen',
        `${schemeOf(entrance)}://127.0.0.1:${port}`,
        '--to',
        context.to,
        ...tls,
        ...(hasLog ? ['--access-log'] : []),
      ];
      const logFile = hasLog ? join(context.processes.makeFolder('ferrata'), 'access.log') : null;
      const outputFile = logFile === null ? {} : { outputFile: logFile };
      return listening(
        entrance,
        logFile,
        await startCommand({ name: 'ferrata', command: process.execPath, args, port, ...outputFile }, context),
      );
    },
  };
}

/** A program on `HttpProxy` with three hooks. */
export function ferrataHooks(): MatrixContender {
  return {
    name: 'ferrata-hooks',
    note: 'a program on @ferrata/proxy with requestFilter, upstreamRequestFilter and responseFilter, no log',
    isNode: true,
    missing: () => null,
    start: async (context) => ({ ...(await startNode('ferrata-hooks', [HOOKS_PROXY, '--to', context.to], context)), logFile: null }),
  };
}

/** http-proxy-3. */
export function httpProxy3(entrance: 'plain' | 'tls'): MatrixContender {
  return {
    name: 'http-proxy-3',
    note: 'http-proxy-3 2 with a keep-alive agent',
    isNode: true,
    missing: () => null,
    start: async (context) => {
      const tls = entrance === 'plain' ? [] : ['--certificates', context.certificates];
      return { ...(await startNode('http-proxy-3', [HTTP_PROXY_3, '--to', context.to, ...tls], context)), logFile: null };
    },
  };
}

// ---- nginx -------------------------------------------------------------------------------------------------------------------------

/** How an nginx differs from one that only proxies. */
export interface NginxExtras {
  /** Default: nginx. */
  readonly name?: string;
  /** Does what the hooks of ferrata-hooks do. */
  readonly hasHooks?: boolean;
  /** 16 of 64 KiB a response, in place of 8 of 4 KiB. */
  readonly hasLargeBuffers?: boolean;
  /** Lines of JSON in a file: each written at once, as is the default of nginx, or when 64 KiB are together. */
  readonly log?: 'stock' | 'buffered';
}

/** The fields of Ferrata's own lines, as far as nginx has them. */
const NGINX_LOG_FORMAT = `log_format json escape=json '{"time":"$time_iso8601","client":"$remote_addr:$remote_port","protocol":"$server_protocol",'
    '"method":"$request_method","target":"$request_uri","status":$status,"bytesIn":$request_length,"bytesOut":$bytes_sent,'
    '"upstream":"$upstream_addr","durationMs":"$request_time","connectMs":"$upstream_connect_time","firstByteMs":"$upstream_header_time"}';`;

/** nginx. */
export function nginx(
  entrance: Entrance,
  { name = 'nginx', hasHooks = false, hasLargeBuffers = false, log }: NginxExtras = {},
): MatrixContender {
  const notes = [`1 worker, upstream keep-alive, ${hasLargeBuffers ? '16 buffers of 64 KiB a response' : 'buffers of stock size'}`];
  if (hasHooks) notes.push('doing what the hooks of ferrata-hooks do');
  if (log !== undefined)
    notes.push(log === 'stock' ? 'a JSON line for each request, written at once' : 'the same log, written when 64 KiB are together');
  return {
    name,
    note: notes.join('; '),
    isNode: false,
    missing: missingNginx,
    start: async (context) => {
      const logFile = log === undefined ? null : join(context.processes.makeFolder(`${name}-log`), 'access.log');
      const hooks = `location = ${REFUSED_PATH} { return 403 'no'; }
    add_header ${ADDED_FIELD.name} ${ADDED_FIELD.value};`;
      const parts = {
        connections: MAX_CONNECTIONS,
        clientRequests: NGINX_MANY_REQUESTS,
        http: [
          NGINX_LOG_FORMAT,
          entrance === 'plain' ? '' : nginxTls(context.certificates),
          nginxUpstream(context.to, { requests: NGINX_MANY_REQUESTS }),
        ].join('\n  '),
        listen: { plain: '', tls: 'ssl', 'h2-tls': 'ssl http2' }[entrance],
        server: `${hasHooks ? hooks : ''}
    location / { ${hasLargeBuffers ? NGINX_LARGE_BUFFERS : ''} ${NGINX_TO_ORIGIN} }`,
        ...(logFile === null ? {} : { accessLog: `access_log ${logFile} json${log === 'buffered' ? ' buffer=64k flush=1s' : ''};` }),
      };
      return listening(entrance, logFile, await startNginxWith(() => parts, context, name));
    },
  };
}

// ---- haproxy -----------------------------------------------------------------------------------------------------------------------

/** haproxy. */
export function haproxy(entrance: Entrance, { hasHooks = false }: { readonly hasHooks?: boolean } = {}): MatrixContender {
  return {
    name: 'haproxy',
    note: `1 thread, http-reuse always${hasHooks ? '; doing what the hooks of ferrata-hooks do' : ''}`,
    isNode: false,
    missing: missingHaproxy,
    start: async (context) => {
      const hooks = `  http-request deny if { path ${REFUSED_PATH} }
  http-response set-header ${ADDED_FIELD.name} ${ADDED_FIELD.value}
`;
      const parts = {
        connections: haproxyConnections(MAX_CONNECTIONS, context.openFiles),
        global: 'ssl-default-bind-options ssl-min-ver TLSv1.2',
        bind: entrance === 'plain' ? '' : `ssl crt ${context.certificates}/server-all.pem alpn ${entrance === 'tls' ? 'http/1.1' : 'h2'}`,
        frontend: `${hasHooks ? hooks : ''}${haproxyToOrigin(context.to, { scheme: schemeOf(entrance), idle: 512 })}`,
      };
      return listening(entrance, null, await startHaproxyWith(() => parts, context));
    },
  };
}

function schemeOf(entrance: Entrance): 'http' | 'https' {
  return entrance === 'plain' ? 'http' : 'https';
}

function listening(entrance: Entrance, logFile: string | null, { url, process }: RunningProxy): MatrixProxy {
  return { url: url.replace(/^http:/, `${schemeOf(entrance)}:`), process, logFile };
}
