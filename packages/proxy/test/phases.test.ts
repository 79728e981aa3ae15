/** What the phases may do beside editing: say no, hear of connections, delay, put bytes in the place of trailers, and carry state along a connection. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import type { WireError } from '@ferrata/error';
import { delayed, type FailureAnswer, type ProxySession } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { type Field, requestFields } from './h2-wire.ts';
import { answering, get, ok, origin, Rig, readResponse, settle, type Wire, when } from './rig.ts';

const chunkedWithTrailers = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n';

describe('proxyUpstreamFilter', () => {
  test('false keeps a request from the upstream: 502, and the connection goes on', async () => {
    const rig = new Rig({ hooks: { proxyUpstreamFilter: (session) => session.request.target !== '/' } });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    assert.match(client.text, /\r\ncache-control: private, no-store\r\n/i);
    assert.doesNotMatch(client.text, /\r\nserver:/i);
    assert.equal(rig.origins.length, 0);
    assert.equal(rig.last.error?.reason, 'NOT_PROXIED');
    client.text = '';
    client.send(get.replace('/', '/on'));
    await settle();
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  });

  test('false with an answer of its own: that is the answer', async () => {
    const rig = new Rig({
      hooks: {
        proxyUpstreamFilter: async (session) => {
          session.respond(203, { body: 'mine' });
          return false;
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 203);
    assert.equal(readResponse(client.text).body, 'mine');
    assert.equal(rig.last.error, null);
    await rig.finish(client);
  });
});

describe('connectedToUpstream', () => {
  test('is told of each connection, made or reused, before the request goes', async () => {
    const told: string[] = [];
    const rig: Rig = new Rig({
      hooks: {
        connectedToUpstream: (session, { isReused, protocol, info }) => {
          assert.equal(session.upstream, info);
          told.push(`${protocol} ${isReused} ${rig.origins.at(-1)?.text.split('GET').length ?? 0}`);
        },
      },
    });
    const client = await rig.ask(get);
    client.send(get);
    await settle();
    assert.deepEqual(told, ['http1 false 1', 'http1 true 2']);
    await rig.finish(client);
  });

  test('a throw gives the connection back unused', async () => {
    const rig = new Rig({
      hooks: {
        connectedToUpstream: () => {
          throw new Error('not this one');
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 500);
    assert.equal(rig.origins[0]?.text, '');
    assert.equal(rig.proxy.connector.idleCount, 1);
    await rig.finish(client);
  });
});

describe('errorWhileProxy', () => {
  test('may have a request sent again that would not be', async () => {
    const asked: string[] = [];
    const rig = new Rig({
      hooks: {
        errorWhileProxy: (session, to, error) => {
          asked.push(`${session.attempt} ${to.key} ${error.reason} ${error.retry}`);
          error.retry = 'always';
        },
      },
      origin: (wire, index) => (index === 0 ? when(wire, '\r\n\r\n', () => wire.reset()) : answering(ok)(wire)),
    });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n');
    assert.equal(readResponse(client.text).status, 200);
    assert.deepEqual(asked, ['1 tcp://10.0.0.1:80 CONNECTION_RESET ifReused']);
    await rig.finish(client);
  });

  test('may forbid what would be, and has no say once an answer has begun', async () => {
    const rig = new Rig({
      hooks: {
        errorWhileProxy: (session, _peer, error) => {
          error.retry = session.hasResponded ? 'always' : 'never';
        },
      },
      origin: (wire, index) =>
        when(wire, '\r\n\r\n', () => {
          if (index > 0) wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab');
          wire.reset();
        }),
    });
    const first = await rig.ask(get);
    assert.equal(readResponse(first.text).status, 502);
    assert.equal(rig.origins.length, 1);
    const second = await rig.ask(get);
    assert.equal(readResponse(second.text).isComplete, false);
    assert.equal(rig.origins.length, 2);
    await rig.finish(first, second);
  });
});

describe('trailers', () => {
  test('are edited as they come from the upstream, and again before they are sent', async () => {
    const rig = new Rig({
      hooks: {
        upstreamResponseTrailerFilter: (_session, trailers) => void trailers.delete('X-More'),
        responseTrailerFilter: (_session, trailers) => void trailers.set('X-Seen', String(trailers.size)),
      },
      origin: answering(chunkedWithTrailers),
    });
    const client = await rig.ask(get);
    assert.match(client.text, /\r\n0\r\nX-Sum: 1\r\nX-Seen: 1\r\n\r\n$/);
    await rig.finish(client);
  });

  test('may be replaced by a last piece of the body', async () => {
    const rig = new Rig({
      hooks: { responseTrailerFilter: async (_session, trailers) => latin1Encode(`[${trailers.get('X-Sum')}]`) },
      origin: answering(chunkedWithTrailers),
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'ok[1]');
    assert.match(client.text, /0\r\n\r\n$/);
    await rig.finish(client);
  });

  test('of HTTP/2 behind a body of no bytes are edited as others are', async () => {
    const rig = new Rig({
      hooks: {
        upstreamResponseTrailerFilter: (_session, trailers) => void trailers.set('X-Up', '1'),
        responseTrailerFilter: (_session, trailers) => void trailers.set('X-Down', trailers.get('X-Up') ?? 'none'),
      },
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => {
          const fields: Field[] = [
            [':status', '200'],
            ['content-length', '0'],
          ];
          wire.headers(id, fields, { isEnd: false });
          wire.headers(id, [['x-sum', '1']]);
        };
      },
    });
    const client = rig.connectH2();
    const id = client.request(requestFields());
    await settle();
    assert.deepEqual(client.message(id)?.trailers, [
      ['x-sum', '1'],
      ['x-up', '1'],
      ['x-down', '1'],
    ]);
    await rig.finish(client);
  });

  test('of HTTP/2 behind a known length: the length goes where bytes may come in their place', async () => {
    const rig = new Rig({
      hooks: { responseTrailerFilter: (_session, trailers) => latin1Encode(`[${trailers.get('x-sum')}]`) },
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => {
          const fields: Field[] = [
            [':status', '200'],
            ['content-length', '2'],
          ];
          wire.headers(id, fields, { isEnd: false });
          wire.data(id, 'ok');
          wire.headers(id, [['x-sum', '7']], { isEnd: true });
        };
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'ok[7]');
    assert.doesNotMatch(client.text, /content-length/i);
    await rig.finish(client);
  });
});

describe('the filters of the upstream body', () => {
  test('come before those of the response, and each sees what the one before it gave', async () => {
    const seen: string[] = [];
    const rig = new Rig({
      hooks: {
        upstreamResponseBodyFilter: async (_session, chunk) =>
          chunk === null ? latin1Encode('!') : latin1Encode(`<${latin1Decode(chunk, 0, chunk.length)}>`),
        responseBodyFilter: async (_session, chunk) => {
          seen.push(chunk === null ? 'end' : latin1Decode(chunk, 0, chunk.length));
          return chunk;
        },
      },
    });
    const client = await rig.ask(get);
    assert.deepEqual(seen, ['<ok>', '!', 'end']);
    assert.equal(readResponse(client.text).body, '<ok>!');
    await rig.finish(client);
  });
});

describe('delayed', () => {
  test('shapes a response: pieces come when they are due, and the upstream is held meanwhile', async () => {
    const rig = new Rig({
      hooks: { responseBodyFilter: (_session, chunk) => (chunk === null ? null : delayed(chunk, 1_000)) },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')),
    });
    const client = await rig.ask(get);
    assert.doesNotMatch(client.text, /ab/);
    rig.origins[0]?.send('cd');
    await rig.pass(1_000);
    assert.match(client.text, /2\r\nab\r\n$/);
    await rig.pass(1_000);
    assert.equal(readResponse(client.text).body, 'abcd');
    assert.ok(readResponse(client.text).isComplete);
    await rig.finish(client);
  });

  test('shapes a request, too', async () => {
    const rig = new Rig({
      hooks: { requestBodyFilter: (_session, chunk) => (chunk === null ? delayed(latin1Encode('!'), 500) : delayed(chunk, 500)) },
      origin: (wire) => when(wire, '0\r\n\r\n', () => wire.send(ok)),
    });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab');
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /ab/);
    await rig.pass(500);
    assert.match(rig.origins[0]?.text ?? '', /ab/);
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /!/);
    await rig.pass(500);
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  });

  test('a client that goes meanwhile leaves no deadline behind', async () => {
    const rig = new Rig({ hooks: { responseBodyFilter: (_session, chunk) => delayed(chunk, 200_000) } });
    const client = await rig.ask(get);
    client.reset();
    await settle();
    assert.equal(rig.last.outcome, 'client_abort');
    await rig.finish();
  });

  test('a delay that is none is misuse', () => {
    for (const delayMs of [-1, Number.NaN]) assert.throws(() => delayed(null, delayMs), RangeError);
  });
});

describe('the context of a connection', () => {
  const persisting = (told: unknown[]): NonNullable<ConstructorParameters<typeof Rig>[0]> => ({
    hooks: {
      onConnectionReuse: (session, _context, previous) => void told.push([session.request.target, previous]),
      persistConnectionContext: (session) => (session.request.target === '/none' ? undefined : `after ${session.request.target}`),
    },
  });

  test('goes from one request to the next on HTTP/1, before any filter', async () => {
    const told: unknown[] = [];
    const rig = new Rig(persisting(told));
    const client = await rig.ask(get.replace('/', '/a'));
    for (const target of ['/b', '/none', '/c']) {
      client.send(get.replace('/', target));
      await settle();
    }
    assert.deepEqual(told, [
      ['/b', 'after /a'],
      ['/none', 'after /b'],
    ]);
    await rig.finish(client);
  });

  test('is not asked for where the connection ends, and not over HTTP/2', async () => {
    const told: unknown[] = [];
    let asked = 0;
    const rig = new Rig({
      hooks: { ...persisting(told).hooks, persistConnectionContext: () => asked++ },
    });
    const client = await rig.ask(get.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n'));
    assert.ok(client.hasEnded);
    const h2 = rig.connectH2();
    h2.request(requestFields());
    await settle();
    h2.request(requestFields());
    await settle();
    assert.equal(asked, 0);
    assert.deepEqual(told, []);
    await rig.finish(client, h2);
  });
});

describe('the log of errors', () => {
  const failing = { origin: (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset()) };

  test('has a line for each failure, in the words of requestSummary, and none where suppressErrorLog says so', async () => {
    const lines: [string, string][] = [];
    const onError = (summary: string, error: WireError, session: ProxySession): void => {
      assert.equal(session.status, 0);
      lines.push([summary, error.reason]);
    };
    const rig = new Rig({
      ...failing,
      proxy: { onError, maxRetries: 0 },
      hooks: {
        suppressErrorLog: (session) => session.request.target === '/quiet',
        requestSummary: (session) => `[${session.request.target}]`,
      },
    });
    const clients = [await rig.ask(get.replace('/', '/loud')), await rig.ask(get.replace('/', '/quiet'))];
    assert.deepEqual(lines, [['[/loud]', 'CONNECTION_RESET']]);
    await rig.finish(...clients);

    const plain = new Rig({ ...failing, proxy: { onError, maxRetries: 0 } });
    const client = await plain.ask(get);
    assert.deepEqual(lines[1], ['GET /, Host: example.org', 'CONNECTION_RESET']);
    await plain.finish(client);
  });
});

describe('failToProxy says how a failure is answered', () => {
  const reset = (wire: Wire): void => when(wire, '\r\n\r\n', () => wire.reset());

  test('by another status, and with an end of the connection', async () => {
    const rig = new Rig({ origin: reset, proxy: { maxRetries: 0 }, hooks: { failToProxy: () => ({ status: 503, keepAlive: false }) } });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 503);
    assert.match(client.text, /\r\nconnection: close\r\n/i);
    assert.ok(client.hasEnded);
    await rig.finish(client);
  });

  test('by nothing at all', async () => {
    const rig = new Rig({ origin: reset, proxy: { maxRetries: 0 }, hooks: { failToProxy: async () => ({ status: 0 }) } });
    const client = await rig.ask(get);
    assert.equal(client.text, '');
    assert.ok(client.isOver);
    await rig.finish(client);
  });

  test('by a page, which may fail itself', async () => {
    const page = (status: number, error: WireError, session: ProxySession): { body: string } => {
      if (session.request.target === '/bad') throw new Error('no page');
      return { body: `${status} ${error.reason}` };
    };
    const rig = new Rig({ origin: reset, proxy: { maxRetries: 0, errorPage: page } });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, '502 CONNECTION_RESET');
    const bad = await rig.ask(get.replace('/', '/bad'));
    assert.equal(readResponse(bad.text).status, 502);
    assert.equal(readResponse(bad.text).body, '502 Bad Gateway\n');
    assert.equal(rig.hookFailures.length, 1);
    await rig.finish(client, bad);
  });

  test('garbage is told, and the error is answered as if nothing had been said', async () => {
    for (const garbage of [{ status: 200 }, { keepAlive: 1 }, 'garbage', 42]) {
      const failToProxy = (): FailureAnswer => garbage as FailureAnswer;
      const rig = new Rig({ origin: reset, proxy: { maxRetries: 0 }, hooks: { failToProxy } });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, 502);
      assert.equal(rig.hookFailures[0]?.reason, 'HOOK_RETURNED_GARBAGE');
      await rig.finish(client);
    }
  });
});

describe('tries', () => {
  const second = peer('10.0.0.2:80');

  test('one that takes longer than perTryTimeoutMs is made again elsewhere, if it may be', async () => {
    const rig = new Rig({
      proxy: { perTryTimeoutMs: 1_000 },
      hooks: { upstreamPeer: (session) => (session.attempt === 1 ? origin : second) },
      origin: (wire, index) => (index === 1 || index === 3 ? answering(ok)(wire) : undefined),
    });
    const client = await rig.ask(get);
    await rig.pass(1_000);
    assert.equal(readResponse(client.text).status, 200);
    assert.ok(rig.origins[0]?.wasReset);
    const posted = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n');
    await rig.pass(1_000);
    assert.equal(readResponse(posted.text).status, 504, 'what is not idempotent is not sent twice');
    assert.equal(rig.last.error?.reason, 'UPSTREAM_TRY_TIMEOUT');
    await rig.finish(client, posted);
  });

  test('all of them together have requestTimeoutMs', async () => {
    const rig = new Rig({ proxy: { requestTimeoutMs: 1_500, perTryTimeoutMs: 1_000, maxRetries: 5 }, origin: () => {} });
    const client = await rig.ask(get);
    await rig.pass(1_000);
    assert.equal(rig.origins.length, 2);
    await rig.pass(1_000);
    assert.equal(readResponse(client.text).status, 504);
    assert.equal(rig.last.error?.reason, 'REQUEST_TIMEOUT');
    assert.ok(rig.origins.every((wire) => wire.wasReset));
    await rig.finish(client);
  });

  test('an answer that has begun is not cut by either', async () => {
    const rig = new Rig({
      proxy: { requestTimeoutMs: 1_500, perTryTimeoutMs: 1_000 },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab')),
    });
    const client = await rig.ask(get);
    await rig.pass(5_000);
    rig.origins[0]?.send('cd');
    await settle();
    assert.equal(readResponse(client.text).body, 'abcd');
    await rig.finish(client);
  });
});

describe('hedging', () => {
  test('after a while a second try is made beside the first; the first to answer is the answer', async () => {
    for (const fast of [0, 1]) {
      const rig = new Rig({ proxy: { hedgeAfterMs: 100 }, origin: () => {} });
      const client = await rig.ask(get);
      assert.equal(rig.origins.length, 1);
      await rig.pass(100);
      assert.equal(rig.origins.length, 2);
      rig.origins[fast]?.send(ok);
      await settle();
      assert.equal(readResponse(client.text).status, 200);
      assert.equal(client.text.split('HTTP/1.1').length, 2, 'one answer');
      assert.ok(rig.origins[1 - fast]?.wasReset);
      assert.equal(rig.last.session.attempt, 2);
      assert.equal(rig.last.error, null);
      await rig.finish(client);
    }
  });

  test('an answer in time is no cause for a second try', async () => {
    const rig = new Rig({ proxy: { hedgeAfterMs: 100 } });
    const client = await rig.ask(get);
    await rig.pass(200);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });

  test('if one of the two fails the other goes on, and if both do, so does the request', async () => {
    const rig = new Rig({ proxy: { hedgeAfterMs: 100 }, origin: () => {} });
    const client = await rig.ask(get);
    await rig.pass(100);
    rig.origins[0]?.reset();
    await settle();
    assert.equal(client.text, '');
    rig.origins[1]?.send(ok);
    await settle();
    assert.equal(readResponse(client.text).status, 200);
    const other = await rig.ask(get.replace('/', '/other'));
    await rig.pass(100);
    for (const wire of rig.origins.slice(-2)) wire.reset();
    await settle();
    assert.equal(readResponse(other.text).status, 502);
    await rig.finish(client, other);
  });

  test('is not for what must not be done twice, nor for what has a body', async () => {
    const rig = new Rig({ proxy: { hedgeAfterMs: 100 }, origin: () => {} });
    const clients = [
      await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n'),
      await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab'),
    ];
    await rig.pass(1_000);
    assert.equal(rig.origins.length, 2);
    await rig.finish(...clients);
  });

  test('counts as a retry: the budget bounds it', async () => {
    const rig = new Rig({ proxy: { hedgeAfterMs: 100, retryShare: 0 }, origin: () => {} });
    const clients = await Promise.all(Array.from({ length: 8 }, () => rig.ask(get)));
    await rig.pass(1_000);
    assert.equal(rig.origins.length, 8 + 3);
    await rig.finish(...clients);
  });
});
