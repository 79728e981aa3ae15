/**
 * What one proxied request costs without a kernel, in CPU time: two HTTP/1 connections, a proxy between them, all in memory.
 *
 * `node packages/proxy/bench/exchange.bench.ts` · baseline: the same bytes relayed between the same streams, unparsed.
 */

import { latin1Encode } from '@ferrata/bytes';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { type L4Sink, type L4Stream, memoryPair, relay } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';

const requestBytes = latin1Encode('GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n');
const responseBytes = latin1Encode(
  'HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Sun, 22 Nov 2026 08:00:00 GMT\r\nContent-Type: text/plain\r\n' +
    `Content-Length: 100\r\nConnection: keep-alive\r\n\r\n${'x'.repeat(100)}`,
);

/** Answers every chunk with the canned response. */
class CannedOrigin implements L4Sink {
  readonly #stream: L4Stream;
  constructor(stream: L4Stream) {
    this.#stream = stream;
    stream.attach(this);
  }
  onData(): void {
    this.#stream.write(responseBytes);
  }
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}
}

/** Sends the next request when a response has come, `count` times. */
class SerialClient implements L4Sink {
  readonly done: Promise<void>;
  readonly #stream: L4Stream;
  readonly #resolve: () => void;
  #left: number;
  constructor(stream: L4Stream, count: number) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.done = promise;
    this.#resolve = resolve;
    this.#stream = stream;
    this.#left = count;
    stream.attach(this);
    stream.write(requestBytes);
  }
  onData(): void {
    if (--this.#left === 0) this.#resolve();
    else this.#stream.write(requestBytes);
  }
  onDrain(): void {}
  onEnd(): void {}
  onClose(): void {}
}

async function runProxy(count: number): Promise<number> {
  const environment = new HttpEnvironment();
  const origin = peer('127.0.0.1:9000', { connection: { maxRequests: Number.MAX_SAFE_INTEGER } });
  const proxy = new HttpProxy<null>(
    { newContext: () => null, upstreamPeer: () => origin, upstreamRequestFilter: appendForwarded },
    {
      environment,
      upstream: {
        connect: async () => {
          const { a, b } = memoryPair();
          new CannedOrigin(b);
          return a;
        },
      },
    },
  );
  const server = new HttpServer(proxy, { environment, connection: { maxRequests: Number.MAX_SAFE_INTEGER } });
  const { a: clientEnd, b: serverEnd } = memoryPair();
  server.accept(serverEnd);
  const before = process.cpuUsage();
  await new SerialClient(clientEnd, count).done;
  const { user, system } = process.cpuUsage(before);
  server.close();
  return ((user + system) * 1e3) / count;
}

async function runRelay(count: number): Promise<number> {
  const { a: clientEnd, b: a } = memoryPair();
  const { a: b, b: originEnd } = memoryPair();
  new CannedOrigin(originEnd);
  relay(a, b);
  const before = process.cpuUsage();
  await new SerialClient(clientEnd, count).done;
  const { user, system } = process.cpuUsage(before);
  clientEnd.abort();
  return ((user + system) * 1e3) / count;
}

const count = Number(process.argv[2] ?? 100_000);
await runProxy(count);
await runRelay(count);
const proxied: number[] = [];
const relayed: number[] = [];
for (let round = 0; round < 5; round++) {
  proxied.push(await runProxy(count));
  relayed.push(await runRelay(count));
}
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
console.log(`relayed  ${median(relayed).toFixed(0)} ns an exchange`);
console.log(`proxied  ${median(proxied).toFixed(0)} ns an exchange, ${(median(proxied) / median(relayed)).toFixed(2)} × relayed`);
process.exit(0);
