/** Node's sockets as L4 streams, for tests: `net`, which does it for programs, stands beside this package. */
import type { Socket } from 'node:net';
import { type L4Stream, memoryPair } from '@ferrata/stream';

/** A socket as an L4 stream: joined to one end of a memory pair, of which the other end is given. */
export function streamOf(socket: Socket): L4Stream {
  const { a, b } = memoryPair();
  a.attach({
    onData: (chunk) => {
      if (socket.write(chunk)) return;
      a.pause();
      socket.once('drain', () => a.resume());
    },
    onDrain: () => socket.resume(),
    onEnd: () => socket.end(),
    onClose: () => socket.destroy(),
  });
  socket.on('data', (chunk) => {
    if (!a.write(Uint8Array.from(chunk))) socket.pause();
  });
  socket.on('end', () => a.end());
  socket.on('error', () => a.abort());
  socket.on('close', () => a.abort());
  return b;
}
