/** haproxy as every bench starts it: what its configurations have in common stands here once, what they differ in is said by each bench. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasCommand } from '@ferrata/tools/peers';
import { findFreePort } from './ports.ts';
import { type RunningProxy, type StartContext, startCommand } from './start.ts';

/** What is said of one haproxy. */
export interface HaproxyParts {
  /** Most connections of clients. */
  readonly connections: number;
  /** Further lines of `global`. */
  readonly global?: string;
  /** Options of `bind`: `proto h2`. */
  readonly bind?: string;
  /** Lines of its one frontend, and of what comes behind it. */
  readonly frontend: string;
}

/** Says why haproxy cannot run here, or null. */
export function missingHaproxy(): string | null {
  return hasCommand('haproxy') ? null : 'haproxy is not installed';
}

/** As many connections as open files allow: haproxy wants two descriptors for each, and some of its own. */
export function haproxyConnections(most: number, openFiles: number): number {
  return Math.min(most, Math.floor((openFiles - 128) / 2));
}

/** Lines of a frontend that tells one origin of its clients. @param serverOptions of the line that names the origin, such as `proto h2` */
export function haproxyToOrigin(
  to: string,
  {
    scheme = 'http',
    idle = 256,
    serverOptions = '',
  }: { readonly scheme?: 'http' | 'https'; readonly idle?: number; readonly serverOptions?: string } = {},
): string {
  return `  option forwardfor
  http-request set-header X-Forwarded-Proto ${scheme}
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  default_backend origin
backend origin
  server origin ${new URL(to).host} pool-max-conn ${idle} ${serverOptions}`;
}

/** Starts it. @param partsIn what is said, given its folder */
export async function startHaproxyWith(
  partsIn: (folder: string) => HaproxyParts,
  context: Pick<StartContext, 'processes' | 'cores'>,
): Promise<RunningProxy> {
  const folder = context.processes.makeFolder('haproxy');
  const port = await findFreePort();
  const configFile = join(folder, 'haproxy.cfg');
  const { connections, global = '', bind = '', frontend } = partsIn(folder);
  writeFileSync(
    configFile,
    `global
  nbthread 1
  maxconn ${connections}
  ${global}
defaults
  mode http
  option http-keep-alive
  http-reuse always
  timeout connect 3s
  timeout client 75s
  timeout server 60s
  timeout http-keep-alive 75s
frontend entry
  bind 127.0.0.1:${port} backlog 4096 ${bind}
${frontend}
`,
  );
  return await startCommand({ command: 'haproxy', args: ['-db', '-f', configFile], port }, context);
}
