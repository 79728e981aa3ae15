/** HTTP/2 on either side, or on both: what changes on the way, what does not, and how each kind of end is told to the other side. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { KnownHeader } from '@ferrata/headers';
import { Http2ErrorCode, SettingId } from '@ferrata/http2-framing';
import { peer } from '@ferrata/upstream';
import { type Field, type H2Message, type H2Wire, requestFields, valueOf } from './h2-wire.ts';
import { answering, get, ok, Rig, type RigOptions, readResponse, settle, when } from './rig.ts';

/** An origin that answers each whole request. */
function answeringH2(body = 'ok', ...fields: Field[]): (wire: H2Wire) => void {
  return (wire) => {
    wire.onMessage = (message) => void wire.respond(message.id, 200, body, ...fields);
  };
}

/** An origin that answers with what it got. */
function echoing(wire: H2Wire): void {
  wire.onMessage = (message) => void wire.respond(message.id, 200, message.body);
}

/** One request of an HTTP/2 client. */
async function askH2(rig: Rig, fields: readonly Field[] = requestFields()): Promise<H2Message & { readonly client: H2Wire }> {
  const client = rig.connectH2();
  const id = client.request(fields);
  await settle();
  const message = client.message(id);
  assert.ok(message, 'something came');
  return { ...message, client };
}

const sides: readonly (readonly [string, RigOptions])[] = [
  ['an HTTP/1 origin', { origin: answering(ok) }],
  ['an HTTP/2 origin', { h2Origin: answeringH2() }],
];

describe('the protocol matrix', () => {
  for (const [name, options] of sides) {
    test(`an HTTP/1 and an HTTP/2 client of one port, in front of ${name} (RFC 9113 §3.3)`, async () => {
      const rig = new Rig(options);
      const h1 = await rig.ask(get);
      assert.equal(readResponse(h1.text).status, 200);
      assert.equal(readResponse(h1.text).body, 'ok');
      const { fields, body, isEnded, client } = await askH2(rig);
      assert.equal(valueOf(fields, ':status'), '200');
      assert.equal(body, 'ok');
      assert.equal(isEnded, true);
      assert.deepEqual(
        rig.logged.map(({ outcome }) => outcome),
        ['completed', 'completed'],
      );
      await rig.finish(h1, client);
    });
  }
});

describe('requests', () => {
  test('to HTTP/1: Host is :authority, crumbs of Cookie are one line, nothing of HTTP/2 is left (RFC 9113 §8.2.3, §8.3.1)', async () => {
    const rig = new Rig();
    const { client } = await askH2(
      rig,
      requestFields('GET', '/a?b=c', ['cookie', 'a=1'], ['cookie', 'b=2'], ['te', 'trailers'], ['x-one', '1']),
    );
    const text = rig.origins[0]?.text ?? '';
    assert.match(text, /^GET \/a\?b=c HTTP\/1\.1\r\n/);
    assert.match(text, /^Host: example\.org\r$/m);
    assert.match(text, /^cookie: a=1; b=2\r$/im);
    assert.match(text, /^x-one: 1\r$/im);
    assert.match(text, /^connection: .*te/im);
    assert.doesNotMatch(text, /^:/m);
    await rig.finish(client);
  });

  test('to HTTP/1: a body without a length is sent in chunks, with its trailers (RFC 9112 §7.1)', async () => {
    const rig = new Rig();
    const client = rig.connectH2();
    const id = client.request(requestFields('POST'), { isEnd: false });
    client.data(id, 'hello').headers(id, [['x-sum', '5']]);
    await settle();
    const text = rig.origins[0]?.text ?? '';
    assert.match(text, /^transfer-encoding: chunked\r$/im);
    assert.match(text, /5\r\nhello\r\n0\r\nx-sum: 5\r\n\r\n$/i);
    await rig.finish(client);
  });

  test('to HTTP/1: a body with a length keeps it', async () => {
    const rig = new Rig();
    const client = rig.connectH2();
    const id = client.request(requestFields('POST', '/', ['content-length', '5']), { isEnd: false });
    client.data(id, 'hello', true);
    await settle();
    const text = rig.origins[0]?.text ?? '';
    assert.match(text, /^content-length: 5\r$/im);
    assert.doesNotMatch(text, /transfer-encoding/i);
    assert.match(text, /\r\n\r\nhello$/);
    await rig.finish(client);
  });

  test('to HTTP/2: fields of the connection are gone, Host is :authority and no field (RFC 9113 §8.2.2, §8.3.1)', async () => {
    const rig = new Rig({ h2Origin: answeringH2() });
    const client = await rig.ask(
      'GET /x HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive, X-Gone\r\nKeep-Alive: timeout=5\r\nX-Gone: 1\r\nTE: trailers, gzip\r\nX-Kept: 1\r\n\r\n',
    );
    const { fields = [] } = rig.h2Origins[0]?.messages[0] ?? {};
    assert.equal(valueOf(fields, ':authority'), 'example.org');
    assert.equal(valueOf(fields, ':path'), '/x');
    assert.equal(valueOf(fields, ':scheme'), 'http');
    assert.equal(valueOf(fields, 'te'), 'trailers');
    assert.equal(valueOf(fields, 'x-kept'), '1');
    for (const name of ['host', 'connection', 'keep-alive', 'x-gone', 'transfer-encoding', 'upgrade'])
      assert.equal(valueOf(fields, name), undefined, name);
    await rig.finish(client);
  });

  test('never-indexed literals go on as such, both ways (RFC 7541 §6.2.3)', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.secretNames = ['x-token'];
        answeringH2('ok', ['x-token', '7'], ['x-open', '8'])(wire);
      },
    });
    const client = rig.connectH2();
    client.secretNames = ['x-key', 'etag'];
    for (const path of ['/', '/again']) {
      const id = client.request(requestFields('GET', path, ['x-key', '1'], ['etag', '"t"'], ['x-open', '2']));
      await settle();
      assert.deepEqual(client.message(id)?.secrets, ['x-token']);
    }
    assert.deepEqual(
      rig.h2Origins[0]?.messages.map(({ secrets }) => secrets),
      [
        ['x-key', 'etag'],
        ['x-key', 'etag'],
      ],
    );
    await rig.finish(client);
  });

  test('a Host that a filter sets becomes :authority, from HTTP/1 and from HTTP/2', async () => {
    const rig = new Rig({
      h2Origin: answeringH2(),
      hooks: { upstreamRequestFilter: (_session, request) => void request.headers.setKnown(KnownHeader.host, 'other.example') },
    });
    const h1 = await rig.ask(get);
    const { client, body } = await askH2(rig);
    assert.equal(body, 'ok');
    const heads = rig.h2Origins[0]?.messages.map(({ fields }) => [valueOf(fields, ':authority'), valueOf(fields, 'host')]);
    assert.deepEqual(heads, [
      ['other.example', undefined],
      ['other.example', undefined],
    ]);
    await rig.finish(h1, client);
  });

  test('chunks to HTTP/2: DATA frames without a length, and trailers (RFC 9113 §8.1)', async () => {
    const rig = new Rig({ h2Origin: echoing });
    const client = await rig.ask(
      'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 5\r\n\r\n',
    );
    const [message] = rig.h2Origins[0]?.messages ?? [];
    assert.equal(message?.body, 'hello');
    assert.equal(valueOf(message?.fields ?? [], 'content-length'), undefined);
    assert.equal(valueOf(message?.fields ?? [], 'trailer'), 'X-Sum');
    assert.deepEqual(message?.trailers, [['x-sum', '5']]);
    assert.equal(readResponse(client.text).body, 'hello');
    await rig.finish(client);
  });

  test('an upgrade is not asked of an HTTP/2 origin: it has none, and the answer is an ordinary one (RFC 9113 §8.6)', async () => {
    const rig = new Rig({ h2Origin: answeringH2() });
    const client = await rig.ask(
      'GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\r\n',
    );
    const { fields = [] } = rig.h2Origins[0]?.messages[0] ?? {};
    assert.equal(valueOf(fields, 'upgrade'), undefined);
    assert.equal(valueOf(fields, 'connection'), undefined);
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  });

  test('CONNECT over HTTP/2 is refused with 405', async () => {
    const rig = new Rig({ h2Origin: answeringH2() });
    const { fields, client } = await askH2(rig, [
      [':method', 'CONNECT'],
      [':authority', 'example.org:443'],
    ]);
    assert.equal(valueOf(fields, ':status'), '405');
    assert.equal(rig.h2Origins.length, 0);
    await rig.finish(client);
  });
});

describe('responses', () => {
  test('gRPC passes: data, then trailers, and trailers alone (RFC 9113 §8.1)', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id, fields }) => {
          const status: Field[] = [
            [':status', '200'],
            ['content-type', 'application/grpc'],
          ];
          if (valueOf(fields, ':path') === '/alone') wire.headers(id, [...status, ['grpc-status', '12']]);
          else
            wire
              .headers(id, [...status, ['trailer', 'grpc-status']], { isEnd: false })
              .data(id, 'message')
              .headers(id, [['grpc-status', '0']]);
        };
      },
    });
    const both = await askH2(rig, requestFields('POST', '/both', ['te', 'trailers']));
    assert.equal(both.body, 'message');
    assert.deepEqual(both.trailers, [['grpc-status', '0']]);
    assert.equal(valueOf(both.fields, 'trailer'), 'grpc-status');
    const alone = await askH2(rig, requestFields('POST', '/alone', ['te', 'trailers']));
    assert.equal(valueOf(alone.fields, 'grpc-status'), '12');
    assert.equal(alone.isEnded, true);
    assert.equal(alone.trailers, null);
    const h1 = await rig.ask('GET /both HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.equal(readResponse(h1.text).body, 'message');
    assert.match(readResponse(h1.text).trailers, /grpc-status: 0/i);
    await rig.finish(both.client, alone.client, h1);
  });

  test('to HTTP/1: chunks where the length is unknown, the length where it is known', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id, fields }) =>
          void wire.respond(id, 200, 'hello', ...(valueOf(fields, ':path') === '/known' ? ([['content-length', '5']] as const) : []));
      },
    });
    const known = await rig.ask('GET /known HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(known.text, /^content-length: 5\r$/im);
    const unknown = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(unknown.text, /^transfer-encoding: chunked\r$/im);
    assert.equal(readResponse(unknown.text).body, 'hello');
    await rig.finish(known, unknown);
  });

  for (const [name, options] of [
    ['HTTP/1', { origin: answering('HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n') }],
    [
      'HTTP/2',
      {
        h2Origin: (wire: H2Wire) => {
          wire.onMessage = ({ id }) =>
            void wire.headers(id, [
              [':status', '200'],
              ['content-length', '11'],
            ]);
        },
      },
    ],
  ] satisfies (readonly [string, RigOptions])[]) {
    test(`HEAD: the length of an ${name} origin's answer is kept, and there is no body (RFC 9110 §9.3.2)`, async () => {
      const rig = new Rig(options);
      const { fields, body, isEnded, resetCode, client } = await askH2(rig, requestFields('HEAD'));
      assert.equal(valueOf(fields, 'content-length'), '11');
      assert.deepEqual([body, isEnded, resetCode], ['', true, null]);
      const h1 = await rig.ask('HEAD / HTTP/1.1\r\nHost: h\r\n\r\n');
      assert.match(h1.text, /^content-length: 11\r$/im);
      assert.match(h1.text, /\r\n\r\n$/);
      await rig.finish(client, h1);
    });
  }

  for (const status of [204, 304]) {
    test(`${status} has no body whatever it passes (RFC 9110 §6.4.1)`, async () => {
      const rig = new Rig({
        h2Origin: (wire) => {
          wire.onMessage = ({ id }) => void wire.respond(id, status);
        },
      });
      const { fields, isEnded, client } = await askH2(rig);
      assert.equal(valueOf(fields, ':status'), String(status));
      assert.equal(isEnded, true);
      const h1 = await rig.ask(get);
      assert.equal(readResponse(h1.text).status, status);
      assert.doesNotMatch(h1.text, /transfer-encoding/i);
      await rig.finish(client, h1);
    });
  }

  test('interim responses go both ways between the versions (RFC 9110 §15.2)', async () => {
    const hints: Field[] = [
      [':status', '103'],
      ['link', '</a>'],
    ];
    const fromH2 = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => void wire.headers(id, hints, { isEnd: false }).respond(id, 200, 'ok');
      },
    });
    const h1 = await fromH2.ask(get);
    assert.match(h1.text, /^HTTP\/1\.1 103 Early Hints\r\nlink: <\/a>\r\n\r\nHTTP\/1\.1 200 OK\r\n/i);
    const viaH2 = await askH2(fromH2);
    assert.deepEqual(viaH2.interims, [hints]);
    assert.equal(viaH2.body, 'ok');
    await fromH2.finish(h1, viaH2.client);

    const fromH1 = new Rig({ origin: answering(`HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok}`) });
    const got = await askH2(fromH1);
    assert.deepEqual(got.interims, [hints]);
    await fromH1.finish(got.client);
  });

  test('Expect: 100-continue goes to the origin, and its 100 comes back, across versions (RFC 9110 §10.1.1)', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onHead = ({ id, isEnded, trailers }) =>
          void (!isEnded && trailers === null && wire.headers(id, [[':status', '100']], { isEnd: false }));
        echoing(wire);
      },
    });
    const client = await rig.ask('PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n');
    assert.equal(valueOf(rig.h2Origins[0]?.messages[0]?.fields ?? [], 'expect'), '100-continue');
    assert.match(client.text, /^HTTP\/1\.1 100 /);
    client.send('hello');
    await settle();
    assert.match(client.text, /HTTP\/1\.1 200 [\s\S]*hello/);
    await rig.finish(client);
  });
});

describe('filters', () => {
  test('see the pieces of bodies that come and go as DATA, at once or later, and may change their length', async () => {
    const double = (chunk: Uint8Array | null): Uint8Array | null => (chunk === null ? null : concatBytes([chunk, chunk]));
    for (const isLater of [false, true]) {
      const rig = new Rig({
        h2Origin: echoing,
        hooks: {
          requestBodyFilter: (_session, chunk) => (isLater ? Promise.resolve(double(chunk)) : double(chunk)),
          responseBodyFilter: (_session, chunk) => (isLater ? Promise.resolve(double(chunk)) : double(chunk)),
        },
      });
      const client = rig.connectH2();
      const id = client.request(requestFields('POST', '/', ['content-length', '4']), { isEnd: false });
      client.data(id, 'ab').data(id, 'cd', true);
      await settle();
      const got = rig.h2Origins[0]?.messages[0];
      assert.equal(got?.body.length, 8);
      assert.equal(valueOf(got?.fields ?? [], 'content-length'), undefined);
      const message = client.message(id);
      assert.deepEqual([message?.body.length, message?.isEnded], [16, true]);
      assert.equal(valueOf(message?.fields ?? [], 'content-length'), undefined);
      await rig.finish(client);
    }
  });

  test('a filter that throws ends its own stream only, with a 500', async () => {
    const rig = new Rig({
      h2Origin: answeringH2(),
      hooks: {
        upstreamRequestFilter: (session) => {
          if (session.request.target === '/bad') throw new Error('a bug');
        },
      },
    });
    const client = rig.connectH2();
    const bad = client.request(requestFields('GET', '/bad'));
    const good = client.request(requestFields('GET', '/good'));
    await settle();
    assert.equal(valueOf(client.message(bad)?.fields ?? [], ':status'), '500');
    assert.equal(client.message(good)?.body, 'ok');
    await rig.finish(client);
  });
});

describe('ends', () => {
  test('an origin that resets within a body: RST_STREAM to an HTTP/2 client, a cut for an HTTP/1 client, and the connection stays', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id, fields }) => {
          if (valueOf(fields, ':path') === '/fine') wire.respond(id, 200, 'ok');
          else
            wire
              .headers(
                id,
                [
                  [':status', '200'],
                  ['content-length', '10'],
                ],
                { isEnd: false },
              )
              .data(id, 'hello')
              .resetStream(id, Http2ErrorCode.internalError);
        };
      },
    });
    const { body, isEnded, resetCode, client } = await askH2(rig);
    assert.deepEqual([body, isEnded], ['hello', false]);
    assert.notEqual(resetCode, null);
    const h1 = await rig.ask(get);
    assert.equal(readResponse(h1.text).isComplete, false);
    assert.equal(readResponse(h1.text).body, 'hello');
    assert.ok(h1.isOver, 'the cut is visible');
    const fine = client.request(requestFields('GET', '/fine'));
    await settle();
    assert.equal(client.message(fine)?.body, 'ok');
    assert.equal(rig.h2Origins.length, 1);
    assert.deepEqual(
      rig.logged.map(({ outcome }) => outcome),
      ['upstream_error', 'upstream_error', 'completed'],
    );
    await rig.finish(client, h1);
  });

  test('an HTTP/1 origin that dies within a body: what came, then RST_STREAM; before a head: a whole 502', async () => {
    const rig = new Rig({
      origin: (wire) => {
        when(wire, '\r\n\r\n', () => {
          if (wire.text.includes('/head')) wire.reset();
          else wire.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello').reset();
        });
      },
    });
    const cut = await askH2(rig, requestFields('POST', '/body'));
    assert.deepEqual([valueOf(cut.fields, ':status'), cut.body, cut.isEnded], ['200', 'hello', false]);
    assert.notEqual(cut.resetCode, null);
    const none = await askH2(rig, requestFields('POST', '/head'));
    assert.deepEqual([valueOf(none.fields, ':status'), none.isEnded, none.resetCode], ['502', true, null]);
    await rig.finish(cut.client, none.client);
  });

  test('a client that resets: CANCEL goes up at once, the connection stays, the log says client_abort', async () => {
    const rig = new Rig({ h2Origin: (wire) => void (wire.onMessage = () => {}) });
    const client = rig.connectH2();
    const id = client.request(requestFields());
    await settle();
    client.resetStream(id);
    await settle();
    assert.equal(rig.h2Origins[0]?.messages[0]?.resetCode, Http2ErrorCode.cancel);
    assert.equal(rig.h2Origins[0]?.isOver, false);
    assert.equal(rig.last.outcome, 'client_abort');
    await rig.finish(client);
  });

  test('a client that resets while its upload is blocked by the origin’s window: CANCEL goes up at once', async () => {
    const rig = new Rig({ h2Origin: (wire) => void (wire.isAutoWindow = false) });
    const client = rig.connectH2();
    const id = client.request(requestFields('POST'), { isEnd: false });
    client.data(id, 'x'.repeat(60_000));
    await settle();
    client.data(id, 'x'.repeat(60_000));
    await settle();
    assert.equal(rig.h2Origins[0]?.messages[0]?.body.length, 65_535, 'the window is used up');
    client.resetStream(id);
    await settle();
    assert.equal(rig.h2Origins[0]?.messages[0]?.resetCode, Http2ErrorCode.cancel);
    await rig.finish(client);
  });

  test('an HTTP/1 client that goes away within an upload: CANCEL goes up', async () => {
    const rig = new Rig({ h2Origin: () => {} });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhello');
    client.reset();
    await settle();
    assert.equal(rig.h2Origins[0]?.messages[0]?.resetCode, Http2ErrorCode.cancel);
    await rig.finish(client);
  });

  test('an answer before the upload is over: the client has it whole, the stream upstream is reset, both connections stay (RFC 9113 §8.1)', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onHead = ({ id, fields }) => void wire.respond(id, valueOf(fields, ':method') === 'POST' ? 413 : 200, 'body');
      },
    });
    const client = rig.connectH2();
    const id = client.request(requestFields('POST'), { isEnd: false });
    client.data(id, 'some');
    await settle();
    const message = client.message(id);
    assert.deepEqual([valueOf(message?.fields ?? [], ':status'), message?.body, message?.isEnded], ['413', 'body', true]);
    const resetCode = rig.h2Origins[0]?.messages[0]?.resetCode;
    assert.ok(resetCode === Http2ErrorCode.noError || resetCode === Http2ErrorCode.cancel, `${resetCode}`);
    const next = client.request(requestFields());
    await settle();
    assert.equal(valueOf(client.message(next)?.fields ?? [], ':status'), '200');
    assert.equal(rig.h2Origins.length, 1);
    await rig.finish(client);
  });

  for (const [name, body, fields] of [
    ['less', 'hell', [['content-length', '5']]],
    ['more', 'hello!', [['content-length', '5']]],
  ] satisfies (readonly [string, string, Field[]])[]) {
    test(`${name} DATA than Content-Length from the origin never looks whole (RFC 9113 §8.1.1)`, async () => {
      const rig = new Rig({ h2Origin: answeringH2(body, ...fields) });
      const { isEnded, resetCode, client, fields: got } = await askH2(rig);
      assert.ok(!isEnded || valueOf(got, ':status') === '502', 'not whole');
      if (!isEnded) assert.notEqual(resetCode, null);
      const h1 = await rig.ask(get);
      const read = readResponse(h1.text);
      assert.ok(!read.isComplete || read.status === 502, 'not whole');
      assert.ok(rig.logged.every(({ outcome }) => outcome === 'upstream_error'));
      await rig.finish(client, h1);
    });
  }
});

describe('tries', () => {
  test('REFUSED_STREAM: sent again on another connection, whatever the method, body and all (RFC 9113 §8.7)', async () => {
    const rig = new Rig({
      h2Origin: (wire, index) => {
        if (index > 0) echoing(wire);
        else wire.onMessage = ({ id }) => void wire.resetStream(id, Http2ErrorCode.refusedStream);
      },
    });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello');
    assert.equal(readResponse(client.text).body, 'hello');
    assert.equal(rig.h2Origins.length, 2);
    assert.deepEqual([rig.last.session.attempt, rig.last.session.refusedCount, rig.last.outcome], [2, 1, 'completed']);
    await rig.finish(client);
  });

  test('a GOAWAY that left requests out: all of them are sent again, on a new connection, and none fails (RFC 9113 §6.8)', async () => {
    const rig = new Rig({
      h2Origin: (wire, index) => {
        let count = 0;
        wire.onMessage = ({ id }) => {
          if (index > 0) wire.respond(id, 200, 'second');
          else if (++count === 30) wire.goaway(19);
        };
      },
    });
    const client = rig.connectH2();
    const ids = Array.from({ length: 30 }, () => client.request(requestFields('POST', '/', ['content-length', '0'])));
    await settle();
    for (let id = 1; id <= 19; id += 2) rig.h2Origins[0]?.respond(id, 200, 'first');
    await settle();
    const bodies = ids.map((id) => client.message(id)?.body);
    assert.equal(bodies.filter((body) => body === 'first').length, 10);
    assert.equal(bodies.filter((body) => body === 'second').length, 20);
    assert.equal(rig.h2Origins.length, 2);
    assert.ok(rig.h2Origins[0]?.isOver, 'the first connection has ended');
    await rig.finish(client);
  });

  test('a request that the origin may have read is not sent again, if its method is not idempotent', async () => {
    for (const code of [Http2ErrorCode.protocolError, Http2ErrorCode.internalError, Http2ErrorCode.cancel]) {
      const rig = new Rig({
        h2Origin: (wire) => {
          wire.onMessage = ({ id }) => void wire.resetStream(id, code);
        },
      });
      const { fields, client } = await askH2(rig, requestFields('POST'));
      assert.equal(valueOf(fields, ':status'), '502', `${code}`);
      assert.equal(rig.last.session.attempt, 1);
      await rig.finish(client);
    }
  });

  test('a connection that breaks under a GET and a POST: the GET is sent again, the POST is not', async () => {
    const rig = new Rig({
      h2Origin: (wire, index) => {
        let count = 0;
        if (index > 0) wire.onMessage = ({ id }) => void wire.respond(id, 200, 'again');
        else wire.onMessage = () => void (++count === 2 && wire.reset());
      },
    });
    const client = rig.connectH2();
    const get1 = client.request(requestFields('GET'));
    const post = client.request(requestFields('POST'));
    await settle();
    assert.equal(client.message(get1)?.body, 'again');
    assert.equal(valueOf(client.message(post)?.fields ?? [], ':status'), '502');
    await rig.finish(client);
  });

  test('an origin of one stream that says GOAWAY after each answer serves a whole crowd: a place that was lost unsent is no try', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => {
          // In one chunk: the place that the answer makes free is given away before the GOAWAY is read.
          wire.together(() => wire.respond(id, 200, 'ok').goaway(id));
        };
      },
      peer: peer('10.0.0.1:80', { protocol: 'http2', maxStreamsPerConnection: 1, maxConnections: 1 }),
    });
    const client = rig.connectH2();
    const ids = Array.from({ length: 64 }, () => client.request(requestFields('POST', '/', ['content-length', '0'])));
    for (let round = 0; round < 40; round++) await settle();
    assert.deepEqual(new Set(ids.map((id) => valueOf(client.message(id)?.fields ?? [], ':status'))), new Set(['200']));
    assert.ok(
      rig.logged.some(({ session }) => session.refusedCount > 3),
      'somebody lost its place again and again',
    );
    await rig.finish(client);
  });

  test('an origin that refuses everything is given up, in bounded tries', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => void wire.resetStream(id, Http2ErrorCode.refusedStream);
      },
    });
    const { fields, client } = await askH2(rig);
    assert.match(valueOf(fields, ':status') ?? '', /^50[23]$/);
    assert.ok(rig.last.session.attempt <= 6);
    await rig.finish(client);
  });
});

describe('sharing a connection upstream', () => {
  test('a request larger than the origin says that it takes is 431, its place is free again, and its neighbour is answered (RFC 9113 §6.5.2)', async () => {
    const rig = new Rig({
      h2Origin: answeringH2(),
      h2OriginWire: { settings: [[SettingId.maxHeaderListSize, 1_000]] },
      peer: peer('10.0.0.1:80', { protocol: 'http2', maxStreamsPerConnection: 1, maxConnections: 1 }),
    });
    const { client } = await askH2(rig);
    const large = client.request(requestFields('GET', '/', ['x-big', 'x'.repeat(900)]));
    const small = client.request(requestFields());
    await settle();
    assert.equal(valueOf(client.message(large)?.fields ?? [], ':status'), '431');
    assert.equal(client.message(small)?.body, 'ok');
    assert.deepEqual(
      rig.logged.map(({ error }) => error?.reason),
      [undefined, 'H2_PEER_HEADER_LIST', undefined],
    );
    assert.equal(rig.h2Origins[0]?.messages.length, 2);
    await rig.finish(client);
  });

  test('many requests of many clients go on one connection; no more than its streams allow (RFC 9113 §5.1.2)', async () => {
    const rig = new Rig({
      h2Origin: () => {},
      peer: peer('10.0.0.1:80', { protocol: 'http2', maxStreamsPerConnection: 10, maxConnections: 2 }),
    });
    const clients = Array.from({ length: 5 }, () => rig.connectH2());
    for (const client of clients) for (let i = 0; i < 5; i++) client.request(requestFields());
    await settle();
    assert.deepEqual(
      rig.h2Origins.map((wire) => wire.messages.length),
      [10, 10],
    );
    assert.equal(rig.proxy.connector.pendingCount, 5);
    for (const wire of rig.h2Origins) for (const { id } of wire.messages.slice(0, 3)) wire.respond(id, 200, 'ok');
    await settle();
    assert.equal(rig.proxy.connector.pendingCount, 0);
    assert.equal(rig.h2Origins.length, 2);
    assert.equal(
      rig.h2Origins.reduce((sum, wire) => sum + wire.messages.length, 0),
      25,
    );
    await rig.finish(...clients);
  });

  test('who waits too long for a stream gets 503', async () => {
    const rig = new Rig({
      h2Origin: () => {},
      peer: peer('10.0.0.1:80', { protocol: 'http2', maxStreamsPerConnection: 1, maxConnections: 1, pendingTimeoutMs: 2_000 }),
    });
    const client = rig.connectH2();
    client.request(requestFields());
    await settle();
    const late = client.request(requestFields());
    await settle();
    await rig.pass(8_000);
    assert.equal(valueOf(client.message(late)?.fields ?? [], ':status'), '503');
    assert.equal(rig.last.error?.reason, 'UPSTREAM_NO_STREAM');
    await rig.finish(client);
  });

  test('an HTTP/1 client that reads nothing: the window of its stream upstream stays closed, and what is held is bounded', async () => {
    const rig = new Rig({
      highWaterBytes: 16_384,
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => void wire.headers(id, [[':status', '200']], { isEnd: false }).data(id, 'x'.repeat(16_384));
      },
    });
    const client = rig.connect();
    client.stream.pause();
    client.send(get);
    await settle();
    const [wire] = rig.h2Origins;
    assert.ok(wire);
    assert.equal(wire.windowOf(1), 0, 'a first window, and nothing more');
    client.stream.resume();
    await settle();
    assert.equal(readResponse(client.text).body.length, 16_384);
    assert.ok(wire.windowOf(1) > 60_000, 'the window opens, and is no longer a small one');
    wire.data(1, 'end', true);
    await settle();
    assert.equal(readResponse(client.text).isComplete, true);
    await rig.finish(client);
  });

  test('an origin whose window is closed holds an HTTP/1 upload; it goes on when the window opens', async () => {
    const rig = new Rig({ highWaterBytes: 16_384, h2Origin: answeringH2('done'), h2OriginWire: { isAutoWindow: false } });
    const size = 500_000;
    const client = rig.connect().send(`POST / HTTP/1.1\r\nHost: h\r\nContent-Length: ${size}\r\n\r\n`);
    const pieces = Array.from({ length: size / 10_000 }, () => 'x'.repeat(10_000));
    let accepted = 0;
    while (accepted < pieces.length && client.stream.bufferedBytes < 65_536) {
      client.send(pieces[accepted++] as string);
      await settle();
    }
    const [wire] = rig.h2Origins;
    assert.ok(wire);
    assert.equal(wire.messages[0]?.body.length, 65_535);
    assert.ok(accepted * 10_000 < 350_000, `the client is held: ${accepted * 10_000} bytes were taken`);
    wire.window(0, 1_000_000).window(1, 1_000_000);
    await settle();
    while (accepted < pieces.length) client.send(pieces[accepted++] as string);
    await settle();
    assert.equal(wire.messages[0]?.body.length, size);
    assert.equal(readResponse(client.text).body, 'done');
    await rig.finish(client);
  });

  test('a client that reads nothing stops its own stream, by the windows, and nobody else’s', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.isAutoWindow = true;
        wire.onMessage = ({ id, fields }) => {
          if (valueOf(fields, ':path') === '/small') wire.respond(id, 200, 'small');
          else wire.headers(id, [[':status', '200']], { isEnd: false }).data(id, 'x'.repeat(65_535));
        };
      },
      h2OriginWire: { settings: [[SettingId.maxConcurrentStreams, 100]] },
    });
    const slow = rig.connectH2({ isAutoWindow: false, settings: [[SettingId.initialWindowSize, 1_000]] });
    const large = slow.request(requestFields('GET', '/large'));
    await settle();
    assert.equal(slow.message(large)?.body.length, 1_000);
    const quick = rig.connectH2();
    for (let i = 0; i < 20; i++) {
      const id = quick.request(requestFields('GET', '/small'));
      await settle();
      assert.equal(quick.message(id)?.body, 'small');
    }
    assert.equal(rig.h2Origins.length, 1, 'all of them on the same connection');
    slow.window(large, 64_535);
    slow.window(0, 64_535);
    await settle();
    assert.equal(slow.message(large)?.body.length, 65_535, 'what was held goes on when the window opens');
    await rig.finish(slow, quick);
  });
});

test('a hook that makes GET of HEAD, or HEAD of GET, changes what goes upstream, and not what the client waits for', async () => {
  for (const [asked, made] of [
    ['HEAD', 'GET'],
    ['GET', 'HEAD'],
  ] as const) {
    const rig = new Rig({
      hooks: { earlyRequestFilter: (session) => void (session.request.method = made) },
      origin: answering(made === 'GET' ? ok : 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'),
    });
    const client = rig.connectH2();
    const id = client.request(requestFields(asked));
    await settle();
    assert.match(rig.origins[0]?.text ?? '', new RegExp(`^${made} `));
    assert.equal(client.message(id)?.isEnded, true);
    assert.equal(client.message(id)?.body, '', 'HEAD has no body, and an answer to HEAD none to pass on');
    assert.equal(client.message(id)?.resetCode, null);
    await rig.finish(client);
  }
});
