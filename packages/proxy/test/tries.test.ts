/** Tries of one request that cross each other: retries, hedges and time-outs, with hooks between them that take their time. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import type { HttpModuleKind } from '@ferrata/http-modules';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import { type Peer, peer } from '@ferrata/upstream';
import { answering, get, h2Origin, ok, origin, Rig, readResponse, settle, type Wire, when } from './rig.ts';

const second = peer('10.0.0.2:80');
const silent = (): void => {};
const half = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab';
const reset = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset());

/** One answer, and nothing else. */
function assertOnce(client: Wire, body: string): void {
  const response = readResponse(client.text);
  assert.equal(response.status, 200);
  assert.equal(response.body, body);
  assert.ok(response.isComplete);
  assert.equal(response.rest, '');
}

describe('hedging beside hooks that take their time', () => {
  test('failToConnect of the second try that settles when the first has answered changes nothing', async () => {
    for (const retry of ['always', 'never'] as const) {
      const told = Promise.withResolvers<void>();
      const rig = new Rig({
        proxy: { hedgeAfterMs: 100, maxRetries: 5 },
        unreachable: second,
        origin: silent,
        hooks: {
          upstreamPeer: (session) => (session.attempt === 2 ? second : origin),
          failToConnect: (_session, _peer, error) => {
            error.retry = retry;
            return told.promise;
          },
        },
      });
      const client = await rig.ask(get);
      await rig.pass(100);
      rig.origins[0]?.send(half);
      await settle();
      told.resolve();
      await settle();
      rig.origins[0]?.send('cd');
      await settle();
      assertOnce(client, 'abcd');
      assert.equal(rig.origins.length, 1);
      assert.equal(rig.last.error, null);
      await rig.finish(client);
    }
  });

  test('a hook of the try that was given up may reject, or hang, without harm', async () => {
    for (const name of ['connectedToUpstream', 'upstreamRequestFilter', 'upstreamPeer', 'failToConnect'] as const) {
      const late = Promise.withResolvers<never>();
      const isSecond = (attempt: number): boolean => attempt === 2;
      const rig = new Rig({
        proxy: { hedgeAfterMs: 100, hookTimeoutMs: 5_000 },
        unreachable: second,
        origin: silent,
        hooks: {
          upstreamPeer: (session) =>
            !isSecond(session.attempt) ? origin : name === 'upstreamPeer' ? late.promise : name === 'failToConnect' ? second : origin,
          ...(name === 'upstreamPeer'
            ? {}
            : { [name]: (session: { attempt: number }) => (isSecond(session.attempt) ? late.promise : undefined) }),
        },
      });
      const client = await rig.ask(get);
      await rig.pass(100);
      rig.origins[0]?.send(half);
      await settle();
      late.reject(new Error('late'));
      await rig.pass(6_000);
      rig.origins[0]?.send('cd');
      await settle();
      assertOnce(client, 'abcd');
      assert.equal(rig.last.error, null, name);
      await rig.finish(client);
    }
  });

  test('upstreamPeer of a retry that settles when a second try has answered begins no third', async () => {
    const slow = Promise.withResolvers<Peer>();
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100, maxRetries: 5 },
      hooks: { upstreamPeer: (session) => (session.attempt === 2 ? slow.promise : session.attempt === 3 ? second : origin) },
      origin: (wire, index) => (index === 0 ? reset(wire) : undefined),
    });
    const client = await rig.ask(get);
    await rig.pass(100);
    for (const wire of rig.origins.slice(1)) wire.send(half);
    await settle();
    const before = rig.origins.length;
    slow.resolve(second);
    await settle();
    for (const wire of rig.origins.slice(before)) wire.send(half);
    await settle();
    for (const wire of rig.origins.slice(1, 2)) wire.send('cd');
    await settle();
    assertOnce(client, 'abcd');
    await rig.finish(client);
  });

  test('the first fails while the second waits for its peer: the second goes on', async () => {
    const slow = Promise.withResolvers<Peer>();
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100 },
      hooks: { upstreamPeer: (session) => (session.attempt === 2 ? slow.promise : origin) },
      origin: (wire, index) => (index === 0 ? undefined : answering(ok)(wire)),
    });
    const client = await rig.ask(get);
    await rig.pass(100);
    rig.origins[0]?.reset();
    await settle();
    slow.resolve(second);
    await settle();
    assertOnce(client, 'ok');
    await rig.finish(client);
  });

  test('the answer that began while the second waits for its peer is cut where it ends too early', async () => {
    const slow = Promise.withResolvers<Peer>();
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100 },
      hooks: { upstreamPeer: (session) => (session.attempt === 2 ? slow.promise : origin) },
      origin: silent,
    });
    const client = await rig.ask(get);
    await rig.pass(100);
    rig.origins[0]?.send(half);
    await settle();
    rig.origins[0]?.reset();
    await settle();
    assert.match(client.text, /ab$/);
    assert.ok(client.isOver);
    slow.resolve(second);
    await settle();
    assert.equal(rig.origins.length, 1);
    assert.equal(rig.last.error?.reason, 'CONNECTION_RESET');
    await rig.finish(client);
  });

  test('the facts are those of the try that answered', async () => {
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100 },
      hooks: { upstreamPeer: (session) => (session.attempt === 2 ? second : origin) },
      origin: silent,
    });
    const client = await rig.ask(get);
    const first = [...rig.contexts];
    assert.equal(first.length, 1);
    await rig.pass(100);
    rig.origins[0]?.send(ok);
    await settle();
    const { session } = rig.last;
    assert.equal(session.peer, origin);
    assert.equal(session.upstream?.timing.startedAt, 0, 'the connection that was made first');
    await rig.finish(client);
  });

  test('both answer in one turn: one answer goes on, and the other connection is given up', async () => {
    const rig = new Rig({ proxy: { hedgeAfterMs: 100 }, origin: silent });
    const client = await rig.ask(get);
    await rig.pass(100);
    for (const wire of rig.origins) wire.send(ok);
    await settle();
    assertOnce(client, 'ok');
    assert.equal(rig.proxy.connector.connectionCount, 1);
    await rig.finish(client);
  });

  test('with perTryTimeoutMs and retries: each try has its time, and the budget is given back', async () => {
    const rig = new Rig({ proxy: { hedgeAfterMs: 300, perTryTimeoutMs: 1_000, maxRetries: 2 }, origin: silent });
    const client = await rig.ask(get);
    await rig.pass(300);
    assert.equal(rig.origins.length, 2);
    await rig.pass(700);
    assert.deepEqual(
      rig.origins.map((wire) => wire.wasReset),
      [true, false],
      'the first has had its time, the second goes on',
    );
    await rig.pass(300);
    assert.equal(rig.origins.length, 3, 'both are lost: the last try');
    rig.origins[2]?.send(ok);
    await settle();
    assertOnce(client, 'ok');
    await rig.finish(client);
  });

  test('the client goes at every moment: nothing is left', async () => {
    for (let moment = 0; moment < 6; moment++) {
      const rig = new Rig({
        proxy: { hedgeAfterMs: 100, perTryTimeoutMs: 1_000 },
        hooks: {
          upstreamPeer: async () => {
            await Promise.resolve();
            return origin;
          },
          connectedToUpstream: async () => {},
        },
        origin: silent,
      });
      const client = rig.connect().send(get);
      if (moment > 0) await settle();
      if (moment > 1) rig.clock.advance(100);
      if (moment > 2) await Promise.resolve();
      if (moment > 3) await Promise.resolve();
      if (moment > 4) await settle();
      await rig.finish(client);
    }
  });
});

describe('perTryTimeoutMs while a hook is waited for', () => {
  test('the hook of the try that was given up may reject without harm', async () => {
    const late = Promise.withResolvers<never>();
    const rig = new Rig({
      proxy: { perTryTimeoutMs: 1_000 },
      hooks: { connectedToUpstream: (session) => (session.attempt === 1 ? late.promise : undefined) },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(half)),
    });
    const client = await rig.ask(get);
    await rig.pass(1_000);
    assert.match(client.text, /ab$/);
    late.reject(new Error('late'));
    await settle();
    rig.origins.find((wire) => wire.text !== '')?.send('cd');
    await settle();
    assertOnce(client, 'abcd');
    await rig.finish(client);
  });
});

describe('perTryTimeoutMs while connecting', () => {
  /** A peer to which no connection comes about, and `then` the one for the second try; null: the same. */
  function hanging(then: Peer | null): { readonly rig: Rig; readonly told: string[]; readonly connected: Peer[] } {
    const told: string[] = [];
    const connected: Peer[] = [];
    const blackHole = peer('10.0.0.8:80', {
      connect: () => {
        connected.push(blackHole);
        return new Promise(() => {});
      },
    });
    const rig = new Rig({
      proxy: { perTryTimeoutMs: 1_000 },
      hooks: {
        upstreamPeer: (session) => (session.attempt === 1 ? blackHole : (then ?? blackHole)),
        failToConnect: (_session, to, error) => void told.push(`failToConnect ${to === blackHole} ${error.reason} ${error.retry}`),
        errorWhileProxy: (_session, _to, error) => void told.push(`errorWhileProxy ${error.reason}`),
      },
    });
    return { rig, told, connected };
  }

  test('is a connection that could not be made: the next peer is asked, whatever the method, as nothing was sent', async () => {
    const { rig, told } = hanging(second);
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab');
    await rig.pass(1_000);
    assert.deepEqual(told, ['failToConnect true UPSTREAM_TRY_TIMEOUT always']);
    assert.ok(rig.origins[0]?.text.endsWith('\r\n\r\nab'));
    rig.origins[0]?.send(ok);
    await settle();
    assertOnce(client, 'ok');
    await rig.finish(client);
  });

  test('the same peer is not connected to again: 504', async () => {
    const { rig, told, connected } = hanging(null);
    const client = await rig.ask(get);
    await rig.pass(1_000);
    assert.equal(readResponse(client.text).status, 504);
    assert.equal(connected.length, 1);
    assert.deepEqual(told, ['failToConnect true UPSTREAM_TRY_TIMEOUT always']);
    assert.equal(rig.last.error?.reason, 'UPSTREAM_TRY_TIMEOUT');
    assert.equal(rig.last.outcome, 'timeout');
    await rig.finish(client);
  });
});

describe('upstreamPeer of a second try beside the first', () => {
  const failures: Readonly<Record<string, readonly [upstreamPeer: () => Peer | Promise<Peer>, reason: string]>> = {
    throws: [
      () => {
        throw new Error('no other');
      },
      'HOOK_THREW',
    ],
    rejects: [() => Promise.reject(new Error('no other')), 'HOOK_REJECTED'],
    hangs: [() => new Promise(() => {}), 'HOOK_TIMEOUT'],
    'gives no peer': [() => ({}) as Peer, 'HOOK_RETURNED_GARBAGE'],
    'gives no peer, late': [async () => ({}) as Peer, 'HOOK_RETURNED_GARBAGE'],
  };
  for (const [how, [fail, reason]] of Object.entries(failures)) {
    test(`that ${how} ends that try alone: the first goes on`, async () => {
      const rig = new Rig({
        proxy: { hedgeAfterMs: 100, hookTimeoutMs: 2_000 },
        origin: silent,
        hooks: { upstreamPeer: (session) => (session.attempt === 2 ? fail() : origin) },
      });
      const client = await rig.ask(get);
      await rig.pass(4_000);
      assert.equal(client.text, '');
      assert.deepEqual(
        rig.hookFailures.map((error) => error.reason),
        [reason],
      );
      rig.origins[0]?.send(ok);
      await settle();
      assertOnce(client, 'ok');
      assert.equal(rig.last.error, null);
      await rig.finish(client);
    });
  }

  test('that rejects when the first was lost meanwhile ends the request, as there is no other try', async () => {
    const late = Promise.withResolvers<never>();
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100 },
      origin: silent,
      hooks: { upstreamPeer: (session) => (session.attempt === 2 ? late.promise : origin) },
    });
    const client = await rig.ask(get);
    await rig.pass(100);
    rig.origins[0]?.reset();
    await settle();
    assert.equal(client.text, '');
    late.reject(new Error('no other'));
    await settle();
    assert.equal(readResponse(client.text).status, 500);
    assert.equal(rig.last.error?.reason, 'HOOK_REJECTED');
    await rig.finish(client);
  });

  test('that hangs when the first was lost meanwhile ends the request in time', async () => {
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100, hookTimeoutMs: 2_000 },
      origin: silent,
      hooks: { upstreamPeer: (session) => (session.attempt === 2 ? new Promise(() => {}) : origin) },
    });
    const client = await rig.ask(get);
    await rig.pass(100);
    rig.origins[0]?.reset();
    await rig.pass(3_000);
    assert.equal(rig.last.error?.reason, 'HOOK_TIMEOUT');
    assert.equal(readResponse(client.text).status, 500);
    await rig.finish(client);
  });
});

describe('errorWhileProxy that has a request sent again', () => {
  test('spends tries and the budget: the upstream has read the request, whatever the hook says', async () => {
    const rig = new Rig({
      hooks: { errorWhileProxy: (_session, _peer, error) => void (error.retry = 'always') },
      origin: reset,
    });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n');
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(rig.origins.length, 2, 'maxRetries is 1');
    assert.equal(rig.last.session.refusedCount, 0);
    await rig.finish(client);
  });
});

describe('a connection that is gone while a filter works on its request', () => {
  test('costs no try, whichever try it is: one retry is made of what was sent, and no more', async () => {
    for (const lost of [1, 2]) {
      const filtered = Promise.withResolvers<void>();
      const rig = new Rig({
        origin: reset,
        hooks: { upstreamRequestFilter: (session) => (session.attempt === lost ? filtered.promise : undefined) },
      });
      const client = await rig.ask(get);
      rig.origins[lost - 1]?.reset();
      await settle();
      filtered.resolve();
      await settle();
      assert.equal(readResponse(client.text).status, 502);
      assert.deepEqual(
        rig.origins.map((wire) => wire.text !== ''),
        [1, 2, 3].map((attempt) => attempt !== lost),
        'what was lost before it was sent is tried beside the two',
      );
      assert.deepEqual([rig.last.session.attempt, rig.last.session.refusedCount], [3, 1]);
      await rig.finish(client);
    }
  });
});

describe('a body that filters work on while a try is lost', () => {
  test('reaches the next one whole, however large the piece is', async () => {
    const given = Promise.withResolvers<Uint8Array>();
    let calls = 0;
    const rig = new Rig({
      hooks: {
        upstreamPeer: () => h2Origin,
        requestBodyFilter: (_session, chunk) => (chunk === null ? null : calls++ === 0 ? given.promise : chunk),
      },
      h2Origin: (wire) => {
        wire.onHead = ({ id }) => void (wire.messages.length > 0 && id > 0 && first(wire, id));
      },
    });
    let isFirst = true;
    const first = (wire: { resetStream(id: number, code: number): unknown }, id: number): void => {
      if (!isFirst) return;
      isFirst = false;
      wire.resetStream(id, Http2ErrorCode.refusedStream);
      // The filter is done while there is no upstream.
      given.resolve(latin1Encode('x'.repeat(100_000)));
    };
    const client = await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd');
    await settle();
    await settle();
    const last = rig.h2Origins.at(-1)?.messages.at(-1);
    assert.equal(last?.isEnded, true);
    assert.equal(last?.body.length, 100_000);
    await rig.finish(client);
  });

  test('the same where the next connection takes a while', async () => {
    const given = Promise.withResolvers<Uint8Array>();
    const chosen = Promise.withResolvers<Peer>();
    const rig = new Rig({
      hooks: {
        upstreamPeer: (session) => (session.attempt === 1 ? origin : chosen.promise),
        requestBodyFilter: (_session, chunk) => (chunk === null ? null : given.promise),
      },
      origin: (wire, index) => (index === 0 ? reset(wire) : when(wire, '0\r\n\r\n', () => wire.send(ok))),
    });
    const client = await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd');
    given.resolve(latin1Encode('x'.repeat(100_000)));
    await settle();
    chosen.resolve(origin);
    await settle();
    assert.ok((rig.origins[1]?.text.length ?? 0) > 100_000);
    assertOnce(client, 'ok');
    await rig.finish(client);
  });
});

test('upstream modules of a request that could not be sent are closed', async () => {
  let closes = 0;
  const kind: HttpModuleKind = { name: 'm', create: () => ({ close: () => void closes++ }) };
  const rig = new Rig({
    proxy: { upstreamModules: [kind] },
    hooks: { upstreamRequestFilter: (_session, request) => void (request.method = 'NO SUCH') },
  });
  const client = await rig.ask(get);
  assert.equal(readResponse(client.text).status, 500);
  assert.equal(closes, 1);
  await rig.finish(client);
});

test('a hook hears of the try whose turn it is: its peer, its connection, its modules', async () => {
  for (const fast of [0, 1]) {
    const made: object[] = [];
    const told: string[] = [];
    const kind: HttpModuleKind = {
      name: 'm',
      create: () => {
        const module = {};
        made.push(module);
        return module;
      },
    };
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100, upstreamModules: [kind] },
      hooks: {
        upstreamPeer: (session) => (session.attempt === 2 ? second : origin),
        connectedToUpstream: (session, { info }) => {
          assert.equal(session.upstream, info);
          assert.equal(session.peer, session.attempt === 2 ? second : origin);
        },
        adjustUpstreamModules: (session) => {
          const module = session.upstreamModule(kind);
          assert.ok(module !== null);
          told.push(`${made.indexOf(module)} ${session.peer?.key}`);
        },
      },
      origin: silent,
    });
    const client = await rig.ask(get);
    await rig.pass(100);
    rig.origins[fast]?.send(ok);
    await settle();
    assertOnce(client, 'ok');
    assert.deepEqual(told, [`${fast} ${[origin, second][fast]?.key}`]);
    await rig.finish(client);
  }
});

test('an answer that is lost while upstream modules work on its head is no cause for another try', async () => {
  const worked = Promise.withResolvers<void>();
  const kind: HttpModuleKind = { name: 'm', create: () => ({ responseFilter: () => worked.promise }) };
  const rig = new Rig({
    proxy: { upstreamModules: [kind], perTryTimeoutMs: 1_000 },
    hooks: { errorWhileProxy: (_session, _peer, error) => void (error.retry = 'always') },
    origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(half)),
  });
  const client = await rig.ask(get);
  await rig.pass(2_000);
  assert.equal(client.text, '', 'there is an answer: the try is not late');
  rig.origins[0]?.reset();
  await settle();
  worked.resolve();
  await settle();
  assert.equal(readResponse(client.text).status, 502);
  assert.equal(rig.origins.length, 1);
  await rig.finish(client);
});
