/** Load: opens `--connections` TLS connections, says so, and holds them until it is ended. */
import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { readArguments } from './command-line.ts';

const AT_ONCE = 32;

const { to, connections, authority } = readArguments();
const held: TLSSocket[] = [];
let opened = 0;
let failures = 0;

async function open(): Promise<void> {
  while (held.length < connections) {
    // All of 127/8 is loopback: ports do not run out.
    const below = connectTcp({ ...to, localAddress: `127.0.3.${1 + (held.length % 200)}` });
    const socket = connect({ socket: below, ca: authority, servername: 'localhost' });
    held.push(socket);
    await new Promise<void>((resolve) => {
      socket.once('secureConnect', () => {
        opened++;
        resolve();
      });
      socket.once('close', () => {
        failures++;
        resolve();
      });
      socket.on('error', () => {});
    });
  }
}

const start = performance.now();
await Promise.all(Array.from({ length: AT_ONCE }, open));
process.stdout.write(`REPORT ${JSON.stringify({ operations: opened, failures, durationMs: performance.now() - start })}\n`);
process.once('SIGTERM', () => process.exit(0));
