/** Streams over WebSocket under the tests of the stream contract. */
import { memoryPair } from '@ferrata/stream';
import { streamCompliance } from '@ferrata/testkit';
import { Role } from '@ferrata/websocket';
import { webSocketStream, zlibCompression } from '../src/index.ts';

streamCompliance('WebSocket, client', () => {
  const { a, b } = memoryPair();
  return { a: webSocketStream(Role.client, a), b: webSocketStream(Role.server, b) };
});

streamCompliance('WebSocket, server', () => {
  const { a, b } = memoryPair();
  return { a: webSocketStream(Role.server, a), b: webSocketStream(Role.client, b) };
});

streamCompliance(
  'WebSocket in WebSocket, compressed',
  () => {
    const agreement = {
      subprotocol: null,
      deflate: { serverNoContextTakeover: false, clientNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 12 },
    };
    const options = { compression: zlibCompression(), compressFromBytes: 64 };
    const { a, b } = memoryPair();
    const inner = { a: webSocketStream(Role.client, a), b: webSocketStream(Role.server, b) };
    return {
      a: webSocketStream(Role.client, inner.a, options, undefined, agreement),
      b: webSocketStream(Role.server, inner.b, options, undefined, agreement),
    };
  },
  { runs: 10 },
);
