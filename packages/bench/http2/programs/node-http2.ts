/** Baseline: node:http2's stream API, which answers `/SIZE` by itself, and `/wait` never. */
import { createServer } from 'node:http2';
import { announceWhenListening } from '../../proxy/baselines/serve.ts';
import { bodyOf } from './bodies.ts';

const server = createServer({ settings: { maxConcurrentStreams: 1_000 } });
server.on('stream', (stream, headers) => {
  const body = bodyOf(headers[':path'] ?? '');
  // A client that goes away is no fault of this program.
  stream.on('error', () => {});
  if (body === null) return;
  stream.respond({ ':status': 200, 'content-type': 'text/plain', 'content-length': String(body.length) });
  stream.end(body);
});
announceWhenListening(server);
