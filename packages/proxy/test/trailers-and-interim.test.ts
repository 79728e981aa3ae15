/** What comes before and after a message through the proxy: interim responses (RFC 9110 §15.2) and trailers (§6.5), in all their company. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Peer, peer } from '@ferrata/upstream';
import { attack, cuts, ReadingOrigin, responsesOf, statusesOf, tell } from './cve/attack.ts';
import { answering, get, Rig, readResponse, settle, when } from './rig.ts';
import { fieldOf } from './world/wire-reader.ts';

const upload = (fields: string, trailers: string, version = '1.1'): string =>
  `POST / HTTP/${version}\r\nHost: h\r\n${fields}Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n${trailers}\r\n`;
const download = (trailers: string, fields = ''): string =>
  `HTTP/1.1 200 OK\r\n${fields}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n${trailers}\r\n`;

describe('trailers', () => {
  for (const [cut, pieces] of Object.entries(cuts)) {
    for (const isFiltered of [false, true]) {
      test(`pass both ways with the Trailer field that announces them, ${cut}${isFiltered ? ', through asynchronous filters' : ''}`, async () => {
        const origin = new ReadingOrigin(() => download('X-Sum: 2\r\nx-empty:\r\nX-Sum: 3\r\n', 'Trailer: X-Sum, x-empty\r\n'));
        const pass = async (_session: unknown, chunk: Uint8Array | null): Promise<Uint8Array | null> => chunk;
        const rig = new Rig({
          origin: origin.serve,
          ...(isFiltered ? { hooks: { requestBodyFilter: pass, responseBodyFilter: pass } } : {}),
        });
        const client = await attack(rig, pieces(upload('Trailer: X-Sum\r\n', 'X-Sum: 1\r\n') + get));
        await settle();
        const [request] = origin.requests;
        const [response, second] = responsesOf(client);
        assert.ok(request && response && second);
        assert.equal(fieldOf(request, 'trailer'), 'X-Sum');
        assert.deepEqual([request.body, request.trailers], ['ab', [['X-Sum', '1']]]);
        assert.equal(fieldOf(response, 'trailer'), 'X-Sum, x-empty');
        const wanted = ['X-Sum: 2', 'x-empty: ', 'X-Sum: 3'];
        assert.deepEqual([response.body, response.trailers.map(([name, value]) => `${name}: ${value}`)], ['ok', wanted]);
        await rig.finish(client);
      });
    }
  }

  test('for HTTP/1.0 clients are dropped with the chunks, and nothing waits for them (RFC 9112 §7.1.2)', async () => {
    const rig = new Rig({ origin: new ReadingOrigin(() => download('X-Sum: 2\r\n')).serve });
    const client = await rig.ask('GET / HTTP/1.0\r\nHost: h\r\n\r\n');
    const [response] = responsesOf(client);
    assert.equal(response?.body, 'ok');
    assert.equal(response?.framing, 'close');
    assert.ok(client.hasEnded);
    assert.equal(rig.last.outcome, 'completed');
    await rig.finish(client);
  });

  test('in a response to HEAD, 204 and 304 have no place', async () => {
    for (const [method, status] of [
      ['HEAD', '200 OK'],
      ['GET', '304 Not Modified'],
    ] as const) {
      const rig = new Rig({
        origin: new ReadingOrigin(() => `HTTP/1.1 ${status}\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n`).serve,
      });
      const ask = `${method} / HTTP/1.1\r\nHost: h\r\n\r\n`;
      const client = await rig.ask(ask + ask);
      assert.equal(statusesOf(client, [method, method]).length, 2);
      await rig.finish(client);
    }
  });

  for (const [what, ask, answer, announced] of [
    ['chunks', '{} HTTP/1.1', 'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n', 'X'],
    [
      'chunks, to HTTP/1.0',
      '{} HTTP/1.0',
      'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: 1\r\n\r\n',
      undefined,
    ],
    ['a length', '{} HTTP/1.1', 'HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nok', undefined],
    ['no body', '{} HTTP/1.1', 'HTTP/1.1 204 No Content\r\nTrailer: X\r\n\r\n', undefined],
    ['304', '{} HTTP/1.1', 'HTTP/1.1 304 Not Modified\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n', undefined],
    ['chunks that HEAD does not get', 'HEAD HTTP/1.1', 'HTTP/1.1 200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n', 'X'],
    ['a length that HEAD does not get', 'HEAD HTTP/1.1', 'HTTP/1.1 200 OK\r\nTrailer: X\r\nContent-Length: 2\r\n\r\n', undefined],
    ['304 to HEAD', 'HEAD HTTP/1.1', 'HTTP/1.1 304 Not Modified\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n', undefined],
    ['204 to HEAD', 'HEAD HTTP/1.1', 'HTTP/1.1 204 No Content\r\nTrailer: X\r\n\r\n', undefined],
  ] as const) {
    test(`are announced by Trailer only where a response is sent in chunks: ${what} (RFC 9110 §6.6.2, RFC 9112 §7.1.2)`, async () => {
      const [method = '', version = ''] = ask.replace('{}', 'GET').split(' ');
      const rig = new Rig({ origin: answering(`HTTP/1.1 103 E\r\nTrailer: X\r\nX-Early: 1\r\n\r\n${answer}`) });
      const client = await rig.ask(`${method} / ${version}\r\nHost: h\r\n\r\n`);
      const [response] = responsesOf(client, [method]);
      assert.ok(response);
      assert.equal(fieldOf(response, 'trailer'), announced);
      assert.equal(client.text.split('Trailer').length - 1, announced === undefined ? 0 : 1, 'nor in an interim response');
      assert.equal(rig.last.outcome, 'completed');
      await rig.finish(client);
    });
  }

  for (const [what, request, announced] of [
    ['chunks', upload('Trailer: X\r\n', 'X: 1\r\n'), 'X'],
    ['a length', 'POST / HTTP/1.1\r\nHost: h\r\nTrailer: X\r\nContent-Length: 2\r\n\r\nab', undefined],
    ['no body', 'GET / HTTP/1.1\r\nHost: h\r\nTrailer: X\r\n\r\n', undefined],
  ] as const) {
    test(`are announced by Trailer only where a request is sent in chunks: ${what} (RFC 9110 §6.6.2, RFC 9112 §7.1.2)`, async () => {
      const origin = new ReadingOrigin();
      const rig = new Rig({ origin: origin.serve });
      const client = await rig.ask(request);
      const [received] = origin.requests;
      assert.ok(received);
      assert.equal(fieldOf(received, 'trailer'), announced);
      await rig.finish(client);
    });
  }

  test('go to a client that did not send TE: chunks have a place for them, and who does not want them ignores them (RFC 9110 §6.5)', async () => {
    const rig = new Rig({ origin: new ReadingOrigin(() => download('X-Sum: 2\r\n')).serve });
    const client = await rig.ask(get);
    assert.deepEqual(responsesOf(client)[0]?.trailers, [['X-Sum', '2']]);
    await rig.finish(client);
  });

  test('that frame, route or authenticate are dropped, both ways; with `forbiddenTrailers: reject` they end the message (RFC 9110 §6.5.1)', async () => {
    const bad =
      'Content-Length: 9\r\nTransfer-Encoding: gzip\r\nHost: evil\r\nAuthorization: Basic eA==\r\nConnection: close\r\nTE: gzip\r\n';
    const origin = new ReadingOrigin(() => download(`${bad}X-Sum: 2\r\n`));
    const rig = new Rig({ origin: origin.serve });
    const client = await rig.ask(upload('', `${bad}X-Sum: 1\r\n`));
    assert.deepEqual(origin.requests[0]?.trailers, [['X-Sum', '1']]);
    assert.deepEqual(responsesOf(client)[0]?.trailers, [['X-Sum', '2']]);
    assert.ok(!client.hasEnded);
    await rig.finish(client);

    const strict = new Rig({ server: { connection: { decoder: { forbiddenTrailers: 'reject' } } }, origin: origin.serve });
    const refused = await strict.ask(upload('', bad));
    assert.deepEqual(statusesOf(refused), [400]);
    assert.ok(refused.hasEnded);
    assert.equal(origin.requests.length, 1);
    await strict.finish(refused);
  });

  test('beyond their limits end the message: 431 for a request, a visible cut for a response', async () => {
    for (const trailers of ['X: y\r\n'.repeat(33), `X: ${'y'.repeat(9_000)}\r\n`]) {
      const origin = new ReadingOrigin((request) => (request.start[0] === 'GET' ? download(trailers) : tell('ok')));
      const rig = new Rig({ origin: origin.serve });
      const client = await rig.ask(upload('', trailers));
      assert.deepEqual(statusesOf(client), [431]);
      assert.deepEqual(origin.requests, []);
      const other = await rig.ask(get);
      assert.equal(responsesOf(other)[0]?.isComplete, false);
      assert.ok(other.isOver);
      assert.equal(rig.proxy.connector.connectionCount, 0);
      await rig.finish(client, other);
    }
  });
});

describe('TE concerns the next recipient only; of its codings `trailers` alone is sent on, by ourselves (RFC 9110 §10.1.4, §7.6.1)', () => {
  for (const [te, sent] of [
    ['trailers', 'trailers'],
    ['Trailers', 'trailers'],
    ['gzip, trailers;q=0.5', 'trailers'],
    ['trailers\r\nTE: deflate', 'trailers'],
    ['trailers;q=0', undefined],
    ['gzip', undefined],
    ['chunked', undefined],
    ['', undefined],
  ] as const) {
    for (const nominated of ['TE', 'te, close', undefined]) {
      test(`TE: ${JSON.stringify(te)}, Connection: ${nominated}`, async () => {
        const origin = new ReadingOrigin();
        const rig = new Rig({ origin: origin.serve });
        const connection = nominated === undefined ? '' : `Connection: ${nominated}\r\n`;
        const client = await rig.ask(`GET / HTTP/1.1\r\nHost: h\r\nTE: ${te}\r\n${connection}\r\n`);
        const [request] = origin.requests;
        assert.ok(request);
        assert.equal(fieldOf(request, 'te'), sent);
        assert.equal(fieldOf(request, 'connection'), sent === undefined ? undefined : 'TE');
        assert.equal(request.fields.length, sent === undefined ? 1 : 3);
        await rig.finish(client);
      });
    }
  }
});

const talkative = (maxInterimResponses: number): Peer => peer('10.0.0.1:80', { connection: { maxInterimResponses } });
const interims = ['100 Continue', '102 Processing', '103 Early Hints', '103 Early Hints', '110 Whatever', '199 '];
const heads = interims.map((line, index) => `HTTP/1.1 ${line}\r\nX-Number: ${index}\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n`).join('');

describe('interim responses', () => {
  for (const cut of ['whole', 'byte by byte'] as const) {
    test(`of any status pass in order, before the final one, without the fields of their connection, ${cut}`, async () => {
      const rig = new Rig({
        origin: (wire) =>
          when(wire, '\r\n\r\n', () => {
            for (const piece of cuts[cut]?.(heads + tell('ok')) ?? []) wire.send(piece);
          }),
      });
      const client = await rig.ask(get);
      const parts = client.text.split('\r\n\r\n');
      assert.deepEqual(
        parts.slice(0, interims.length),
        interims.map((line, index) => `HTTP/1.1 ${line}\r\nX-Number: ${index}`),
      );
      assert.match(parts[interims.length] ?? '', /^HTTP\/1\.1 200 OK\r\n/);
      assert.equal(parts[interims.length + 1], 'ok');
      assert.equal(rig.last.status, 200);
      assert.equal(rig.proxy.connector.idleCount, 1, 'the connection goes on');
      await rig.finish(client);
    });
  }

  test('pass as they come, not with the final one', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = await rig.ask(get);
    for (const [index, line] of interims.entries()) {
      rig.origins[0]?.send(`HTTP/1.1 ${line}\r\n\r\n`);
      await settle();
      assert.equal(client.text.split('\r\n\r\n').length - 1, index + 1);
    }
    rig.origins[0]?.send(tell('ok'));
    await settle();
    assert.ok(client.text.endsWith('ok'));
    await rig.finish(client);
  });

  test('to HTTP/1.0 do not pass (RFC 9110 §15.2)', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(heads + tell('ok'))) });
    const client = await rig.ask('GET / HTTP/1.0\r\nHost: h\r\n\r\n');
    assert.match(client.text, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(client.text, /HTTP\/1\.1 1/);
    await rig.finish(client);
  });

  test('are counted by request: a long connection may have many', async () => {
    const rig = new Rig({ origin: new ReadingOrigin(() => heads + tell('ok')).serve });
    const client = await rig.ask(get.repeat(10));
    await settle();
    assert.equal(client.text.split('103 Early Hints').length - 1, 20);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });

  test('beyond the limit, and before a cut: 502, and the client takes none of it for an answer', async () => {
    for (const [what, answer, reason] of [
      ['a storm', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100_000), 'H1_TOO_MANY_INTERIM'],
      ['a storm with large heads', `HTTP/1.1 103 E\r\nX: ${'y'.repeat(10_000)}\r\n\r\n`.repeat(9), 'H1_TOO_MANY_INTERIM'],
      ['101 after 103', `HTTP/1.1 103 E\r\n\r\nHTTP/1.1 101 S\r\nUpgrade: x\r\n\r\n`, 'H1_UNASKED_UPGRADE'],
      ['garbage after 103', `HTTP/1.1 103 E\r\n\r\nHELLO`, 'H1_VERSION_INVALID'],
    ] as const) {
      const rig = new Rig({
        origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(answer)),
        hooks: { upstreamPeer: () => talkative(8) },
      });
      const client = await rig.ask(get);
      assert.deepEqual(statusesOf(client), [502], what);
      assert.ok(client.text.split('HTTP/1.1 1').length - 1 <= 8, what);
      assert.equal(rig.last.outcome, 'upstream_error');
      assert.equal(rig.last.error?.reason, reason);
      assert.equal(rig.proxy.connector.connectionCount, 0);
      await rig.finish(client);
    }
  });

  test('of a long job: the client hears the first 8, the others are dropped, and the job ends (RFC 9110 §15.2)', async () => {
    const rig = new Rig({ origin: () => {}, hooks: { upstreamPeer: () => talkative(100) } });
    const client = await rig.ask(get);
    for (let sent = 0; sent < 100; sent++) {
      rig.origins[0]?.send('HTTP/1.1 102 Processing\r\n\r\n');
      await rig.pass(20_000);
    }
    rig.origins[0]?.send(tell('done'));
    await settle();
    assert.equal(client.text.split('102 Processing').length - 1, 8);
    assert.equal(responsesOf(client)[0]?.body, 'done');
    await rig.finish(client);
  });

  test('and then the end of the connection: 502 after them, and no retry, as a response had begun', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 103 E\r\n\r\n').end()) });
    const client = await rig.ask(get);
    assert.match(client.text, /^HTTP\/1\.1 103 E\r\n\r\nHTTP\/1\.1 502 /);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });

  test('after the final head are no responses: the connection is dirty', async () => {
    const rig = new Rig({ origin: new ReadingOrigin(() => `${tell('ok')}HTTP/1.1 103 E\r\n\r\n`).serve });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).rest, '');
    assert.equal(rig.proxy.connector.counts.dirty, 1);
    await rig.finish(client);
  });

  test('to a client that reads nothing are bounded like everything else', async () => {
    const rig = new Rig({
      highWaterBytes: 1_000,
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(`HTTP/1.1 103 E\r\nX: ${'y'.repeat(8_000)}\r\n\r\n`.repeat(8) + tell('ok'))),
    });
    const client = rig.connect();
    client.stream.pause();
    client.send(get.repeat(50));
    await settle();
    assert.ok(rig.begun <= 2, `${rig.begun} requests are begun for a client that reads nothing`);
    client.stream.resume();
    await settle();
    await rig.finish(client);
  });
});
