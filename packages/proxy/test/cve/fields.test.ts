/**
 * Fields whose names or values have made programs trip, at the proxy: they pass unchanged, both ways, or not at all.
 *
 * - Node, March 2026 (`headersDistinct`): a field named `__proto__` throws. Here names are never keys of a plain object.
 * - CVE-2026-21717 (V8): names that look like array indices collide on purpose.
 * - CVE-2022-31813 (Apache), CVE-2024-45410 (Traefik), CVE-2022-45059 (Varnish): `Connection: X-Forwarded-For` removes what the proxy adds.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { appendForwarded } from '@ferrata/proxy';
import { Rig } from '../rig.ts';
import { fieldOf } from '../world/wire-reader.ts';
import { ReadingOrigin, responsesOf } from './attack.ts';

const objectNames = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'hasOwnProperty',
  'valueOf',
  '__defineGetter__',
  'length',
  'then',
];

test('names that mean something to JavaScript are names like any other, in heads and trailers, both ways', async () => {
  const lines = objectNames.map((name) => `${name}: ${name} value\r\n`).join('');
  const origin = new ReadingOrigin(() => `HTTP/1.1 200 OK\r\n${lines}Transfer-Encoding: chunked\r\n\r\n0\r\n${lines}\r\n`);
  const seen: (string | undefined)[] = [];
  const rig = new Rig({
    origin: origin.serve,
    hooks: {
      requestFilter: ({ request }) => {
        seen.push(...objectNames.map((name) => request.headers.get(name)));
        return false;
      },
    },
  });
  const client = await rig.ask(`POST / HTTP/1.1\r\nHost: h\r\n${lines}Transfer-Encoding: chunked\r\n\r\n0\r\n${lines}\r\n`);
  const values = objectNames.map((name) => [name, `${name} value`] as const);
  const [request] = origin.requests;
  const [response] = responsesOf(client);
  assert.deepEqual(
    seen,
    values.map(([, value]) => value),
  );
  for (const message of [request, response]) {
    assert.deepEqual(
      message?.fields.filter(([name]) => objectNames.includes(name)),
      values,
    );
    assert.deepEqual(message?.trailers, values);
  }
  await rig.finish(client);
});

test('CVE-2026-21717: names that look like array indices are names like any other, also when Connection nominates them', async () => {
  const names = Array.from({ length: 90 }, (_, index) => String(index * 4_294_967));
  const lines = names.map((name) => `${name}: x\r\n`).join('');
  const origin = new ReadingOrigin();
  const rig = new Rig({ origin: origin.serve });
  const client = await rig.ask(`GET / HTTP/1.1\r\nHost: h\r\n${lines}\r\n`);
  assert.deepEqual(
    origin.requests[0]?.fields.slice(1).map(([name]) => name),
    names,
  );
  client.send(`GET / HTTP/1.1\r\nHost: h\r\nConnection: ${names.join(',')}\r\n${lines}\r\n`);
  const other = await rig.ask('GET /other HTTP/1.1\r\nHost: h\r\n\r\n');
  assert.deepEqual(
    origin.requests.map(({ fields }) => fields.length),
    [91, 1, 1],
  );
  await rig.finish(client, other);
});

describe('CVE-2022-31813, CVE-2024-45410: a client cannot nominate away what is not its connection’s', () => {
  for (const name of [
    'X-Forwarded-For',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'x-forwarded-anything',
    'Host',
    'Authorization',
    'Cookie',
    'X-Real-IP',
  ]) {
    for (const written of [name, name.toUpperCase(), `close, ${name}`, `${name}\r\nConnection: keep-alive`, `\t${name} ,`]) {
      test(`Connection: ${JSON.stringify(written)}`, async () => {
        const origin = new ReadingOrigin();
        const rig = new Rig({ origin: origin.serve, hooks: { upstreamRequestFilter: appendForwarded } });
        const client = await rig.ask(
          `GET / HTTP/1.1\r\nHost: h\r\nConnection: ${written}\r\n${name === 'Host' ? '' : `${name}: mine\r\n`}X-End: 1\r\n\r\n`,
        );
        const [request] = origin.requests;
        assert.ok(request);
        assert.equal(fieldOf(request, 'host'), 'h');
        assert.match(fieldOf(request, name.toLowerCase()) ?? '', name === 'Host' ? /^h$/ : /^mine/);
        assert.match(fieldOf(request, 'x-forwarded-for') ?? '', /10\.0\.0\.9$/);
        assert.match(fieldOf(request, 'x-forwarded-proto') ?? '', /http$/);
        assert.equal(fieldOf(request, 'connection'), undefined);
        await rig.finish(client);
      });
    }
  }

  test('nor the length of its body, or its coding', async () => {
    for (const [fields, body] of [
      ['Content-Length: 5\r\nConnection: Content-Length', 'hello'],
      ['Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding', '5\r\nhello\r\n0\r\n\r\n'],
    ] as const) {
      const origin = new ReadingOrigin();
      const rig = new Rig({ origin: origin.serve });
      const client = await rig.ask(`POST / HTTP/1.1\r\nHost: h\r\n${fields}\r\n\r\n${body}`);
      assert.deepEqual(
        origin.requests.map((request) => request.body),
        ['hello'],
      );
      await rig.finish(client);
    }
  });

  test('a field that is its connection’s goes, from the trailers too (RFC 9110 §7.6.1), both ways', async () => {
    const trailers = 'X-Hop: 1\r\nX-Forwarded-For: 1.2.3.4\r\nX-End: 2\r\n';
    const origin = new ReadingOrigin(
      () => `HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${trailers}\r\n`,
    );
    const rig = new Rig({ origin: origin.serve });
    const client = await rig.ask(
      `POST / HTTP/1.1\r\nHost: h\r\nConnection: X-Hop\r\nX-Hop: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n${trailers}\r\n`,
    );
    const [request] = origin.requests;
    const [response] = responsesOf(client);
    for (const message of [request, response]) {
      assert.ok(message);
      assert.equal(fieldOf(message, 'x-hop'), undefined);
      assert.deepEqual(message.trailers, [['X-End', '2']]);
    }
    await rig.finish(client);
  });

  test('CVE-2022-45059: nor a pseudo-header, which no HTTP/1 name can be', async () => {
    const rig = new Rig();
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\n:path: /x\r\nConnection: :path\r\n\r\n');
    assert.match(client.text, /^HTTP\/1\.1 400 /);
    assert.equal(rig.origins.length, 0);
    await rig.finish(client);
  });
});
