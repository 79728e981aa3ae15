/** A TLS server that makes handshakes and then waits for its clients to go: `--kind ferrata` or `node`; with `--refuse` its filter refuses all. */
import { createServer } from 'node:tls';
import { listen } from '@ferrata/net';
import type { L4Sink } from '@ferrata/stream';
import { announce, announceWhenListening } from '../../proxy/baselines/serve.ts';
import { readArguments } from './command-line.ts';

const { kind, isRefusing, certificate, key } = readArguments();
const waiting: L4Sink = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

if (kind === 'node') {
  // The group that the other two choose: Node's own first choice (X25519MLKEM768) is dearer.
  const server = createServer({ cert: certificate, key, ecdhCurve: 'X25519' }, (socket) => {
    socket.on('error', () => {});
    socket.resume();
  });
  server.on('tlsClientError', () => {});
  announceWhenListening(server);
} else {
  const listener = await listen(
    {
      host: '127.0.0.1',
      port: 0,
      tls: { certificates: [{ certificate, key }] },
      ...(isRefusing ? { filter: { shouldAccept: () => false } } : {}),
    },
    (stream) => stream.attach(waiting),
  );
  if (listener.address.kind === 'ip') announce(listener.address.port);
}
process.once('SIGTERM', () => process.exit(0));
