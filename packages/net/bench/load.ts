/**
 * The other side of the benches, in a process of its own so that its CPU time is not counted: an echo server, and a load of connections that
 * each keep one message on the way; and a flow. Spoken to over the channel of `child_process.fork`.
 */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

interface Order {
  readonly port: number;
  readonly connections: number;
  readonly bytes: number;
  readonly messages: number;
}

const echo = createServer({ noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.on('data', (chunk) => socket.write(chunk));
});
// Sends without end to whoever connects.
const flow = createServer((socket) => {
  const block = Buffer.alloc(65_536, 0x62);
  const send = (): void => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('error', () => {});
  socket.on('drain', send);
  send();
});
await Promise.all([echo, flow].map((server) => once(server.listen(0, '127.0.0.1'), 'listening')));
process.send?.({ echoPort: (echo.address() as AddressInfo).port, flowPort: (flow.address() as AddressInfo).port });

process.on('message', (order: Order) => {
  const message = Buffer.alloc(order.bytes, 0x61);
  let left = order.messages;
  let open = order.connections;
  const sockets: Socket[] = [];
  const start = (): void => {
    process.send?.({ kind: 'started' });
    for (const socket of sockets) socket.write(message);
  };
  const finish = (): void => {
    if (--open > 0) return;
    process.send?.({ kind: 'done' });
    for (const socket of sockets) socket.destroy();
  };
  let connected = 0;
  for (let i = 0; i < order.connections; i++) {
    const socket = connect({ port: order.port, host: '127.0.0.1', noDelay: true }, () => {
      if (++connected === order.connections) setImmediate(start);
    });
    let pending = order.bytes;
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      pending -= chunk.length;
      if (pending > 0) return;
      pending += order.bytes;
      if (left-- > 0) socket.write(message);
      else finish();
    });
    sockets.push(socket);
  }
});
