/**
 * What is over must not outlive collections of the young generation: with a `Set` or a `Map` that changes with each request, it does, as their tables
 * point to those that replace them, and what is dead in the old generation keeps alive what it points to.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import {
  Http2ClientSession,
  HttpEnvironment,
  HttpServer,
  resolveHttp2ClientOptions,
  respond,
  type ServerExchangeHandler,
} from '@ferrata/http';
import { memoryPair } from '@ferrata/stream';
import { ClientFollower, request } from './rig.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as (options: { readonly type: 'major' | 'minor' }) => void;

/** What each exchange carries along, so that those that are kept are seen. */
const BALLAST = 8_192;
const nothing = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {} };
const owner = { onSessionIdle() {}, onSessionClose() {} };
const bodyless = { bodyLength: 0, upgrade: null };

/** Lets the event loop come round until everything has gone both ways. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 6; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function loadedServer(environment: HttpEnvironment): HttpServer {
  const application = {
    onRequest(exchange: Parameters<typeof respond>[0]): ServerExchangeHandler {
      const ballast = new Array<number>(BALLAST / 8).fill(exchange.startedAt);
      void Promise.resolve().then(() => respond(exchange, ballast.length > 0 ? 204 : 500));
      return { ...nothing, onExchangeClose: () => void ballast.length };
    },
  };
  return new HttpServer(application, { environment });
}

/** Bytes by which the heap has grown over `rounds`, with collections of the young generation alone. */
async function growth(round: (index: number) => Promise<void>, rounds: number): Promise<number> {
  const run = async (from: number, to: number): Promise<void> => {
    for (let index = from; index < to; index++) {
      await round(index);
      if (index % 10 === 0) collect({ type: 'minor' });
    }
  };
  await run(0, 300);
  collect({ type: 'major' });
  const before = process.memoryUsage().heapUsed;
  await run(300, 300 + rounds);
  collect({ type: 'minor' });
  collect({ type: 'minor' });
  return process.memoryUsage().heapUsed - before;
}

describe('the young generation', () => {
  test('exchanges that are over do not pile up on connections of HTTP/2', async () => {
    const environment = new HttpEnvironment();
    const server = loadedServer(environment);
    const sessions = Array.from({ length: 8 }, () => {
      const { a, b } = memoryPair();
      server.accept(b);
      return new Http2ClientSession(a, environment, resolveHttp2ClientOptions({}), owner);
    });
    for (const session of sessions) session.start();
    await turns();
    let count = 0;
    const grown = await growth(async (index) => {
      const session = sessions[index % sessions.length] as Http2ClientSession;
      const burst = 1 + ((index * 7) % 11);
      count += burst;
      for (let left = burst; left > 0; left--) session.request(request(), bodyless, new ClientFollower());
      await turns();
    }, 1_000);
    assert.ok(grown < 0.1 * count * BALLAST, `${grown} bytes, of ${count * BALLAST}`);
    for (const session of sessions) session.close();
    server.close();
  });
});
