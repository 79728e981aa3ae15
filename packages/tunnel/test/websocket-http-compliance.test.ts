/** Streams over WebSocket as they come out of a handshake, over HTTP/1.1 and HTTP/2 (RFC 8441), plain and over TLS, under the tests of the stream contract. */
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpEnvironment, HttpServer, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { connect, type ListenOptions, listen } from '@ferrata/net';
import type { L4Stream } from '@ferrata/stream';
import { memoryPair } from '@ferrata/stream';
import { type CompliancePair, streamCompliance } from '@ferrata/testkit';
import { acceptWebSocketStream, connectWebSocketStream } from '@ferrata/tunnel';
import { clientOn, settle, VERSIONS, type Version } from './rig.ts';

const followed: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

const authority = await createAuthority();
const { chain, key } = await authority.issue({ names: ['localhost'] });

/** A pair whose `a` is the client's end, over what `carry` joins. */
async function pair(
  version: Version,
  carry: (server: HttpServer) => Promise<{ readonly client: L4Stream; close(): unknown }>,
): Promise<CompliancePair> {
  const environment = new HttpEnvironment();
  const accepted = Promise.withResolvers<L4Stream>();
  const server = new HttpServer(
    {
      onRequest(exchange: ServerExchange) {
        const stream = acceptWebSocketStream(exchange, { session: { environment } });
        if (stream === null) accepted.reject(new Error('the handshake was refused'));
        else accepted.resolve(stream);
        return followed;
      },
    },
    { environment, http2: { extendedConnect: true } },
  );
  const { client, close } = await carry(server);
  const session = clientOn(client, version, environment);
  // Over HTTP/2 the server's SETTINGS must have come before a client may ask (RFC 8441 §3).
  while (version === 'http2' && !session.takesExtendedConnect) await settle();
  const a = await connectWebSocketStream(session, { environment, authority: 'localhost' });
  const b = await accepted.promise;
  return {
    a,
    b,
    async close() {
      session.close();
      server.close();
      await close();
    },
  };
}

async function inMemory(server: HttpServer): Promise<{ readonly client: L4Stream; close(): void }> {
  const { a, b } = memoryPair();
  server.accept(b);
  return { client: a, close: () => a.abort() };
}

async function overTls(server: HttpServer): Promise<{ readonly client: L4Stream; close(): Promise<void> }> {
  const options: ListenOptions = { host: '127.0.0.1', port: 0, tls: { certificates: [{ certificate: chain, key }] } };
  const listener = await listen(options, (stream) => server.accept(stream));
  const client = await connect(listener.address, { tls: { ca: authority.certificate, serverName: 'localhost' } });
  return { client, close: () => listener.close() };
}

for (const version of VERSIONS) {
  streamCompliance(`WebSocket over ${version}`, () => pair(version, inMemory));
  streamCompliance(`WebSocket over ${version}, the server's end`, async () => {
    const { a, b, close } = await pair(version, inMemory);
    return { a: b, b: a, ...(close === undefined ? {} : { close }) };
  });
}
streamCompliance('WebSocket over http2 over TLS', () => pair('http2', overTls), { runs: 5 });
