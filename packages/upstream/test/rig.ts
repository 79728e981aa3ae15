/** What the tests of a connector share: the least request, nobody who follows it, an origin that answers when it is told to, and waiting for what is deferred. */
import assert from 'node:assert/strict';
import { ManualClock } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import {
  type ClientExchange,
  type ClientExchangeHandler,
  type ClientSession,
  HttpEnvironment,
  HttpServer,
  respond,
  type ServerExchange,
} from '@ferrata/http';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { UpstreamConnector, type UpstreamConnectorOptions } from '@ferrata/upstream';

/** Lets everything that is deferred happen, what waits for the end of a turn too. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 4; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** Follows an exchange and does nothing. */
const nobody: ClientExchangeHandler = {
  onInterim: () => {},
  onResponse: () => {},
  onTunnel: () => {},
  onResponseData: () => {},
  onResponseEnd: () => {},
  onRequestDrain: () => {},
  onClientClose: () => {},
};

/** Sends a request that nobody follows. */
export function send(session: ClientSession): ClientExchange {
  return session.request(requestHead('GET', '/', { headers: { Host: 'h' } }), { bodyLength: 0, upgrade: null }, nobody);
}

/** The WireError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<WireError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(isWireError(thrown), String(thrown));
    return thrown;
  }
  assert.fail('it was fulfilled');
}

/** A connector, and origins of both versions behind pairs in memory: `answer` has them answer what waits, the oldest first, all or so many. */
export function originRig(more: Partial<UpstreamConnectorOptions> = {}) {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock });
  const waiting: ServerExchange[] = [];
  const ends: L4Stream[] = [];
  const server = new HttpServer(
    {
      onRequest(exchange) {
        waiting.push(exchange);
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    },
    { environment },
  );
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      const { a, b } = memoryPair({ clock });
      ends.push(b);
      server.accept(b);
      return a;
    },
    ...more,
  });
  const answer = async (count = waiting.length): Promise<void> => {
    for (const exchange of waiting.splice(0, count)) respond(exchange, 200, { body: 'ok' });
    await settle();
  };
  return { clock, environment, server, connector, waiting, ends, answer };
}

/** Ends a connector and its origins: no connection, no end of one and no deadline is left. */
export async function assertNothingLeft({
  connector,
  server,
  clock,
  ends,
  environment,
}: Pick<ReturnType<typeof originRig>, 'connector' | 'server' | 'clock' | 'ends' | 'environment'>): Promise<void> {
  connector.close();
  server.close();
  await settle();
  assert.equal(connector.connectionCount, 0);
  // An end of HTTP/2 reads on for a while after its GOAWAY.
  clock.advance(60_000);
  await settle();
  assert.deepEqual([ends.filter(({ state }) => state !== 'closed').length, environment.deadlines.size], [0, 0]);
}
