/** nginx as every bench starts it: what its configurations have in common stands here once, what they differ in is said by each bench. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCommand } from '@ferrata/tools/peers';
import { temporaryPaths } from './origin.ts';
import { findFreePort } from './ports.ts';
import { type RunningProxy, type StartContext, startCommand } from './start.ts';

/** What every nginx that is a proxy by HTTP/1.1 says of its one location. */
export const NGINX_TO_ORIGIN = `proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_max_temp_file_size 0;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header X-Forwarded-Host $http_host;`;

/** The same for one that is a proxy by HTTP/2, which nginx speaks to origins by `grpc_pass` alone. */
export const NGINX_TO_HTTP2_ORIGIN = `grpc_pass grpc://origin;
      grpc_set_header Host $http_host;
      grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_set_header X-Forwarded-Proto $scheme;
      grpc_set_header X-Forwarded-Host $http_host;`;

/** Of its location: buffers that nobody has by default, and whose size is much of its cost for large bodies. */
export const NGINX_LARGE_BUFFERS = 'proxy_buffer_size 64k; proxy_buffers 16 64k; proxy_busy_buffers_size 256k;';

/** Requests on one connection: as good as without end. */
export const NGINX_MANY_REQUESTS = 1_000_000_000;

/** What is said of one nginx. */
export interface NginxParts {
  /** Default 1. */
  readonly workers?: number;
  /** Connections of a worker. */
  readonly connections: number;
  /** What it writes about errors; default those that it calls errors, and worse ones. */
  readonly errorLevel?: 'error' | 'crit';
  /** Default: no access log. */
  readonly accessLog?: string;
  /** Requests on one connection of a client. Default nginx's own: 1 000. */
  readonly clientRequests?: number;
  /** Further lines of `http`. */
  readonly http?: string;
  /** Options of `listen`: `ssl http2`. */
  readonly listen?: string;
  /** Lines of its one server. */
  readonly server: string;
}

/** Says why nginx cannot run here, or null. */
export function missingNginx(): string | null {
  return hasCommand('nginx') ? null : 'nginx is not installed';
}

/** Lines of `http` for the origin. @param requests on one connection to it; default nginx's own, 1 000 */
export function nginxUpstream(to: string, { keepalive = 256, requests = 1_000 } = {}): string {
  return `upstream origin { server ${new URL(to).host}; keepalive ${keepalive}; keepalive_requests ${requests}; }`;
}

/** Lines of `http` for TLS. @param folder as `writeCertificates` fills it */
export function nginxTls(folder: string): string {
  return `ssl_certificate ${folder}/server.pem;
  ssl_certificate_key ${folder}/server-key.pem;
  ssl_protocols TLSv1.2 TLSv1.3;`;
}

/** Starts it. @param partsIn what is said, given its folder */
export async function startNginxWith(
  partsIn: (folder: string) => NginxParts,
  context: Pick<StartContext, 'processes' | 'cores'>,
  name = 'nginx',
): Promise<RunningProxy> {
  const folder = context.processes.makeFolder(name);
  const port = await findFreePort();
  const configFile = join(folder, 'nginx.conf');
  const {
    workers = 1,
    connections,
    errorLevel = 'error',
    accessLog = 'access_log off;',
    clientRequests = 1_000,
    http = '',
    listen = '',
    server,
  } = partsIn(folder);
  writeFileSync(
    configFile,
    `${nginxUser()}daemon off;
worker_processes ${workers};
pid ${folder}/nginx.pid;
error_log stderr ${errorLevel};
events { worker_connections ${connections}; }
http {
  sendfile on;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests ${clientRequests};
  ${temporaryPaths(folder)}
  ${http}
  ${accessLog}
  server {
    listen 127.0.0.1:${port} ${listen} backlog=4096;
    ${server}
  }
}
`,
  );
  return await startCommand({ name, command: 'nginx', args: ['-p', folder, '-c', configFile, '-e', 'stderr'], port }, context);
}

/** As root, nginx's worker would become another user, who cannot enter the temporary folder. */
function nginxUser(): string {
  return process.getuid?.() === 0 ? 'user root;\n' : '';
}
