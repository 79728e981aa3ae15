/**
 * Which connection goes on after a message, on both sides of the proxy, and what becomes of bytes that come too early or too late
 * (RFC 9112 §9.3, §9.6). The two sides are independent: the wish of one to close says nothing of the other.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { attack, ReadingOrigin, responsesOf, smuggled, statusesOf, tell } from './cve/attack.ts';
import { get, Rig, settle, type Wire, when } from './rig.ts';
import { fieldOf } from './world/wire-reader.ts';

const lengthOnly = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n';

describe('the client’s connection goes on (RFC 9112 §9.3)', () => {
  for (const [version, connection, answer, goesOn] of [
    ['1.1', '', lengthOnly, true],
    ['1.1', '', chunked, true],
    ['1.1', 'keep-alive', lengthOnly, true],
    ['1.1', 'close', lengthOnly, false],
    ['1.1', 'CLOSE', lengthOnly, false],
    ['1.1', 'keep-alive, close', lengthOnly, false],
    ['1.1', 'keep-alive\r\nConnection: close', lengthOnly, false],
    ['1.1', 'closed', lengthOnly, true],
    ['1.2', '', lengthOnly, true],
    ['1.0', '', lengthOnly, false],
    ['1.0', 'keep-alive', lengthOnly, true],
    ['1.0', 'Keep-Alive', lengthOnly, true],
    ['1.0', 'keep-alive, close', lengthOnly, false],
    ['1.0', 'keep-alive', chunked, false],
    ['1.0', 'keep-alive', 'HTTP/1.1 204 No Content\r\n\r\n', true],
  ] as const) {
    test(`HTTP/${version}, Connection: ${JSON.stringify(connection)}, ${answer === chunked ? 'unknown' : 'known'} length: ${goesOn}`, async () => {
      const origin = new ReadingOrigin(() => answer);
      const rig = new Rig({ origin: origin.serve });
      const fields = connection === '' ? '' : `Connection: ${connection}\r\n`;
      const client = await rig.ask(`GET /1 HTTP/${version}\r\nHost: h\r\n${fields}\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n`);
      assert.deepEqual(origin.targets, goesOn ? ['/1', '/2'] : ['/1']);
      assert.equal(client.hasEnded, !goesOn);
      const [response] = responsesOf(client);
      assert.ok(response?.isComplete);
      // RFC 9112 §9.3: an HTTP/1.0 client must hear that its wish is granted, every client that it is not.
      assert.equal(fieldOf(response, 'connection'), goesOn ? (version === '1.0' ? 'keep-alive' : undefined) : 'close');
      if (version === '1.0') assert.equal(fieldOf(response, 'transfer-encoding'), undefined, 'no chunks for HTTP/1.0 (RFC 9112 §6.1)');
      assert.equal(rig.proxy.connector.idleCount, 1, 'the upstream’s connection goes on all the same');
      assert.doesNotMatch(rig.origins[0]?.text ?? '', /connection|keep-alive/i);
      await rig.finish(client);
    });
  }

  test('not after its last request, and what was pipelined behind that is not looked at', async () => {
    const origin = new ReadingOrigin();
    const rig = new Rig({ origin: origin.serve, server: { connection: { maxRequests: 3 } } });
    const client = await rig.ask(get.repeat(10));
    assert.deepEqual(
      responsesOf(client).map((response) => fieldOf(response, 'connection')),
      [undefined, undefined, 'close'],
    );
    assert.ok(client.hasEnded);
    assert.equal(origin.requests.length, 3);
    await rig.finish(client);
  });

  test('not after a CONNECT that got no tunnel (RFC 9931)', async () => {
    const rig = new Rig();
    const client = await attack(rig, [`CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n${smuggled}`, smuggled]);
    assert.deepEqual(statusesOf(client), [405]);
    assert.ok(client.hasEnded);
    assert.equal(rig.origins.length, 0);
    await rig.finish(client);
  });

  test('with a body behind Connection: close the body is read, and nothing else', async () => {
    const origin = new ReadingOrigin();
    const rig = new Rig({ origin: origin.serve });
    const client = await rig.ask(`PUT / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello${smuggled}`);
    assert.deepEqual(
      origin.requests.map(({ body }) => body),
      ['hello'],
    );
    assert.ok(client.hasEnded);
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /smuggled/);
    await rig.finish(client);
  });
});

describe('the upstream’s connection goes on', () => {
  for (const [version, connection, framing, goesOn] of [
    ['1.1', '', 'length', true],
    ['1.1', '', 'chunked', true],
    ['1.1', '', 'close', false],
    ['1.1', 'keep-alive', 'length', true],
    ['1.1', 'close', 'length', false],
    ['1.1', 'close', 'chunked', false],
    ['1.1', 'keep-alive, Close', 'length', false],
    ['1.1', 'x\r\nConnection: close', 'length', false],
    ['1.0', '', 'length', false],
    ['1.0', 'keep-alive', 'length', true],
    ['1.0', 'keep-alive', 'close', false],
    ['1.0', '', 'close', false],
  ] as const) {
    test(`after HTTP/${version}, Connection: ${JSON.stringify(connection)}, framed by ${framing}: ${goesOn}`, async () => {
      const fields = connection === '' ? '' : `Connection: ${connection}\r\n`;
      const bodies = {
        length: 'Content-Length: 2\r\n\r\nok',
        chunked: 'Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
        close: '\r\nok',
      };
      const origin = new ReadingOrigin((_request, wire) => {
        if (framing === 'close') queueMicrotask(() => wire.end());
        return `HTTP/${version} 200 OK\r\n${fields}${bodies[framing]}`;
      });
      const rig = new Rig({ origin: origin.serve });
      const client = await rig.ask(get);
      client.send(get);
      await settle();
      const responses = responsesOf(client);
      assert.deepEqual(
        responses.map(({ body, isComplete, start }) => `${start[0]} ${body} ${isComplete}`),
        ['HTTP/1.1 ok true', 'HTTP/1.1 ok true'],
      );
      assert.equal(rig.origins.length, goesOn ? 1 : 2);
      assert.ok(!client.hasEnded, 'the client’s connection goes on all the same');
      for (const response of responses) assert.equal(fieldOf(response, 'connection'), undefined);
      await rig.finish(client);
    });
  }

  test('not if a body that the close ends was cut by a reset: the client sees it cut', async () => {
    for (const version of ['1.0', '1.1']) {
      const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.0 200 OK\r\n\r\nhalf').reset()) });
      const client = await rig.ask(`GET / HTTP/${version}\r\nHost: h\r\n\r\n`);
      assert.ok(client.isOver);
      if (client.text !== '') assert.equal(responsesOf(client)[0]?.isComplete ?? false, false);
      assert.equal(rig.last.outcome, 'upstream_error');
      await rig.finish(client);
    }
  });
});

describe('a response that comes while the request is on its way', () => {
  const start = 'POST /up HTTP/1.1\r\nHost: h\r\n';
  for (const [framing, head, rest] of [
    ['by length', `${start}Content-Length: ${smuggled.length * 2}\r\n\r\n`, smuggled.repeat(2)],
    [
      'in chunks',
      `${start}Transfer-Encoding: chunked\r\n\r\n`,
      `${(smuggled.length * 2).toString(16)}\r\n${smuggled.repeat(2)}\r\n0\r\n\r\n`,
    ],
  ] as const) {
    const isKept = framing === 'by length';
    test(`whole, ${framing}: it is forwarded, the rest is ${isKept ? 'drained and the next request answered' : 'not looked at, and the client hears of the close'}`, async () => {
      const origin = new ReadingOrigin();
      const rig = new Rig({
        origin: (wire, index) => (index === 0 ? when(wire, '\r\n\r\n', () => wire.send(tell('early'))) : origin.serve(wire)),
      });
      const client = await attack(rig, [head, ...rest.split(''), 'GET /next HTTP/1.1\r\nHost: h\r\n\r\n']);
      assert.deepEqual(
        responsesOf(client).map(({ body }) => body),
        isKept ? ['early', '/next'] : ['early'],
      );
      assert.deepEqual(origin.begunTargets, isKept ? ['/next'] : []);
      assert.equal(client.text.includes('\r\nConnection: close\r\n'), !isKept);
      assert.equal(client.hasEnded, !isKept);
      assert.ok(rig.origins[0]?.isOver);
      await rig.finish(client);
    });

    test(`only its head, ${framing}: the request still goes on, and both are whole in the end`, async () => {
      const origin = new ReadingOrigin(() => 'ok');
      const rig = new Rig({
        origin: (wire) => {
          origin.serve(wire);
          when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n'));
        },
      });
      const client = await attack(rig, [head]);
      assert.match(client.text, /^HTTP\/1\.1 200 /);
      client.send(rest);
      await settle();
      assert.equal(origin.requests[0]?.body, smuggled.repeat(2));
      assert.equal(responsesOf(client)[0]?.body, 'ok');
      assert.equal(rig.proxy.connector.idleCount, 1, 'both messages were whole, in order');
      await rig.finish(client);
    });
  }

  test('of an origin that then closes reaches the client whole', async () => {
    const rig = new Rig({
      origin: (wire) =>
        when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 413 Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig').end()),
    });
    const client = await attack(rig, [
      `${start}Content-Length: 200000\r\n\r\n`,
      ...Array.from({ length: 20 }, () => 'x'.repeat(10_000)),
      smuggled,
    ]);
    assert.deepEqual(
      responsesOf(client).map(({ body }) => body),
      ['big'],
    );
    assert.ok(client.hasEnded);
    assert.equal(rig.begun, 1);
    await rig.finish(client);
  });
});

describe('pipelined requests (RFC 9112 §9.3.2)', () => {
  test('are answered in order, however long each answer takes', async () => {
    const wires: [Wire, string][] = [];
    const origin = new ReadingOrigin((request, wire) => {
      wires.push([wire, request.start[1]]);
      return '';
    });
    const rig = new Rig({ origin: origin.serve });
    const client = await rig.ask(Array.from({ length: 5 }, (_, index) => `GET /${index} HTTP/1.1\r\nHost: h\r\n\r\n`).join(''));
    for (let index = 0; index < 5; index++) {
      assert.equal(wires.length, index + 1, 'one at a time is asked for');
      const [wire, target] = wires[index] as [Wire, string];
      wire.send(tell(target));
      await settle();
    }
    assert.deepEqual(
      responsesOf(client).map(({ body }) => body),
      ['/0', '/1', '/2', '/3', '/4'],
    );
    await rig.finish(client);
  });

  for (const [what, options, piece] of [
    ['bytes', { maxLookAheadBytes: 2_000 }, 'GET / HTTP/1.1\r\nHost: h\r\nX-Pad: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n\r\n'],
    ['chunks', { maxLookAheadChunks: 8 }, 'G'],
  ] as const) {
    test(`are read ahead up to so many ${what}; the rest waits at the client, and is lost to nobody`, async () => {
      const held = new Rig({ origin: () => {}, server: options });
      const waiting = await attack(held, [get, ...Array.from({ length: 200 }, () => piece)]);
      const readAhead = piece.length * 200 - waiting.stream.bufferedBytes;
      const limit = what === 'bytes' ? 2_000 + piece.length : 9;
      assert.ok(readAhead > 0 && readAhead <= limit, `${readAhead} bytes are read ahead`);
      assert.equal(held.begun, 1);
      await held.finish(waiting);

      const rig = new Rig({ server: options });
      const client = await attack(rig, [get + get, ...(get + get).split('')]);
      await settle();
      assert.deepEqual(statusesOf(client), [200, 200, 200, 200]);
      await rig.finish(client);
    });
  }

  test('behind a faulty one get no answer, those before it do', async () => {
    const origin = new ReadingOrigin();
    const rig = new Rig({ origin: origin.serve });
    const client = await attack(rig, [`${get.repeat(3)}GET / HTTP/1.1\r\nHost : h\r\n\r\n${smuggled}`]);
    assert.deepEqual(statusesOf(client), [200, 200, 200, 400]);
    assert.equal(origin.requests.length, 3);
    await rig.finish(client);
  });
});
