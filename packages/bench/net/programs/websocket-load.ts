/** Load: `--connections` WebSocket clients (of the package ws), each with some messages of `--bytes` on their way (`--text`: as text), for `--seconds`; an operation is an echo. */
import { WebSocket } from 'ws';
import { readArguments, report } from './command-line.ts';

const ON_THEIR_WAY = 8;

const { to, connections, seconds, bytes, isText } = readArguments();
const payload = Buffer.alloc(bytes, 'echo ');
const message = isText ? payload.toString() : payload;
let operations = 0;
let failures = 0;
const clients = await Promise.all(Array.from({ length: connections }, open));
const start = performance.now();
for (const client of clients) for (let sent = 0; sent < ON_THEIR_WAY; sent++) client.send(message);
setTimeout(() => {
  for (const client of clients) client.terminate();
  report({ operations, failures, durationMs: performance.now() - start });
}, seconds * 1_000);

function open(): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const client = new WebSocket(`ws://${to.host}:${to.port}/`, { perMessageDeflate: false });
    client.once('open', () => resolve(client));
    client.on('error', reject);
    client.on('message', (data: Buffer) => {
      if (data.length === bytes) operations++;
      else failures++;
      client.send(message);
    });
  });
}
