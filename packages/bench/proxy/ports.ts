/**
 * Ports for servers that cannot be told "port 0 and say which".
 */

import { connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { RunningProcess } from './processes.ts';

/** Below Linux's ephemeral range (32768–60999), so that no outgoing connection of the load can hold the port. */
const LOWEST_PORT = 12_000;
const HIGHEST_PORT = 32_000;
const PORT_ATTEMPTS = 50;
/** How long a server may take until it accepts. */
const READY_TIMEOUT_MS = 10_000;

/** Returns a port of 127.0.0.1 that nobody listened on a moment ago. */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
    const port = LOWEST_PORT + Math.floor(Math.random() * (HIGHEST_PORT - LOWEST_PORT));
    if (await isFree(port)) return port;
  }
  throw new Error(`no free port found between ${LOWEST_PORT} and ${HIGHEST_PORT}`);
}

/**
 * Waits until a process accepts connections on a port of 127.0.0.1.
 *
 * @throws {Error} with its last words when it ends before that, or takes longer than 10 s.
 */
export async function untilAccepting(running: RunningProcess, port: number): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < deadline) {
    if (running.exitStatus !== null) throw new Error(`${running.name} ended with ${running.exitStatus}: ${running.errorOutput}`);
    if (await accepts(port)) return;
    await delay(20);
  }
  throw new Error(`${running.name} did not accept connections within ${READY_TIMEOUT_MS / 1000} s`);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
