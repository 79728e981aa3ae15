/** A server that answers early and closes with bytes unread resets the connection: what it answered is read all the same. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { test } from 'node:test';
import type { WireError } from '@ferrata/error';
import { connect } from '@ferrata/net';

test('an answer that came before a failed write is delivered, then the failure', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      // Closed with most of the upload unread: the kernel sends a reset after the answer.
      socket.write('early answer', () => socket.destroy());
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const stream = await connect({ host: '127.0.0.1', port });
  let received = '';
  const { promise, resolve } = Promise.withResolvers<{ readonly error: WireError | null; readonly received: string }>();
  stream.attach({
    onData: (chunk) => (received += Buffer.from(chunk).toString('latin1')),
    onDrain() {
      stream.write(new Uint8Array(65_536));
    },
    onEnd() {
      stream.end();
    },
    onClose: (error) => resolve({ error, received }),
  });
  while (stream.write(new Uint8Array(65_536)));
  const end = await promise;
  assert.equal(end.received, 'early answer');
  assert.match(end.error?.reason ?? 'no failure', /^CONNECTION_(RESET|BROKEN_PIPE)$/);
  server.close();
});
