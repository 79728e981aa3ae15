/**
 * HTTP without connections: each datagram carries a whole request, and is answered by a datagram with the whole response:
 * `node examples/http-in-datagrams.ts 127.0.0.1:8053`.
 *
 * A server takes any stream. Here each message goes in at one end of a pair in memory, and the answer comes out of it again, so that the server, its
 * limits and its time-outs are those of every other HTTP server. The same works for HTTP in a queue, a mail, or a message of any other protocol.
 *
 * A source address may be forged, so no more than four times what came from one is sent there. The answer here has some 150 bytes: a first question of
 * less than 40 gets none, and is to be padded (`X-Padding: …`), as QUIC pads its first datagram.
 */
import { once } from 'node:events';
import { concatBytes } from '@ferrata/bytes';
import { limitError, protocolError } from '@ferrata/error';
import { HttpServer, respond, type ServerExchangeHandler } from '@ferrata/http';
import { listenUdp } from '@ferrata/net';
import { formatAddress, memoryPair, StreamReader } from '@ferrata/stream';

/** What fits into one datagram everywhere but on the narrowest of links (RFC 8085 §3.2). */
const MAX_RESPONSE_BYTES = 1_200;

const [at = '127.0.0.1:8053'] = process.argv.slice(2);
const answered: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

const server = new HttpServer(
  {
    onRequest(exchange) {
      // One answer a message: what follows it finds the connection closed.
      respond(exchange, 200, {
        headers: { Connection: 'close' },
        body: `${exchange.request.method} ${exchange.request.target} by datagram\n`,
      });
      return answered;
    },
  },
  { maxConnections: 1_000, http2: false },
);

/** Serves one message. @throws {WireError} rejects when it is no request, or the response does not fit into a datagram */
async function serve(message: Uint8Array): Promise<Uint8Array> {
  const { a, b } = memoryPair();
  server.accept(b);
  a.write(message);
  a.end();
  try {
    const pieces: Uint8Array[] = [];
    let size = 0;
    for await (const piece of new StreamReader(a)) {
      size += piece.length;
      if (size > MAX_RESPONSE_BYTES) throw limitError('RESPONSE_TOO_LONG', `more than ${MAX_RESPONSE_BYTES} bytes`);
      pieces.push(piece);
    }
    if (size === 0) throw protocolError('NO_REQUEST', 'the message is no request');
    return concatBytes(pieces);
  } finally {
    a.abort();
  }
}

const flows = await listenUdp({ address: at, maxAmplification: 4 }, (flow) => {
  flow.attach({
    onDatagram: (message) => {
      serve(message).then(
        (response) => {
          if (!flow.send(response)) console.log(`no answer: its ${response.length} bytes are too many for a question of ${message.length}`);
        },
        (error: unknown) => console.log(`no answer: ${String(error)}`),
      );
    },
    onClose() {},
  });
});
console.log(`ready ${formatAddress(flows.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await flows.close();
server.close();
