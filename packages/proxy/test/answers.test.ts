/** Answers that the proxy itself gives, which are not always sent at once: what comes meanwhile must not touch them, nor leave a client without one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { timeoutError, type WireError } from '@ferrata/error';
import type { HttpModule, HttpModuleKind } from '@ferrata/http-modules';
import { SettingId } from '@ferrata/http2-framing';
import type { ProxyHooks } from '@ferrata/proxy';
import { type H2Wire, requestFields, valueOf } from './h2-wire.ts';
import { get, Rig, readResponse, settle, type Wire, when } from './rig.ts';

const reset = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset());
const silent = (): void => {};
const long = 'x'.repeat(100_000);

/** A client that takes nothing beyond the first 1 000 bytes until `open`. */
function narrow(rig: Rig): { readonly client: H2Wire; readonly open: () => Promise<void> } {
  const client = rig.connectH2({ settings: [[SettingId.initialWindowSize, 1_000]], isAutoWindow: false });
  return {
    client,
    open: async () => {
      client.window(0, 200_000).window(1, 200_000);
      await settle();
    },
  };
}

describe('an answer of a hook that waits for the client (HTTP/2, RFC 9113 §5.2)', () => {
  const answering: { readonly [name: string]: Partial<ProxyHooks<string[]>> } = {
    requestFilter: {
      requestFilter: (session) => {
        session.respond(200, { body: long });
        return true;
      },
    },
    'requestFilter, which then forgets to say so': {
      requestFilter: (session) => {
        session.respond(200, { body: long });
        return false;
      },
    },
    'requestFilter, late': {
      requestFilter: async (session) => {
        await Promise.resolve();
        session.respond(200, { body: long });
        return true;
      },
    },
    earlyRequestFilter: { earlyRequestFilter: (session) => session.respond(200, { body: long }) },
    proxyUpstreamFilter: {
      proxyUpstreamFilter: (session) => {
        session.respond(200, { body: long });
        return false;
      },
    },
    connectedToUpstream: { connectedToUpstream: (session) => session.respond(200, { body: long }) },
    upstreamRequestFilter: { upstreamRequestFilter: (session) => session.respond(200, { body: long }) },
    upstreamResponseFilter: { upstreamResponseFilter: (session) => session.respond(200, { body: long }) },
    responseFilter: {
      responseFilter: async (session) => {
        await Promise.resolve();
        session.respond(200, { body: long });
      },
    },
  };
  for (const [name, hooks] of Object.entries(answering))
    test(`in ${name}: is sent whole`, async () => {
      const rig = new Rig({ hooks });
      const { client, open } = narrow(rig);
      const id = client.request(requestFields());
      await settle();
      await open();
      const message = client.message(id);
      assert.equal(message?.resetCode, null);
      assert.equal(message?.body.length, long.length);
      assert.equal(message?.isEnded, true);
      assert.equal(rig.last.error, null);
      assert.ok(
        rig.origins.every((origin) => origin.text === '' || name.startsWith('upstreamResponse') || name.startsWith('response')),
        'nothing was asked of an upstream in vain',
      );
      await rig.finish(client);
    });

  for (const name of ['failToProxy', 'errorWhileProxy'] as const)
    test(`in ${name}: is sent whole`, async () => {
      const rig = new Rig({
        proxy: { maxRetries: 0 },
        hooks: {
          [name]: (session: Parameters<NonNullable<ProxyHooks<string[]>['errorWhileProxy']>>[0]) => session.respond(503, { body: long }),
        },
        origin: reset,
      });
      const { client, open } = narrow(rig);
      const id = client.request(requestFields());
      await settle();
      await open();
      const message = client.message(id);
      assert.equal(message?.resetCode, null);
      assert.equal(message?.body.length, long.length);
      await rig.finish(client);
    });

  test('gives the upstream up at once, and hears of no time-out', async () => {
    const later: { respond(): void } = { respond: silent };
    const rig = new Rig({
      proxy: { requestTimeoutMs: 5_000 },
      hooks: {
        upstreamRequestFilter: (session) => void (later.respond = () => session.respond(200, { body: long })),
      },
      origin: silent,
    });
    const { client, open } = narrow(rig);
    const id = client.request(requestFields());
    await settle();
    later.respond();
    await settle();
    assert.ok(rig.origins[0]?.isOver, 'nobody waits for the upstream any more');
    await rig.pass(6_000);
    await open();
    assert.equal(client.message(id)?.resetCode, null);
    assert.equal(client.message(id)?.body.length, long.length);
    await rig.finish(client);
  });

  test('is not touched by an end that a hook comes with later', async () => {
    const errors: WireError[] = [];
    const rig = new Rig({
      hooks: {
        requestFilter: async (session) => {
          session.respond(200, { body: long });
          await Promise.resolve();
          session.fail(timeoutError('LATE'));
          return true;
        },
        failToProxy: (_session, error) => void errors.push(error),
      },
    });
    const { client, open } = narrow(rig);
    const id = client.request(requestFields());
    await settle();
    await open();
    assert.deepEqual(errors, []);
    assert.equal(client.message(id)?.body.length, long.length);
    await rig.finish(client);
  });
});

describe('modules that work on an answer of the proxy’s own', () => {
  function slow(filter: NonNullable<HttpModule['responseFilter']>): HttpModuleKind {
    return { name: 'slow', create: () => ({ responseFilter: filter }) };
  }

  test('have the time they need: failToProxy’s answer goes through them whole', async () => {
    const kind = slow(async (head) => {
      await Promise.resolve();
      head.headers.set('X-Slow', '1');
    });
    const rig = new Rig({
      origin: reset,
      proxy: { modules: [kind], maxRetries: 0 },
      hooks: { failToProxy: (session) => session.respond(503, { body: 'mine' }) },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 503);
    assert.equal(readResponse(client.text).body, 'mine');
    assert.match(client.text, /x-slow: 1/i);
    await rig.finish(client);
  });

  for (const [when_, filter] of [
    [
      'at once',
      () => {
        throw new Error('module');
      },
    ],
    [
      'late',
      async () => {
        await Promise.resolve();
        throw new Error('module');
      },
    ],
  ] as const)
    test(`and fail ${when_}: the client is answered all the same, and the connection of others is not held`, async () => {
      const rig = new Rig({ origin: reset, proxy: { modules: [slow(filter)], maxRetries: 0 } });
      const client = await rig.ask(get);
      assert.ok(readResponse(client.text).status >= 500, client.text);
      assert.equal(rig.logged.length, 1);
      await rig.finish(client);
    });
});

describe('an answer by a subrequest', () => {
  test('that has begun is not cut by requestTimeoutMs', async () => {
    const rig = new Rig({
      proxy: { requestTimeoutMs: 5_000 },
      hooks: {
        requestFilter: (session) => {
          if (session.isSubrequest) return false;
          void session.respondBy({ request: { target: '/other' } });
          return true;
        },
      },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')),
    });
    const client = await rig.ask(get);
    assert.match(client.text, /\r\n\r\nab$/);
    await rig.pass(6_000);
    rig.origins[0]?.send('cd');
    await settle();
    assert.equal(readResponse(client.text).body, 'abcd');
    await rig.finish(client);
  });

  test('that waits for the client is the answer, whatever the filter says by then (HTTP/2)', async () => {
    const rig = new Rig({
      hooks: {
        requestFilter: async (session) => {
          if (session.isSubrequest) return false;
          const result = await session.respondBy({ request: { target: '/other' } });
          return result.isAnswered;
        },
      },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${long.length}\r\n\r\n${long}`)),
    });
    const { client, open } = narrow(rig);
    const id = client.request(requestFields());
    await settle();
    await open();
    assert.equal(client.message(id)?.resetCode, null);
    assert.equal(client.message(id)?.body.length, long.length);
    await rig.finish(client);
  });
});

describe('after the end no hook is called but those of the end', () => {
  for (const how of ['respond', 'fail'] as const)
    test(`onConnectionReuse that ends the request by ${how}`, async () => {
      const called: string[] = [];
      const rig = new Rig({
        hooks: {
          persistConnectionContext: () => 1,
          onConnectionReuse: (session) =>
            how === 'respond' ? session.respond(203) : session.fail(timeoutError('NO', '', { wire: { status: 503 } })),
          earlyRequestFilter: (session) => void called.push(session.request.target),
        },
      });
      const client = await rig.ask(get.replace('/', '/a'));
      client.text = '';
      client.send(get.replace('/', '/b'));
      await settle();
      assert.equal(readResponse(client.text).status, how === 'respond' ? 203 : 503);
      assert.deepEqual(called, ['/a']);
      await rig.finish(client);
    });
});

/** As programs without types have it: what is to give nothing gives a promise. */
function untyped(call: () => Promise<void>): () => undefined {
  return call as unknown as () => undefined;
}

describe('callbacks of options that are async end nothing but themselves', () => {
  const boom = async (): Promise<void> => {
    await Promise.resolve();
    throw new Error('boom');
  };

  test('onError, onRefused and onHookFailed', async () => {
    let failures = 0;
    const rig = new Rig({
      origin: reset,
      proxy: {
        maxRetries: 0,
        onError: untyped(boom),
        onRefused: untyped(boom),
        onHookFailed: untyped(async () => {
          failures++;
          await boom();
        }),
      },
      hooks: { failToProxy: boom },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    const bad = await rig.ask('GET / HTTP/1.1\r\n\r\n');
    assert.equal(readResponse(bad.text).status, 400);
    assert.ok(failures >= 2, `${failures}`);
    await rig.finish(client, bad);
  });

  test('requestSummary and errorPage that give promises: those are no summary and no page', async () => {
    const lines: string[] = [];
    const rig = new Rig({
      origin: reset,
      proxy: { maxRetries: 0, onError: (summary) => void lines.push(summary), errorPage: boom as never },
      hooks: { requestSummary: boom as never },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, '502 Bad Gateway\n');
    assert.deepEqual(lines, []);
    assert.equal(rig.hookFailures.length, 2);
    await rig.finish(client);
  });
});

describe('failures and the connection of the client', () => {
  test('a CONNECT that fails here ends it: what follows may be the tunnel’s, not requests (RFC 9110 §9.3.6)', async () => {
    const rig = new Rig({ origin: reset, proxy: { allowConnect: true, maxRetries: 0 } });
    const client = await rig.ask(`CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n${get.replace('/', '/smuggled')}`);
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(client.text.split('HTTP/1.1').length, 2, client.text);
    assert.equal(rig.begun, 1);
    assert.ok(client.isOver);
    await rig.finish(client);
  });

  test('a body that was not read does not become requests', async () => {
    const rig = new Rig({ origin: reset, proxy: { maxRetries: 0 } });
    const inner = get.replace('/', '/inner');
    const client = await rig.ask(`POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: ${inner.length}\r\n\r\n`);
    assert.equal(readResponse(client.text).status, 502);
    client.send(inner);
    await settle();
    client.send(get.replace('/', '/next'));
    await settle();
    assert.ok(rig.logged.every(({ session }) => session.request.target !== '/inner'));
    await rig.finish(client);
  });

  test('HTTP/1.0 without keep-alive: the connection ends behind the answer', async () => {
    const rig = new Rig({ origin: reset, proxy: { maxRetries: 0 } });
    const client = await rig.ask('GET / HTTP/1.0\r\nHost: h\r\n\r\n');
    assert.equal(readResponse(client.text).status, 502);
    assert.ok(client.hasEnded);
    await rig.finish(client);
  });
});

test('bytes in the place of trailers behind a body of no bytes (RFC 9113 §8.1)', async () => {
  const rig = new Rig({
    hooks: { responseTrailerFilter: () => new TextEncoder().encode('sum') },
    h2Origin: (wire) => {
      wire.onMessage = ({ id }) => {
        wire.headers(
          id,
          [
            [':status', '200'],
            ['content-length', '0'],
          ],
          { isEnd: false },
        );
        wire.headers(id, [['x-sum', '1']]);
      };
    },
  });
  const client = rig.connectH2();
  const id = client.request(requestFields());
  await settle();
  assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), '200');
  assert.equal(client.message(id)?.body, 'sum');
  assert.equal(rig.last.error, null);
  await rig.finish(client);
});
