/** A relay from TCP or TLS (`--tls`) to a TCP address: `--kind ferrata` by the streams of Ferrata, or `node` by `pipe`. */
import { connect as connectTcp, createServer as createTcpServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { connect, listen } from '@ferrata/net';
import { relay } from '@ferrata/stream';
import { announce, announceWhenListening } from '../../proxy/baselines/serve.ts';
import { readArguments } from './command-line.ts';

const { kind, to, isTls, certificate, key } = readArguments();

if (kind === 'node') {
  const join = (client: Socket): void => {
    const upstream = connectTcp({ ...to, noDelay: true });
    client.pipe(upstream).pipe(client);
    for (const socket of [client, upstream]) {
      socket.on('error', () => {
        client.destroy();
        upstream.destroy();
      });
    }
  };
  const server = isTls
    ? createTlsServer({ cert: certificate, key, allowHalfOpen: true }, join)
    : createTcpServer({ allowHalfOpen: true, noDelay: true }, join);
  announceWhenListening(server);
} else {
  const listener = await listen(
    { host: '127.0.0.1', port: 0, ...(isTls ? { tls: { certificates: [{ certificate, key }] } } : {}) },
    (client) => {
      connect(to).then(
        (upstream) => void relay(client, upstream),
        () => client.abort(),
      );
    },
  );
  if (listener.address.kind === 'ip') announce(listener.address.port);
}
process.once('SIGTERM', () => process.exit(0));
