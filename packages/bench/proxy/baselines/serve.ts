/**
 * What the Node baselines share: their command line (`--to URL`), their `ready` line, their end on a signal.
 */

import { readFileSync } from 'node:fs';
import { Agent, type Server } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

/** Idle connections are kept this long on both sides, as in nginx. */
const IDLE_TIMEOUT_MS = 75_000;

/** A certificate with its chain, and its key, as PEM. */
export interface ServerIdentity {
  readonly cert: string;
  readonly key: string;
}

/** Returns the origin that the command line names. */
export function originOfCommandLine(): URL {
  const { to } = readCommandLine();
  if (to === undefined) throw new TypeError('say where to: --to http://127.0.0.1:PORT');
  return new URL(to);
}

/** Returns what `--certificates FOLDER` names, for those that can listen with TLS; null without it. */
export function identityOfCommandLine(): ServerIdentity | null {
  const { certificates } = readCommandLine();
  if (certificates === undefined) return null;
  const read = (name: string): string => readFileSync(join(certificates, name), 'utf8');
  return { cert: read('server.pem'), key: read('server-key.pem') };
}

/** Returns an agent that keeps enough connections for every bench. */
export function keepAliveAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 1024, timeout: IDLE_TIMEOUT_MS });
}

/** Keeps the idle connections of a node:http server as long as the other proxies do. */
export function keepIdleConnections(server: Pick<Server, 'keepAliveTimeout'>): void {
  server.keepAliveTimeout = IDLE_TIMEOUT_MS;
}

/** Listens on a free port and says so. */
export function announceWhenListening(server: NetServer, scheme: 'http' | 'https' = 'http'): void {
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => announce((server.address() as AddressInfo).port, scheme));
}

/** Prints the `ready` line. */
export function announce(port: number, scheme: 'http' | 'https' = 'http'): void {
  process.stdout.write(`ready ${scheme}://127.0.0.1:${port}\n`);
}

function readCommandLine(): { readonly to?: string; readonly certificates?: string } {
  return parseArgs({ options: { to: { type: 'string' }, certificates: { type: 'string' } } }).values;
}
