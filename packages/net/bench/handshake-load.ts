/** The clients of `refused.bench.ts`: opens so many connections, eight at a time, with a full TLS handshake or none, and waits for each to close. */
import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

interface Order {
  readonly port: number;
  readonly connections: number;
  readonly isTls: boolean;
}

function open({ port, isTls }: Order, onClosed: () => void): void {
  const target = { port, host: '127.0.0.1' };
  // Nobody is verified: it is the server's cost that counts.
  const socket: Socket = isTls ? connectTls({ ...target, rejectUnauthorized: false }) : connectSocket(target);
  socket.on('error', () => {});
  socket.on('close', onClosed);
  socket.resume();
}

process.on('message', (order: Order) => {
  let left = order.connections;
  let isOpen = 0;
  const next = (): void => {
    if (left === 0 && isOpen === 0) return void process.send?.('done');
    if (left === 0) return;
    left--;
    isOpen++;
    open(order, () => {
      isOpen--;
      next();
    });
  };
  for (let i = 0; i < 8; i++) next();
});
process.send?.('ready');
