/** The stages between the accept and `onStream`: filter, PROXY header, TLS, over sockets. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import { formatAddress, type L4Stream, type StreamInfo } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import {
  type AcceptOptions,
  type ConnectionFilter,
  connect,
  everyFilter,
  type Listener,
  type ListenOptions,
  listen,
  perSource,
} from '../src/index.ts';
import { endOfConnection, until } from './pairs.ts';

interface Rig {
  readonly listener: Listener;
  readonly streams: L4Stream[];
  readonly refused: { error: WireError; info: StreamInfo }[];
  readonly errors: WireError[];
  [Symbol.asyncDispose](): Promise<void>;
}

/** A listener that says hello on every stream that gets through. */
async function rig(options: AcceptOptions, where: Partial<ListenOptions> = { host: '127.0.0.1', port: 0 }): Promise<Rig> {
  const streams: L4Stream[] = [];
  const refused: Rig['refused'] = [];
  const errors: WireError[] = [];
  const listener = await listen(
    {
      ...where,
      onRefused: (error, info) => refused.push({ error, info }),
      onError: (error) => errors.push(error),
      ...options,
    },
    (stream) => {
      streams.push(stream);
      stream.attach(new RecordingSink());
      stream.write(Buffer.from('hello'));
    },
  );
  return {
    listener,
    streams,
    refused,
    errors,
    [Symbol.asyncDispose]: async () => {
      for (const stream of streams) stream.abort();
      await listener.close();
    },
  };
}

/** Connects, sends a word, and waits for the greeting. */
async function greeted(listener: Listener): Promise<L4Stream> {
  const sink = new RecordingSink();
  const client = await connect(listener.address);
  client.attach(sink);
  client.write(Buffer.from('a word'));
  await sink.untilBytes(5);
  assert.equal(sink.text(), 'hello');
  return client;
}

function counts(listener: Listener): object {
  const { acceptedCount, refusedCount, shedCount, pendingCount, connectionCount } = listener;
  return { acceptedCount, refusedCount, shedCount, pendingCount, connectionCount };
}

describe('the filter', () => {
  test('three are accepted, the fourth is reset before a byte is exchanged', async () => {
    let asked = 0;
    await using it = await rig({ filter: { shouldAccept: () => ++asked <= 3 } });
    const clients = [await greeted(it.listener), await greeted(it.listener), await greeted(it.listener)];
    assert.equal((await endOfConnection(it.listener.address))?.reason, 'CONNECTION_RESET');
    await until(() => it.listener.connectionCount === 3);
    assert.deepEqual(counts(it.listener), { acceptedCount: 3, refusedCount: 1, shedCount: 0, pendingCount: 0, connectionCount: 3 });
    assert.equal(it.refused[0]?.error.reason, 'CONNECTION_FILTERED');
    for (const client of clients) client.abort();
  });

  test('sees the address of the peer, and may leave something for later layers', async () => {
    const filter: ConnectionFilter = {
      shouldAccept: (peer, info) => {
        assert.deepEqual(peer, info.remoteAddress);
        info.extension = formatAddress(peer);
        return true;
      },
    };
    await using it = await rig({ filter });
    const client = await greeted(it.listener);
    assert.equal(it.streams[0]?.info.extension, formatAddress(client.info.localAddress));
    client.abort();
  });

  test('a refusal is told with the address, also after the socket is gone', async () => {
    await using it = await rig({ filter: { shouldAccept: () => false } });
    await endOfConnection(it.listener.address);
    await until(() => it.listener.connectionCount === 0);
    const [refusal] = it.refused;
    assert.equal(refusal?.info.remoteAddress.kind, 'ip');
    assert.match(refusal?.error.context ?? '', /^127\.0\.0\.1:\d+$/);
  });

  test('a promise is waited for, and what the client has sent meanwhile is there', async () => {
    const answer = Promise.withResolvers<boolean>();
    await using it = await rig({ filter: { shouldAccept: () => answer.promise } });
    const sink = new RecordingSink();
    const client = await connect(it.listener.address);
    client.attach(sink);
    client.write(Buffer.from('early'));
    await until(() => it.listener.pendingCount === 1);
    assert.equal(it.streams.length, 0);
    answer.resolve(true);
    await until(() => it.streams.length === 1);
    const server = new RecordingSink();
    it.streams[0]?.attach(server);
    await server.untilBytes(5);
    assert.equal(server.text(), 'early');
    assert.equal(it.listener.pendingCount, 0);
    client.abort();
  });

  test('no byte is read while the filter has not answered', async () => {
    const answer = Promise.withResolvers<boolean>();
    await using it = await rig({ filter: { shouldAccept: () => answer.promise } });
    const client = await connect(it.listener.address);
    const sink = new RecordingSink();
    client.attach(sink);
    // More than both kernels' buffers hold: it can drain only if somebody reads.
    const flood = new Uint8Array(65_536);
    let sent = 0;
    while (sent < 16_777_216 && client.bufferedBytes < 524_288) {
      client.write(flood);
      sent += flood.length;
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    assert.ok(client.bufferedBytes >= 524_288, 'all of it was taken');
    answer.resolve(false);
    await sink.untilClose();
    assert.equal(it.streams.length, 0);
  });

  for (const [what, shouldAccept, reason] of [
    ['answers false later', () => Promise.resolve(false), 'CONNECTION_FILTERED'],
    ['answers garbage', () => 'yes', 'CONNECTION_FILTERED'],
    ['answers nothing', () => undefined, 'CONNECTION_FILTERED'],
    ['answers an object', () => ({}), 'CONNECTION_FILTERED'],
    ['answers garbage later', () => Promise.resolve(1), 'CONNECTION_FILTERED'],
    [
      'throws',
      () => {
        throw new Error('a bug');
      },
      'FILTER_THREW',
    ],
    ['rejects', () => Promise.reject(new Error('a bug')), 'FILTER_THREW'],
    [
      'rejects with garbage',
      () =>
        Promise.resolve().then(() => {
          throw Object.create(null) as Error;
        }),
      'FILTER_THREW',
    ],
    ['answers a thenable that throws', () => new Proxy({}, { get: () => assert.fail('a bug') }), 'FILTER_THREW'],
    ['never answers', () => new Promise(() => {}), 'FILTER_TIMEOUT'],
  ] as const) {
    test(`a filter that ${what} refuses, and listening goes on`, async () => {
      let calls = 0;
      const filter = { shouldAccept: () => (++calls === 1 ? shouldAccept() : true) } as unknown as ConnectionFilter;
      await using it = await rig({ filter, filterTimeoutMs: 20 });
      assert.equal((await endOfConnection(it.listener.address))?.reason, 'CONNECTION_RESET');
      await until(() => it.refused.length === 1);
      assert.equal(it.refused[0]?.error.reason, reason);
      (await greeted(it.listener)).abort();
      assert.equal(it.listener.pendingCount, 0);
    });
  }

  test('so many may take their time, and no more: who comes then is refused, and the filter is not asked', async () => {
    const answers: ((isAccepted: boolean) => void)[] = [];
    const filter: ConnectionFilter = { shouldAccept: () => new Promise((resolve) => answers.push(resolve)) };
    await using it = await rig({ filter, maxPendingFilters: 2 });
    const clients = [await connect(it.listener.address), await connect(it.listener.address)];
    await until(() => it.listener.pendingCount === 2);
    assert.equal((await endOfConnection(it.listener.address))?.reason, 'CONNECTION_RESET');
    assert.equal(it.refused[0]?.error.reason, 'FILTERS_PENDING');
    for (const answer of answers) answer(true);
    await until(() => it.streams.length === 2);
    assert.equal(it.listener.pendingCount, 0);
    const third = connect(it.listener.address);
    await until(() => answers.length === 3);
    answers[2]?.(true);
    await until(() => it.streams.length === 3);
    for (const client of [...clients, await third]) client.abort();
  });

  test('a promise that took too long counts until it settles, or has long been lost', async () => {
    const clock = new ManualClock();
    const answers: ((isAccepted: boolean) => void)[] = [];
    const filter: ConnectionFilter = { shouldAccept: () => new Promise((resolve) => answers.push(resolve)) };
    await using it = await rig({ filter, maxPendingFilters: 1, filterTimeoutMs: 1_000, clock });
    const reasons = (): string[] => it.refused.map(({ error }) => error.reason);
    const slow = endOfConnection(it.listener.address);
    await until(() => answers.length === 1);
    clock.advance(1_000);
    await slow;
    await endOfConnection(it.listener.address);
    assert.deepEqual(reasons(), ['FILTER_TIMEOUT', 'FILTERS_PENDING']);
    answers[0]?.(false);
    await new Promise<void>((resolve) => setImmediate(resolve));
    const second = endOfConnection(it.listener.address);
    await until(() => answers.length === 2);
    clock.advance(1_000);
    await second;
    clock.advance(8_999);
    await endOfConnection(it.listener.address);
    assert.equal(answers.length, 2, 'it may settle yet');
    clock.advance(1);
    const third = endOfConnection(it.listener.address);
    await until(() => answers.length === 3);
    answers[1]?.(false);
    await new Promise<void>((resolve) => setImmediate(resolve));
    await endOfConnection(it.listener.address);
    assert.deepEqual(reasons().slice(2), ['FILTER_TIMEOUT', 'FILTERS_PENDING', 'FILTERS_PENDING'], 'its place was not given back twice');
    answers[2]?.(false);
    await third;
  });

  test('a look-up that never answers leaves no count behind', async () => {
    let isOut = true;
    const lookUp = { shouldAccept: () => (isOut ? new Promise<boolean>(() => {}) : true) };
    await using it = await rig({ filter: everyFilter(perSource({ maxConcurrent: 1 }), lookUp), filterTimeoutMs: 10 });
    for (let i = 0; i < 2; i++) await endOfConnection(it.listener.address);
    assert.deepEqual(
      it.refused.map(({ error }) => error.reason),
      ['FILTER_TIMEOUT', 'FILTER_TIMEOUT'],
    );
    isOut = false;
    (await greeted(it.listener)).abort();
  });

  test('it is told of the end of what it has accepted, once, with the same facts, and of nothing else', async () => {
    const told: string[] = [];
    const seen = new Set<StreamInfo>();
    let calls = 0;
    const filter: ConnectionFilter = {
      shouldAccept: (_peer, info) => {
        seen.add(info);
        return ++calls % 2 === 1;
      },
      onClosed: (peer, info) => {
        assert.ok(seen.has(info));
        told.push(formatAddress(peer));
      },
    };
    await using it = await rig({ filter });
    const client = await greeted(it.listener);
    const name = formatAddress(client.info.localAddress);
    await endOfConnection(it.listener.address);
    assert.deepEqual(told, []);
    client.abort();
    await until(() => it.streams[0]?.state === 'peerEnded');
    it.streams[0]?.end();
    await until(() => told.length > 0);
    await until(() => it.listener.connectionCount === 0);
    assert.deepEqual(told, [name]);
  });

  test('a yes that comes too late is taken back', async () => {
    const late = Promise.withResolvers<boolean>();
    let closed = 0;
    const filter: ConnectionFilter = { shouldAccept: () => late.promise, onClosed: () => closed++ };
    await using it = await rig({ filter, filterTimeoutMs: 10 });
    await endOfConnection(it.listener.address);
    await until(() => it.listener.connectionCount === 0);
    assert.equal(closed, 0);
    late.resolve(true);
    await until(() => closed === 1);
    assert.equal(it.streams.length, 0);
  });

  test('a throw from onClosed or onRefused is told to onError, and listening goes on', async () => {
    const filter: ConnectionFilter = {
      shouldAccept: () => true,
      onClosed: () => {
        throw new Error('from onClosed');
      },
    };
    await using it = await rig({ filter });
    const client = await greeted(it.listener);
    client.abort(new Error('gone') as WireError);
    await until(() => it.errors.length === 1);
    assert.equal(it.errors[0]?.reason, 'LISTENER_CALLBACK_THREW');
    assert.match(String(it.errors[0].cause), /from onClosed/);

    await using other = await rig({
      filter: { shouldAccept: () => false },
      onRefused: () => Promise.reject(new Error('from onRefused')) as unknown as undefined,
    });
    await endOfConnection(other.listener.address);
    await until(() => other.errors.length === 1);
    assert.match(String(other.errors[0]?.cause), /from onRefused/);
  });

  test('caps come first: what is shed is not asked about', async () => {
    let asked = 0;
    await using it = await rig({ maxConnections: 0, filter: { shouldAccept: () => ++asked > 0 } });
    await endOfConnection(it.listener.address);
    assert.equal(it.listener.shedCount, 1);
    assert.equal(asked, 0);
  });

  test('a clock that breaks while a promise is pending refuses the connection, and leaves the books as they were', async () => {
    const clock = new ManualClock();
    const answer = Promise.withResolvers<boolean>();
    const closed: unknown[] = [];
    const filter = { shouldAccept: () => answer.promise, onClosed: (peer: unknown) => closed.push(peer) };
    await using it = await rig({ filter, clock });
    clock.schedule = () => {
      throw new Error('a broken clock');
    };
    await endOfConnection(it.listener.address);
    answer.resolve(true);
    await until(() => closed.length === 1);
    assert.deepEqual(counts(it.listener), { acceptedCount: 0, refusedCount: 1, shedCount: 0, pendingCount: 0, connectionCount: 0 });
    assert.equal(it.refused[0]?.error.reason, 'FILTER_THREW');
  });

  test('a filter without its method is a mistake at once', async () => {
    await assert.rejects(
      listen({ host: '127.0.0.1', port: 0, filter: {} as ConnectionFilter }, () => {}),
      TypeError,
    );
  });
});

describe('the stage of TLS', () => {
  test('what a TLS server makes of a connection is handed on; a failure is counted, told, and closes it', async () => {
    const failures: string[] = [];
    let calls = 0;
    const tls = {
      accept: (stream: L4Stream, sink: { onSecure(s: L4Stream): void; onHandshakeFailed(error: WireError, info: StreamInfo): void }) => {
        calls++;
        if (calls === 1) throw new Error('closed');
        queueMicrotask(() => sink.onSecure(stream));
      },
      close: async () => {},
    };
    await using it = await rig({ tls: tls as never, onHandshakeFailed: (error) => failures.push(error.reason) });
    assert.equal((await endOfConnection(it.listener.address))?.reason, 'CONNECTION_RESET');
    assert.deepEqual(failures, ['TLS_ACCEPT_THREW']);
    assert.equal(it.listener.handshakeFailedCount, 1);
    (await greeted(it.listener)).abort();
    assert.equal(it.listener.tls, tls);
    assert.deepEqual(counts(it.listener), { acceptedCount: 1, refusedCount: 0, shedCount: 0, pendingCount: 0, connectionCount: 1 });
  });
});

describe('onStream', () => {
  test('a rejection of an async onStream ends that stream, and not the process', async () => {
    const errors: WireError[] = [];
    await using listener = await listen({ host: '127.0.0.1', port: 0, onError: (error) => errors.push(error) }, async (stream) => {
      stream.attach(new RecordingSink());
      throw new Error('a bug');
    });
    assert.equal((await endOfConnection(listener.address))?.reason, 'CONNECTION_RESET');
    await until(() => errors.length === 1);
    assert.ok(isWireError(errors[0]));
    assert.equal(errors[0].reason, 'ON_STREAM_THREW');
    assert.equal((errors[0].cause as Error).message, 'a bug');
  });
});
