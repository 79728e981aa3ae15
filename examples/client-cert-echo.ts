/**
 * A server that knows its clients by their certificates: `node examples/client-cert-echo.ts 127.0.0.1:8443 CERT KEY CLIENT-CA`.
 *
 * The certificate is read once, when the handshake is complete; what was read stays with the connection, and each request on it, over HTTP/1 and
 * HTTP/2, finds it there with its type.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { HttpServer, respond, type ServerExchangeHandler } from '@ferrata/http';
import { handshakeExtension, listen } from '@ferrata/net';
import { formatAddress } from '@ferrata/stream';

const [at = '127.0.0.1:8443', certificateFile = 'server.pem', keyFile = 'server-key.pem', caFile = 'ca.pem'] = process.argv.slice(2);

/** Who the client is: of the type that its function returns. */
const client = handshakeExtension((tls) => ({
  organisation: tls.peerCertificate?.subject.organisation ?? 'no organisation',
  serialNumber: tls.peerCertificate?.serialNumber ?? 'none',
}));

const answered: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

const server = new HttpServer({
  onRequest(exchange) {
    const who = client.of(exchange.info);
    if (who === null) respond(exchange, 500);
    else respond(exchange, 200, { body: `${who.organisation} ${who.serialNumber}\n` });
    return answered;
  },
});
const listener = await listen(
  {
    address: at,
    tls: {
      certificates: [{ certificateFile, keyFile }],
      alpn: ['h2', 'http/1.1'],
      clientCertificates: { mode: 'required', ca: readFileSync(caFile, 'utf8') },
      handshakeComplete: client,
    },
    onHandshakeFailed: (error) => console.log(`refused: ${error.message}`),
  },
  (stream) => server.accept(stream),
);
console.log(`ready ${formatAddress(listener.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
