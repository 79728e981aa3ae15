/** The end of a flow: reads and drops all, and answers the end with the number of bytes that came. */
import { createServer } from 'node:net';
import { announceWhenListening } from '../../proxy/baselines/serve.ts';

const server = createServer({ allowHalfOpen: true }, (socket) => {
  let bytes = 0;
  socket.on('error', () => {});
  socket.on('data', (chunk: Buffer) => (bytes += chunk.length));
  socket.on('end', () => socket.end(String(bytes)));
});
announceWhenListening(server);
process.once('SIGTERM', () => process.exit(0));
