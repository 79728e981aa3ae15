/** Faults of the client, by row of the fault list, each with the outcome that the list names. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { answering, get, ok, Rig, readResponse, settle, when } from './rig.ts';

describe('C1: a slow client', () => {
  test('a head that takes more than 10 s is 408, however often a byte comes', async () => {
    const rig = new Rig();
    const client = rig.connect();
    for (const byte of 'GET / HTTP/1.') {
      client.send(byte);
      await rig.pass(1_000);
    }
    assert.equal(readResponse(client.text).status, 408);
    assert.deepEqual(
      rig.refused.map(({ error }) => [error.type, error.reason]),
      [['timeout', 'H1_HEAD_TIMEOUT']],
    );
    assert.equal(rig.begun, 0);
    await rig.finish(client);
  });

  test('a body that stalls is 408, and the upstream request is cancelled', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc');
    assert.ok(rig.origins[0]?.text.endsWith('abc'));
    await rig.pass(31_000);
    assert.equal(readResponse(client.text).status, 408);
    assert.ok(rig.origins[0]?.wasReset);
    assert.equal(rig.last.outcome, 'timeout');
    assert.equal(rig.last.error?.source, 'downstream');
    assert.equal(rig.last.status, 408);
    await rig.finish(client);
  });

  test('a client that reads nothing for 30 s is cut, and holds no more than the high-water marks', async () => {
    const rig = new Rig({
      highWaterBytes: 1_000,
      origin: (wire) =>
        when(wire, '\r\n\r\n', () => {
          wire.send('HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n');
          for (let piece = 0; piece < 100; piece++) wire.send('x'.repeat(1_000));
        }),
    });
    const client = rig.connect();
    client.stream.pause();
    client.send(get);
    await settle();
    const unread = rig.origins[0]?.stream.bufferedBytes ?? 0;
    // Within one tick the proxy takes up to 16 KiB before it looks whether the client's stream is full.
    assert.ok(unread > 80_000, `the rest waits at the origin: ${unread}`);
    await rig.pass(61_000);
    assert.equal(rig.last.outcome, 'timeout');
    assert.equal(rig.last.error?.reason, 'H1_WRITE_STALLED');
    assert.ok(rig.origins[0]?.wasReset);
    await rig.finish(client);
  });
});

const requests = {
  'Content-Length': 'PUT /path HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\nHello world!',
  chunked: 'PUT /path HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nHello \r\n6\r\nworld!\r\n0\r\nX-Sum: 1\r\n\r\n',
} as const;

for (const [framing, message] of Object.entries(requests)) {
  describe(`C2: a ${framing} request, cut at every byte`, () => {
    const headLength = message.indexOf('\r\n\r\n') + 4;
    for (const fault of ['reset', 'end', 'stall'] as const) {
      test(fault, async () => {
        for (let at = 0; at < message.length; at++) {
          const rig = new Rig({ origin: () => {} });
          const client = await rig.ask(message.slice(0, at));
          if (fault !== 'stall') client[fault]();
          await settle();
          await rig.pass(fault === 'stall' ? 36_000 : 3_000);
          const place = `${fault} at ${at}`;
          assert.ok(client.isOver, place);
          if (at < headLength) {
            assert.equal(rig.begun, 0, place);
            assert.equal(rig.origins.length, 0, place);
          } else {
            const upstream = rig.origins[0];
            assert.ok(upstream?.wasReset, `${place}: the upstream request is cancelled`);
            assert.ok(
              !upstream.text.endsWith('0\r\n\r\n') && !upstream.text.endsWith('world!'.slice(0, 6) + '\r\n0\r\n'),
              `${place}: nothing looks whole`,
            );
            assert.equal(rig.last.error?.source, 'downstream', place);
            assert.equal(rig.last.outcome, { reset: 'client_abort', end: 'client_abort', stall: 'timeout' }[fault], place);
          }
          if (fault === 'stall' && at > 0) assert.equal(readResponse(client.text).status, 408, place);
          await rig.finish(client);
        }
      });
    }
  });
}

describe('C2: the client goes away', () => {
  test('while a connection is being made: connecting is given up', async () => {
    let aborted = false;
    const rig = new Rig({
      upstream: {
        connect: (_peer, signal) =>
          new Promise((_resolve, reject) => {
            signal.addEventListener('abort', () => {
              aborted = true;
              reject(new Error('aborted'));
            });
          }),
      },
    });
    const client = await rig.ask(get);
    client.reset();
    await settle();
    assert.ok(aborted);
    assert.equal(rig.last.outcome, 'client_abort');
    assert.equal(rig.last.status, 0);
    assert.equal(rig.proxy.connector.counts.failed, 0);
    await rig.finish(client);
  });

  test('while a hook is waited for: the connection that was made goes back to the pool', async () => {
    const waiting = Promise.withResolvers<void>();
    const rig = new Rig({ hooks: { upstreamRequestFilter: () => waiting.promise } });
    const client = await rig.ask(get);
    assert.equal(rig.proxy.connector.idleCount, 0);
    client.reset();
    await settle();
    assert.equal(rig.proxy.connector.idleCount, 1);
    assert.equal(rig.origins[0]?.text, '');
    waiting.resolve();
    await settle();
    assert.equal(rig.origins[0]?.text, '');
    await rig.finish(client);
  });

  test('at every byte of the response: the upstream is cancelled unless all is done', async () => {
    const response = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
    for (let at = 0; at <= response.length; at++) {
      const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(response.slice(0, at))) });
      const client = await rig.ask(get);
      client.reset();
      await settle();
      if (at < response.length) {
        assert.ok(rig.origins[0]?.wasReset, `at ${at}`);
        assert.equal(rig.last.outcome, 'client_abort');
        assert.equal(rig.last.status, at < response.indexOf('\r\n\r\n') + 4 ? 0 : 200);
      } else {
        assert.equal(rig.last.outcome, 'completed');
        assert.equal(rig.proxy.connector.idleCount, 1);
      }
      await rig.finish(client);
    }
  });
});

describe('C3: the client half-closes after its request', () => {
  test('the response is still delivered', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = rig.connect().send(get).end();
    await settle();
    await rig.pass(1_000);
    rig.origins[0]?.send(ok);
    await settle();
    assert.equal(readResponse(client.text).body, 'ok');
    assert.ok(client.hasEnded);
    assert.equal(rig.last.outcome, 'completed');
    await rig.finish(client);
  });
  test('but no longer than the grace: then it counts as gone', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = rig.connect().send(get).end();
    await settle();
    await rig.pass(3_000);
    assert.ok(rig.origins[0]?.wasReset);
    assert.equal(rig.last.outcome, 'client_abort');
    await rig.finish(client);
  });
});

describe('C4: pipelining', () => {
  test('1 000 requests at once are answered in order, one upstream connection after the other request', async () => {
    let served = 0;
    const rig = new Rig({
      server: { connection: { maxRequests: 2_000 } },
      origin: (wire) => {
        let answered = 0;
        wire.onText = () => {
          const targets = [...wire.text.matchAll(/^GET (\S+)/gm)].slice(answered);
          for (const [, target] of targets) {
            answered++;
            served++;
            wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${target?.length}\r\n\r\n${target}`);
          }
        };
      },
    });
    const client = rig.connect();
    for (let i = 0; i < 1_000; i++) client.send(`GET /${i} HTTP/1.1\r\nHost: h\r\n\r\n`);
    for (let round = 0; round < 2_000 && served < 1_000; round++) await settle();
    await settle();
    let { text } = client;
    for (let i = 0; i < 1_000; i++) {
      const response = readResponse(text);
      assert.equal(response.body, `/${i}`);
      text = response.rest;
    }
    assert.equal(text, '');
    assert.equal(rig.logged.length, 1_000);
    await rig.finish(client);
  });
  test('garbage behind a request: the request is answered, the garbage is 400, and the connection ends', async () => {
    const rig = new Rig();
    const client = await rig.ask(`${get}\x00\x01garbage\r\n\r\n`);
    const first = readResponse(client.text);
    assert.equal(first.body, 'ok');
    assert.equal(readResponse(first.rest).status, 400);
    assert.ok(client.hasEnded);
    assert.equal(rig.refused.length, 1);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });
  test('what follows a request with Connection: close is ignored', async () => {
    const rig = new Rig();
    const client = await rig.ask(`GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n${get.replace('/', '/evil')}`);
    assert.equal(readResponse(client.text).rest, '');
    assert.ok(client.hasEnded);
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /evil/);
    await rig.finish(client);
  });
});

describe('C7: Expect', () => {
  test('100-continue without a body does not hold the request', async () => {
    const rig = new Rig();
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n');
    assert.ok(client.text.endsWith('ok'));
    await rig.finish(client);
  });
  test('a final answer instead of 100 ends the exchange, and the connection, as a body may follow or not', async () => {
    const rig = new Rig({ origin: answering('HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n') });
    const client = await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n');
    const response = readResponse(client.text);
    assert.equal(response.status, 417);
    assert.match(response.head, /^connection: close/im);
    await rig.finish(client);
  });
  test('another expectation is forwarded: only the origin knows it (RFC 9110 §10.1.1)', async () => {
    const rig = new Rig();
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n');
    assert.equal(readResponse(client.text).status, 200);
    assert.match(rig.origins[0]?.text ?? '', /^expect: tea\r$/im);
    await rig.finish(client);
  });
  test('from an HTTP/1.0 client it is not forwarded (RFC 9110 §10.1.1)', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, 'abc', () => wire.send(ok)) });
    const client = await rig.ask('PUT / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc');
    assert.equal(readResponse(client.text).status, 200);
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /expect/i);
    await rig.finish(client);
  });
});
