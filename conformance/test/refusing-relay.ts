/** Our proxy behind a relay that changes what it says when it refuses, to show that the suites would notice. */
import { connect, createServer, type Socket } from 'node:net';
import { ForwardingProxy } from '../http1-readers/forwarding-proxy.ts';

/** What the relay makes of a refusal: another status, or a close without one; null leaves it as it is. */
export type ChangedRefusal = 500 | 503 | 'close' | 'twice' | null;

/** A proxy that is wrong when it refuses. */
export interface RefusingRelay {
  readonly port: number;
  close(): Promise<void>;
}

const REFUSAL = /HTTP\/1\.1 4\d\d /;

/** Starts it in front of an origin. */
export async function startRefusingRelay(originPort: number, changed: ChangedRefusal): Promise<RefusingRelay> {
  const proxy = new ForwardingProxy({ host: '127.0.0.1', port: originPort }, { request: {}, response: {} });
  const port = await proxy.listen();
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('end', () => other.end());
      socket.on('close', () => sockets.delete(socket));
    }
    client.on('data', (chunk) => upstream.write(chunk));
    upstream.on('data', (chunk) => {
      const text = chunk.toString('latin1');
      const at = text.search(REFUSAL);
      if (at < 0 || changed === null) {
        client.write(chunk);
      } else if (changed === 'close') {
        client.end(text.slice(0, at), 'latin1');
      } else if (changed === 'twice') {
        client.write(text + text.slice(at), 'latin1');
      } else {
        client.write(text.replace(REFUSAL, `HTTP/1.1 ${changed} `), 'latin1');
      }
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
      await proxy.close();
    },
  };
}
