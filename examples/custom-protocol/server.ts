/**
 * The store of key-value.ts on every address given: `node examples/custom-protocol/server.ts 127.0.0.1:6379 unix:./store.sock tls:127.0.0.1:6380`.
 *
 * `tls:` needs a certificate and its key in the variables CERT and KEY: `ferrata cert dev localhost 127.0.0.1` makes them.
 */
import { once } from 'node:events';
import { systemClock } from '@ferrata/clock';
import { type Listener, listen } from '@ferrata/net';
import { formatAddress, idleTimeout, type L4Stream } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import { Store, serveKeyValue } from './key-value.ts';

/** How long a connection may lie still. */
const IDLE_TIMEOUT_MS = 60_000;

const { CERT = '', KEY = '' } = process.env;
const store = new Store();
const deadlines = new DeadlineQueue({ clock: systemClock });
const listeners: Listener[] = [];

function serve(stream: L4Stream): void {
  void serveKeyValue(idleTimeout(stream, IDLE_TIMEOUT_MS, deadlines), store);
}

for (const where of process.argv.slice(2)) {
  const isTls = where.startsWith('tls:');
  const tls = isTls ? { tls: { certificates: [{ certificateFile: CERT, keyFile: KEY }] } } : {};
  const listener = await listen({ address: isTls ? where.slice(4) : where, ...tls }, serve);
  listeners.push(listener);
  console.log(`ready ${isTls ? 'tls:' : ''}${formatAddress(listener.address)}`);
}

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
for (const listener of listeners) await listener.close();
process.exit();
