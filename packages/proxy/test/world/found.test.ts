/** Minimal cases of what the worlds have found. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { ioError } from '@ferrata/error';
import { responseHead } from '@ferrata/headers';
import { HttpEnvironment, HttpServer, type ServerExchange } from '@ferrata/http';
import { type Defer, faulty, memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { DeadlineQueue } from '@ferrata/timeout';
import { latin1 } from './messages.ts';

test('a stream whose side a planned fault has ended is closed when its sink is told so (stream contract, state)', () => {
  const tasks: (() => void)[] = [];
  const defer: Defer = (task) => void tasks.push(task);
  const { a, b } = memoryPair({ defer });
  const server = faulty(b, [{ direction: 'outgoing', at: 3, kind: 'end' }], { defer });
  let stateAtClose = '';
  server.attach(new RecordingSink({ onClose: () => void (stateAtClose = server.state) }));
  a.attach(new RecordingSink({ onEnd: () => a.end() }));
  server.write(new Uint8Array(10));
  for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
  assert.equal(stateAtClose, 'closed');
  assert.equal(server.state, 'closed');
});

test('a client that takes nothing is let go also when its last answer is held back for it (seed 20260901, world 1145)', async () => {
  const environment = makeEnvironment();
  const { server, clock } = environment;
  const { a, b } = memoryPair({ highWaterBytes: 1, defer: environment.defer });
  a.attach(new RecordingSink());
  a.pause();
  server.accept(b);
  a.write(latin1('GET / HTTP/1.1\r\nHost: a\r\n\r\n'));
  environment.settle();
  // An interim response fills the stream; then the request fails, and the answer waits for room that never comes.
  const [exchange] = environment.exchanges;
  exchange?.sendInterim(responseHead(103));
  await Promise.resolve();
  exchange?.abort(ioError('UPSTREAM_GONE', 'as planned'));
  for (let second = 0; second < 120; second++) {
    environment.settle();
    clock.advance(1_000);
    await Promise.resolve();
  }
  assert.equal(server.connectionCount, 0);
  assert.equal(environment.deadlines.size, 0);
});

/** A server that answers nothing by itself, on a clock that is moved by hand. */
function makeEnvironment(): {
  readonly server: HttpServer;
  readonly clock: ManualClock;
  readonly deadlines: DeadlineQueue;
  readonly exchanges: ServerExchange[];
  readonly defer: Defer;
  readonly settle: () => void;
} {
  const clock = new ManualClock();
  const deadlines = new DeadlineQueue({ clock });
  const exchanges: ServerExchange[] = [];
  const tasks: (() => void)[] = [];
  const server = new HttpServer(
    {
      onRequest: (exchange) => {
        exchanges.push(exchange);
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    },
    { environment: new HttpEnvironment({ clock, deadlines }) },
  );
  const settle = (): void => {
    for (let task = tasks.shift(); task !== undefined; task = tasks.shift()) task();
  };
  return { server, clock, deadlines, exchanges, defer: (task) => void tasks.push(task), settle };
}
