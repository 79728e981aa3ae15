/** Load: `--bytes` through one connection, plain or TLS; one operation if the far end says that all of them came. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import { readArguments, report } from './command-line.ts';

const CHUNK = Buffer.alloc(65_536, 'a flow ');

const { to, bytes, isTls, authority } = readArguments();
// Half-open, which the types of `tls.connect` do not know.
const tlsOptions: ConnectionOptions & { readonly allowHalfOpen: boolean } = {
  ...to,
  ca: authority,
  servername: 'localhost',
  allowHalfOpen: true,
};
const socket = isTls ? connectTls(tlsOptions) : connectTcp({ ...to, allowHalfOpen: true });
await once(socket, isTls ? 'secureConnect' : 'connect');
let answer = '';
socket.setEncoding('latin1').on('data', (text: string) => (answer += text));
const start = performance.now();
let left = bytes;
while (left > 0) {
  const chunk = left < CHUNK.length ? CHUNK.subarray(0, left) : CHUNK;
  left -= chunk.length;
  if (!socket.write(chunk)) await once(socket, 'drain');
}
socket.end();
await once(socket, 'end');
const isWhole = Number(answer) === bytes;
report({ operations: isWhole ? 1 : 0, failures: isWhole ? 0 : 1, durationMs: performance.now() - start });
