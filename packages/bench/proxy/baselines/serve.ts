/**
 * What the Node baselines share: their command line (`--to URL`), their `ready` line, their end on a signal.
 */

import { Agent, type Server } from 'node:http';
import type { AddressInfo, Server as NetServer } from 'node:net';
import { parseArgs } from 'node:util';

/** Idle connections are kept this long on both sides, as in nginx. */
const IDLE_TIMEOUT_MS = 75_000;

/** Returns the origin that the command line names. */
export function originOfCommandLine(): URL {
  const { values } = parseArgs({ options: { to: { type: 'string' } } });
  if (values.to === undefined) throw new TypeError('say where to: --to http://127.0.0.1:PORT');
  return new URL(values.to);
}

/** Returns an agent that keeps enough connections for every bench. */
export function keepAliveAgent(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 1024, timeout: IDLE_TIMEOUT_MS });
}

/** Keeps the idle connections of a node:http server as long as the other proxies do. */
export function keepIdleConnections(server: Server): void {
  server.keepAliveTimeout = IDLE_TIMEOUT_MS;
}

/** Listens on a free port and says so. */
export function announceWhenListening(server: NetServer): void {
  server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => announce((server.address() as AddressInfo).port));
}

/** Prints the `ready` line. */
export function announce(port: number): void {
  process.stdout.write(`ready http://127.0.0.1:${port}\n`);
}
