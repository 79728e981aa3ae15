/**
 * A proxy whose clients show certificates; the origin, which sees none of them, is told whose request it is:
 * `node examples/client-cert-upstream.ts 127.0.0.1:3000 127.0.0.1:8443 CERT KEY CLIENT-CA`.
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { handshakeExtension, listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:3000', at = '127.0.0.1:8443', certificateFile = 'server.pem', keyFile = 'server-key.pem', caFile = 'ca.pem'] =
  process.argv.slice(2);

/** What the origin is told: made once a connection, when the handshake is complete. Clients may have no certificate; a bad one is refused. */
const client = handshakeExtension(({ peerCertificate }) => {
  if (peerCertificate === null) return 'none';
  const { subject, sha256, serialNumber } = peerCertificate;
  return `sha256=${sha256}; serial=${serialNumber}; cn="${harmless(subject.commonName)}"; o="${harmless(subject.organisation)}"`;
});

/** A name may hold any character, quotes and line breaks too. */
const harmless = (name: string | null): string => encodeURIComponent((name ?? '').toWellFormed());

const environment = new HttpEnvironment();
const origin = peer(to);
const proxy = new HttpProxy(
  {
    upstreamPeer: () => origin,
    // `set` takes the place of what a client has made up.
    upstreamRequestFilter: (session, { headers }) => void headers.set('X-Client-Cert', client.of(session.client) ?? 'none'),
  },
  { environment },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(
  {
    address: at,
    tls: {
      certificates: [{ certificateFile, keyFile }],
      alpn: ['h2', 'http/1.1'],
      clientCertificates: { mode: 'optional', ca: readFileSync(caFile, 'utf8') },
      handshakeComplete: client,
    },
  },
  (stream) => server.accept(stream),
);
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: node examples/http-server.ts ${to}`);
console.log(`try: curl -i --cacert CA --cert CLIENT --key CLIENT-KEY https://${where}/`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
