/** Faults of the upstream, by row of the fault list, each with the outcome that the list names. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connectError, fromNodeError } from '@ferrata/error';
import { memoryPair } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';
import { answering, get, ok, origin, Rig, type RigOptions, readResponse, settle, Wire, when } from './rig.ts';

const post = (body: string): string => `POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
const refuse = async (): Promise<never> => {
  throw Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:80'), { code: 'ECONNREFUSED' });
};

describe('U1: the upstream refuses the connection', () => {
  for (const [code, reason, status] of [
    ['ECONNREFUSED', 'CONNECT_REFUSED', 502],
    ['EHOSTUNREACH', 'CONNECT_NO_ROUTE', 502],
    ['ENETUNREACH', 'CONNECT_NO_ROUTE', 502],
    ['ENOTFOUND', 'DNS_NOT_FOUND', 502],
    ['EMFILE', 'DESCRIPTORS_EXHAUSTED', 503],
  ] as const) {
    test(`${code} from the only peer is ${status} at once`, async () => {
      let attempts = 0;
      const rig = new Rig({
        upstream: {
          connect: async () => {
            attempts++;
            throw Object.assign(new Error(code), { code });
          },
        },
      });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, status);
      assert.equal(attempts, 1);
      assert.equal(rig.last.error?.reason, reason);
      assert.equal(rig.last.error?.source, 'upstream');
      assert.equal(rig.last.outcome, 'upstream_error');
      assert.equal(rig.proxy.connector.counts.failed, 1);
      await rig.finish(client);
    });
  }

  test('another peer named by upstreamPeer is tried, and failToConnect hears of the first', async () => {
    const second = peer('10.0.0.2:80');
    const failed: string[] = [];
    const rig: Rig = new Rig({
      hooks: {
        upstreamPeer: (session) => (session.attempt === 1 ? origin : second),
        failToConnect: (_session, { key }, error) => void failed.push(`${key} ${error.reason}`),
      },
      upstream: { connect: async (to) => (to === origin ? refuse() : originStream(rig)) },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 200);
    assert.deepEqual(failed, [`${origin.key} CONNECT_REFUSED`]);
    assert.equal(rig.last.error, null);
    assert.equal(rig.last.session.attempt, 2);
    await rig.finish(client);
  });

  test('failToConnect may forbid the next try', async () => {
    let asked = 0;
    const rig = new Rig({
      hooks: {
        upstreamPeer: () => peer(`10.0.0.${++asked}:80`),
        failToConnect: async (_session, _peer, error) => {
          error.retry = 'never';
        },
      },
      upstream: { connect: refuse },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(asked, 1);
    await rig.finish(client);
  });
});

function originStream(rig: Rig): ReturnType<typeof memoryPair>['a'] {
  const { a, b } = memoryPair();
  const wire = new Wire(b);
  rig.origins.push(wire);
  answering(ok)(wire);
  return a;
}

describe('U2: the upstream is a black hole', () => {
  const never = (): Promise<never> => new Promise(() => {});

  test('connecting is given up after 3 s, and the client gets 504', async () => {
    const rig = new Rig({ upstream: { connect: never } });
    const client = await rig.ask(get);
    await rig.pass(2_900);
    assert.equal(client.text, '');
    await rig.pass(200);
    assert.equal(readResponse(client.text).status, 504);
    assert.equal(rig.last.error?.reason, 'CONNECT_TIMEOUT');
    assert.equal(rig.last.outcome, 'timeout');
    await rig.finish(client);
  });

  test('another peer is tried after the time-out', async () => {
    const second = peer('10.0.0.2:80');
    const rig: Rig = new Rig({
      hooks: { upstreamPeer: (session) => (session.attempt === 1 ? origin : second) },
      upstream: { connect: async (to: Peer) => (to === origin ? never() : originStream(rig)) },
    });
    const client = await rig.ask(get);
    await rig.pass(3_100);
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  });
});

describe('U3: a reused connection ends before any byte of the answer', () => {
  /** The first connection serves one request and ends at the second; later connections serve. */
  const stale = (how: 'reset' | 'end'): NonNullable<RigOptions['origin']> =>
    function serve(wire, index) {
      if (index > 0) {
        wire.onText = () => {
          if (wire.text.includes('\r\n\r\n')) wire.send(ok);
        };
        return;
      }
      when(wire, '\r\n\r\n', () => wire.send(ok));
      when(wire, '/second', () => wire[how]());
    };

  for (const how of ['reset', 'end'] as const) {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'TRACE']) {
      test(`${method} after ${how}: silently retried on a fresh connection`, async () => {
        const rig = new Rig({ origin: stale(how) });
        const first = await rig.ask(get);
        const client = await rig.ask(`${method} /second HTTP/1.1\r\nHost: h\r\n\r\n`);
        assert.equal(readResponse(client.text, { method }).status, 200);
        assert.equal(rig.origins.length, 2);
        assert.equal(rig.last.session.attempt, 2);
        assert.equal(rig.last.session.isUpstreamReused, false);
        await rig.finish(first, client);
      });
    }

    for (const method of ['POST', 'PATCH', 'get']) {
      test(`${method} after ${how}: not idempotent, so 502`, async () => {
        const rig = new Rig({ origin: stale(how) });
        const first = await rig.ask(get);
        const client = await rig.ask(`${method} /second HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab`);
        assert.equal(readResponse(client.text).status, 502);
        assert.equal(rig.origins.length, 1);
        assert.equal(rig.last.outcome, 'upstream_error');
        await rig.finish(first, client);
      });
    }
  }

  for (const [length, isRetried] of [
    [65_536, true],
    [65_537, false],
  ] as const) {
    test(`PUT with a body of ${length} bytes ${isRetried ? 'is repeated' : 'is too large to be repeated: 502'}`, async () => {
      const rig = new Rig({
        origin: (wire, index) => {
          if (index === 0) {
            when(wire, '\r\n\r\n', () => wire.send(ok));
            wire.onText = ((before) => (it: Wire) => {
              before(it);
              if (it.text.includes('/second') && it.text.endsWith('z')) it.reset();
            })(wire.onText);
          } else {
            wire.onText = () => {
              if (wire.text.endsWith('z')) wire.send(ok);
            };
          }
        },
      });
      const first = await rig.ask(get);
      const body = `${'x'.repeat(length - 1)}z`;
      const client = await rig.ask(`PUT /second HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n${body}`);
      assert.equal(readResponse(client.text).status, isRetried ? 200 : 502);
      if (isRetried) assert.ok(rig.origins[1]?.text.endsWith(body));
      assert.equal(rig.origins.length, isRetried ? 2 : 1);
      await rig.finish(first, client);
    });
  }

  test('a connection that ended while a filter waited was provably unused: even POST is repeated', async () => {
    const release = Promise.withResolvers<void>();
    const rig = new Rig({
      hooks: {
        upstreamRequestFilter: (session) => (session.request.target === '/second' && session.attempt === 1 ? release.promise : undefined),
      },
      origin: (wire) => answering(ok)(wire),
    });
    const first = await rig.ask(get);
    const client = await rig.ask('POST /second HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab');
    rig.origins[0]?.reset();
    await settle();
    release.resolve();
    await settle();
    assert.equal(readResponse(client.text).status, 200);
    assert.ok(rig.origins[1]?.text.endsWith('ab'));
    await rig.finish(first, client);
  });
});

describe('U4: a fresh connection ends before any byte of the answer', () => {
  test('GET is tried once more, and then is 502', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.reset()) });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(rig.origins.length, 2);
    await rig.finish(client);
  });
  test('POST is 502 at once', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.reset()) });
    const client = await rig.ask(post('ab'));
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });
  test('maxRetries 0 tries nothing twice', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.reset()), proxy: { maxRetries: 0 } });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });
});

/** Responses that are cut at every byte, with what of them a client may see as whole. */
const messages = {
  'content-length': 'HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 12\r\n\r\nHello world!',
  chunked: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nHello \r\n6\r\nworld!\r\n0\r\nX-Sum: 1\r\n\r\n',
  'close-delimited': 'HTTP/1.0 200 OK\r\nX: y\r\n\r\nHello world!',
} as const;
const clients = {
  'HTTP/1.1': get,
  'HTTP/1.0': 'GET / HTTP/1.0\r\nHost: example.org\r\n\r\n',
} as const;

for (const [framing, message] of Object.entries(messages)) {
  for (const [version, request] of Object.entries(clients)) {
    const headLength = message.indexOf('\r\n\r\n') + 4;
    describe(`a ${framing} response to an ${version} client, cut at every byte`, () => {
      for (const [row, fault] of [
        ['U5, U6: reset', 'reset'],
        ['U7: half-close', 'end'],
        ['U8: stall', 'stall'],
      ] as const) {
        test(row, async () => {
          for (let at = 0; at <= message.length; at++) {
            // The reset of a stream that nobody pauses comes after the bytes: at the last position the message is whole.
            const isWhole = at === message.length && (framing !== 'close-delimited' || fault === 'end');
            const rig = new Rig({
              proxy: { maxRetries: 0 },
              origin: (wire) =>
                when(wire, '\r\n\r\n', () => {
                  wire.send(message.slice(0, at));
                  if (fault !== 'stall') wire[fault]();
                }),
            });
            const client = await rig.ask(request);
            if (fault === 'stall') await rig.pass(61_000);
            const place = `${row} at ${at}`;
            const isEndOfBody = framing === 'close-delimited' && fault === 'end' && at >= headLength;
            const { isOver } = client;
            // A reset behind the end takes nothing back.
            const wasReset = client.wasReset && !client.hasEnded;
            const response = readResponse(client.text, { isOver, wasReset });
            if (isWhole || isEndOfBody) {
              assert.equal(response.status, 200, place);
              assert.ok(response.isComplete, place);
              assert.equal(response.body, framing === 'close-delimited' ? message.slice(headLength, at) : 'Hello world!', place);
              assert.equal(rig.last.outcome, 'completed', place);
            } else if (at < headLength) {
              assert.equal(response.status, fault === 'stall' ? 504 : 502, place);
              assert.ok(response.isComplete, place);
              assert.equal(rig.last.outcome, fault === 'stall' ? 'timeout' : 'upstream_error', place);
              assert.equal(rig.last.error?.source, 'upstream', place);
            } else {
              assert.equal(response.status, 200, place);
              assert.equal(response.isComplete, false, `${place}: a cut response looks complete: ${client.text}`);
              assert.ok(client.isOver, `${place}: the client is left waiting`);
              assert.ok('Hello world!'.startsWith(response.body), place);
              assert.equal(rig.last.status, 200, place);
              assert.equal(rig.last.outcome, fault === 'stall' ? 'timeout' : 'upstream_error', place);
            }
            const mayBePooled = isWhole && framing !== 'close-delimited';
            if (!mayBePooled || fault !== 'stall') assert.equal(rig.proxy.connector.idleCount, 0, place);
            await rig.finish(client);
          }
        });
      }
    });
  }
}

test('U9: one byte per second passes, as long as it goes on', async () => {
  const message = messages.chunked;
  const rig = new Rig({ origin: () => {} });
  const client = await rig.ask(get);
  for (const byte of message) {
    rig.origins[0]?.send(byte);
    await settle();
    rig.clock.advance(1_000);
  }
  await settle();
  const response = readResponse(client.text);
  assert.ok(response.isComplete);
  assert.equal(response.body, 'Hello world!');
  assert.equal(rig.last.outcome, 'completed');
  await rig.finish(client);
});

describe('U10: the response comes before the end of the request', () => {
  for (const [what, length, isKept] of [
    ['a rest within 64 KiB is drained, and the connection kept', 60_000, true],
    ['a larger rest closes the connection', 200_000, false],
  ] as const) {
    test(`the response is forwarded; ${what}; the upstream connection is not used again`, async () => {
      const rig = new Rig({
        origin: (wire) => when(wire, 'first', () => wire.send('HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig')),
      });
      const client = rig.connect().send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\nfirst`);
      await settle();
      const response = readResponse(client.text);
      assert.equal(response.status, 413);
      assert.equal(response.body, 'big');
      assert.ok(response.isComplete);
      assert.equal(rig.last.outcome, 'completed');
      assert.equal(rig.proxy.connector.connectionCount, 0);
      assert.ok(rig.origins[0]?.isOver);
      assert.equal(/^connection: close/im.test(response.head), !isKept);
      if (isKept) {
        const before = client.text.length;
        client.send('x'.repeat(length - 5)).send(get.replace('/', '/next'));
        await settle();
        assert.ok(rig.origins[1]?.text.startsWith('GET /next'), 'the next request is read after the drained body');
        assert.ok(client.text.length >= before);
      } else {
        assert.ok(client.hasEnded);
      }
      await rig.finish(client);
    });
  }
});

describe('U11: interim responses', () => {
  test('100, 102 and 103 are forwarded in order, then the final response', async () => {
    const rig = new Rig({
      origin: answering(
        `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-secret\r\nX-Secret: 1\r\n\r\n${ok}`,
      ),
    });
    const client = await rig.ask(get);
    const first = readResponse(client.text);
    assert.equal(first.status, 102);
    const second = readResponse(first.rest);
    assert.equal(second.status, 103);
    assert.match(second.head, /Link: <\/a>/);
    assert.doesNotMatch(second.head, /secret|connection/i);
    assert.equal(readResponse(second.rest).body, 'ok');
    assert.equal(rig.last.status, 200);
    await rig.finish(client);
  });
  test('8 are forwarded; more than the limit of the origin are 502', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(8) + ok) });
    const client = await rig.ask(get);
    assert.equal(client.text.split('103 Early Hints').length - 1, 8);
    assert.ok(client.text.endsWith('ok'));
    await rig.finish(client);

    const terse = peer('10.0.0.1:80', { connection: { maxInterimResponses: 8 } });
    const storm = new Rig({
      origin: answering('HTTP/1.1 103 Early Hints\r\n\r\n'.repeat(9) + ok),
      hooks: { upstreamPeer: () => terse },
    });
    const victim = await storm.ask(get);
    assert.match(victim.text, /HTTP\/1.1 502/);
    assert.equal(storm.last.status, 502);
    assert.equal(storm.last.error?.reason, 'H1_TOO_MANY_INTERIM');
    assert.equal(storm.proxy.connector.connectionCount, 0);
    await storm.finish(victim);
  });
  test('100 that comes late, twice, or never does not hold the request', async () => {
    for (const continues of [0, 1, 2]) {
      const rig = new Rig({
        origin: (wire) => {
          when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 100 Continue\r\n\r\n'.repeat(continues)));
          when(wire, 'abc', () => wire.send(ok));
        },
      });
      const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
      assert.equal(client.text.split('100 Continue').length - 1, continues);
      client.send('abc');
      await settle();
      assert.ok(client.text.endsWith('ok'));
      await rig.finish(client);
    }
  });
  test('101 that nobody asked for is 502', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nsecret') });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 502);
    assert.doesNotMatch(client.text, /secret/);
    assert.equal(rig.last.error?.reason, 'H1_UNASKED_UPGRADE');
    assert.equal(rig.proxy.connector.connectionCount, 0);
    await rig.finish(client);
  });
});

describe('U12: bytes that belong to no exchange', () => {
  test('bytes behind a complete response: the response passes, the connection is dropped and counted', async () => {
    const rig = new Rig({ origin: answering(`${ok}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil`) });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'ok');
    assert.doesNotMatch(client.text, /evil/);
    assert.equal(rig.proxy.connector.counts.dirty, 1);
    assert.equal(rig.proxy.connector.connectionCount, 0);
    client.send(get);
    await settle();
    assert.equal(rig.origins.length, 2);
    await rig.finish(client);
  });
  test('a response to no request, on an idle connection: dropped and counted, never handed out', async () => {
    const rig = new Rig();
    const client = await rig.ask(get);
    assert.equal(rig.proxy.connector.idleCount, 1);
    rig.origins[0]?.send('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n');
    await settle();
    assert.equal(rig.proxy.connector.idleCount, 0);
    assert.equal(rig.proxy.connector.counts.dirty, 1);
    client.send(get);
    await settle();
    assert.equal(rig.origins.length, 2);
    assert.equal(rig.last.status, 200);
    await rig.finish(client);
  });
});

describe('U13: responses with invalid framing are 502', () => {
  for (const [what, response] of Object.entries({
    'Content-Length with Transfer-Encoding': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc',
    'an invalid length': 'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab',
    'LF only': 'HTTP/1.1 200 OK\nContent-Length: 2\n\nok',
    'a giant head': `HTTP/1.1 200 OK\r\nX: ${'y'.repeat(100_000)}\r\n\r\n`,
    '10 000 fields': `HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(10_000)}\r\n`,
    'no HTTP at all': 'SSH-2.0-OpenSSH_9.2\r\n\r\n',
  })) {
    test(what, async () => {
      const rig = new Rig({ origin: answering(response) });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, 502);
      assert.equal(rig.last.error?.source, 'upstream');
      assert.equal(rig.last.outcome, 'upstream_error');
      assert.equal(rig.proxy.connector.connectionCount, 0);
      await rig.finish(client);
    });
  }
  test('a bad chunk after the head: the response is cut visibly', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nXX\r\n') });
    const client = await rig.ask(get);
    const response = readResponse(client.text);
    assert.equal(response.body, 'ok');
    assert.equal(response.isComplete, false);
    assert.ok(client.isOver);
    assert.equal(rig.last.error?.reason, 'H1_CHUNK_SIZE_INVALID');
    await rig.finish(client);
  });
});

describe('U14: a body where none may be, or longer than announced', () => {
  for (const [what, method, response] of [
    ['HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'],
    ['204', 'GET', 'HTTP/1.1 204 No Content\r\n\r\nevil'],
    ['304', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil'],
    ['a body longer than its length', 'GET', 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokevil'],
  ] as const) {
    test(`${what}: the bytes are not forwarded, and the connection is closed`, async () => {
      const rig = new Rig({ origin: answering(response) });
      const client = await rig.ask(`${method} / HTTP/1.1\r\nHost: h\r\n\r\n`);
      assert.ok(readResponse(client.text, { method }).isComplete);
      assert.doesNotMatch(client.text, /evil/);
      assert.equal(rig.proxy.connector.connectionCount, 0);
      assert.equal(rig.proxy.connector.counts.dirty, 1);
      assert.equal(rig.last.outcome, 'completed');
      await rig.finish(client);
    });
  }
});

test('an error of a custom maker of streams keeps its own status', async () => {
  const rig = new Rig({
    upstream: {
      connect: async () => {
        throw connectError('NO_TUNNEL', 'none', { retry: 'never', wire: { status: 503 } });
      },
    },
  });
  const client = await rig.ask(get);
  assert.equal(readResponse(client.text).status, 503);
  assert.equal(fromNodeError(rig.last.error).source, 'upstream');
  await rig.finish(client);
});
