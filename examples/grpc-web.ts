/**
 * gRPC for browsers: gRPC-Web over HTTP/1.1 or HTTP/2 in front, an ordinary gRPC server over HTTP/2 behind: `node examples/grpc-web.ts 127.0.0.1:50051 127.0.0.1:8080 https://app.example`.
 *
 * Requests of gRPC itself go through as they are. Browsers ask from a page of another site, so that needs to be allowed (CORS).
 */
import { once } from 'node:events';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { cors, grpcWeb } from '@ferrata/http-modules';
import { listen } from '@ferrata/net';
import { HttpProxy } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const [to = '127.0.0.1:50051', at = '127.0.0.1:8080', site = 'http://localhost:5173'] = process.argv.slice(2);

const environment = new HttpEnvironment();
// Without TLS both sides know beforehand that it is HTTP/2; with `tls: true`, ALPN says so.
const origin = peer(to, { protocol: 'http2' });
const proxy = new HttpProxy(
  { upstreamPeer: () => origin },
  {
    environment,
    modules: [
      cors({
        origins: [site],
        requestHeaders: ['content-type', 'x-grpc-web', 'x-user-agent', 'grpc-timeout', 'authorization'],
        exposedHeaders: ['grpc-status', 'grpc-message'],
        maxAgeSeconds: 600,
      }),
      grpcWeb(),
    ],
  },
);

const server = new HttpServer(proxy, { environment });
const listener = await listen(at, (stream) => server.accept(stream));
const where = formatAddress(listener.address);
console.log(`ready ${where}`);
console.log(`behind it: a gRPC server at ${to}`);
console.log(
  `try: printf "\\0\\0\\0\\0\\0" | curl -i --data-binary @- -H "Content-Type: application/grpc-web+proto" http://${where}/a.Service/Method`,
);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
await server.drain(10_000);
proxy.close();
