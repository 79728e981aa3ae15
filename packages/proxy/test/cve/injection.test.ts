/**
 * What hooks can do to a message: change it, never split it, and never end more than their own request.
 *
 * - CVE-2023-27493 (Envoy), CVE-2022-31150 and CVE-2026-1527 (undici): line ends through the interface for fields and paths.
 * - CVE-2026-1525 (undici): two framing fields in one message. CVE-2025-32996 (http-proxy-middleware): a body written twice.
 * - GHSA-6x33-pw7p-hmpq (http-proxy): an answer after an answer ends the process. CVE-2025-32997, CVE-2024-21536: so does a rejected promise.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { HeaderMap, type RequestHead, type ResponseHead } from '@ferrata/headers';
import type { AnswerableSession, ProxyHooks, ProxySession } from '@ferrata/proxy';
import { get, Rig, settle } from '../rig.ts';
import { fieldOf } from '../world/wire-reader.ts';
import { ReadingOrigin, responsesOf, statusesOf, tell } from './attack.ts';

const evil = [
  'a\r\nX-Evil: 1',
  'a\nX-Evil: 1',
  'a\rX-Evil: 1',
  'a\0X-Evil: 1',
  'a\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n',
  'a\u010d\u010aX-Evil: 1',
];

/** Everything in a head that a hook can set, for each direction. The cast is what a program without types does. */
const requestEdits: Readonly<Record<string, (request: RequestHead, text: string) => void>> = {
  'a value, set': ({ headers }, text) => void headers.set('X', text),
  'a value, appended': ({ headers }, text) => void headers.append('X', text),
  'a name': ({ headers }, text) => void headers.append(text, 'x'),
  Host: ({ headers }, text) => void headers.set('Host', text),
  'the target': (request, text) => void (request.target = `/${text}`),
  'a second Host': ({ headers }) => void headers.append('host', 'evil'),
  'no Host': ({ headers }) => void headers.delete('host'),
  'a target without a form': (request) => void (request.target = 'evil'),
  'the method': (request, text) => void (request.method = text),
  'all fields': (request, text) => void Object.assign(request, { headers: HeaderMap.from({ X: text }) }),
};
const responseEdits: Readonly<Record<string, (response: ResponseHead, text: string) => void>> = {
  'a value, set': ({ headers }, text) => void headers.set('X', text),
  'a value, appended': ({ headers }, text) => void headers.append('X', text),
  'a name': ({ headers }, text) => void headers.append(text, 'x'),
  'the reason': (response, text) => void (response.reason = text),
  'the status': (response, text) => void (response.status = `200 ${text}` as unknown as number),
  Date: ({ headers }, text) => void headers.set('Date', text),
};

describe('CVE-2023-27493, CVE-2022-31150, CVE-2026-1527: no hook can put a line end into a head', () => {
  const ways: [string, (text: string) => Partial<ProxyHooks<string[]>>][] = [
    ...Object.entries(requestEdits).map(([what, edit]): (typeof ways)[number] => [
      `upstreamRequestFilter: ${what}`,
      (text) => ({ upstreamRequestFilter: (_session, request) => edit(request, text) }),
    ]),
    ...Object.entries(responseEdits).map(([what, edit]): (typeof ways)[number] => [
      `responseFilter: ${what}`,
      (text) => ({ responseFilter: (_session, response) => edit(response, text) }),
    ]),
    [
      'session.respond: a field',
      (text) => ({
        requestFilter: (session) => {
          session.respond(200, { headers: { X: text } });
          return true;
        },
      }),
    ],
  ];
  for (const [what, hooks] of ways) {
    test(`${what}: 500 for that request, and the next one is served`, async () => {
      for (const text of evil) {
        let isAttack = true;
        const attacking = hooks(text);
        const guarded = Object.fromEntries(
          Object.entries(attacking).map(([name, hook]) => [
            name,
            (...given: unknown[]) => (isAttack ? (hook as (...given: unknown[]) => unknown)(...given) : undefined),
          ]),
        ) as Partial<ProxyHooks<string[]>>;
        const origin = new ReadingOrigin();
        const rig = new Rig({ origin: origin.serve, hooks: guarded });
        const client = await rig.ask(get);
        assert.deepEqual(statusesOf(client), [500], JSON.stringify(text));
        assert.doesNotMatch(client.text, /evil/i);
        assert.doesNotMatch(rig.origins.map((wire) => wire.text).join(), /evil|smuggled/i);
        isAttack = false;
        const next = await rig.ask(get);
        assert.deepEqual(statusesOf(next), [200]);
        await rig.finish(client, next);
      }
    });
  }
});

describe('CVE-2026-1525, CVE-2025-32996: a message has one framing, and it is true', () => {
  const lies = [
    'Content-Length: 0',
    'Content-Length: 999',
    'Transfer-Encoding: chunked',
    'Transfer-Encoding: gzip',
    'content-length: 1, 2',
  ];
  for (const lie of lies) {
    const [name, value] = lie.split(': ') as [string, string];
    test(`whatever hooks say, both ways: ${lie}`, async () => {
      const origin = new ReadingOrigin();
      const add = (headers: HeaderMap): void => void headers.append(name, value).append(name.toUpperCase(), value);
      const rig = new Rig({
        origin: origin.serve,
        hooks: { upstreamRequestFilter: (_session, { headers }) => add(headers), responseFilter: (_session, { headers }) => add(headers) },
      });
      const client = await rig.ask('POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello');
      client.send('POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n').send(get);
      await settle();
      assert.deepEqual(
        origin.requests.map(({ start, body }) => `${start[1]} ${body}`),
        ['/a hello', '/b hello', '/ '],
      );
      assert.deepEqual(
        responsesOf(client).map(({ body }) => body),
        ['/a', '/b', '/'],
      );
      for (const { fields } of [...origin.requests, ...responsesOf(client)]) {
        assert.ok(fields.filter(([one]) => /^(content-length|transfer-encoding)$/i.test(one)).length <= 1);
      }
      await rig.finish(client);
    });
  }

  test('statuses without a body have none, and the connection goes on behind them', async () => {
    for (const status of [204, 304]) {
      const rig = new Rig({
        origin: new ReadingOrigin().serve,
        hooks: { responseFilter: (_session, response) => void Object.assign(response, { status, reason: 'x' }) },
      });
      const client = await rig.ask(get + get);
      assert.deepEqual(statusesOf(client), [status, status]);
      assert.ok(!client.hasEnded);
      await rig.finish(client);
    }
  });

  test('a status that is none, or that would switch protocols, is 500', async () => {
    for (const status of [0, 99, 100, 101, 103, 199, 1_000, -200, 200.5, Number.NaN, '200', undefined]) {
      const rig = new Rig({
        origin: new ReadingOrigin().serve,
        hooks: { responseFilter: (_session, response) => void Object.assign(response, { status }) },
      });
      const client = await rig.ask(get);
      assert.deepEqual(statusesOf(client), [500], String(status));
      await rig.finish(client);
    }
  });

  test('a method that a hook changes changes which answer has a body, on its own side only', async () => {
    for (const [asked, sent] of [
      ['HEAD', 'GET'],
      ['GET', 'HEAD'],
    ] as const) {
      const origin = new ReadingOrigin((request) =>
        request.start[0] === 'HEAD' ? 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n' : tell('body'),
      );
      const rig = new Rig({ origin: origin.serve, hooks: { upstreamRequestFilter: (_session, request) => void (request.method = sent) } });
      const ask = `${asked} / HTTP/1.1\r\nHost: h\r\n\r\n`;
      const client = await rig.ask(ask + ask);
      const responses = responsesOf(client, [asked, asked]);
      assert.deepEqual(
        responses.map(({ body }) => body),
        ['', ''],
      );
      assert.deepEqual(
        responses.map((response) => fieldOf(response, 'content-length')),
        asked === 'HEAD' ? ['4', '4'] : ['0', '0'],
      );
      assert.equal(rig.origins.length, 1);
      await rig.finish(client);
    }
  });

  test('CONNECT, put in by a hook, makes no tunnel', async () => {
    const rig = new Rig({
      origin: (wire) => {
        wire.onText = () => wire.text.endsWith('\r\n\r\n') && wire.send(`${tell('')}secret`);
      },
      hooks: { upstreamRequestFilter: (_session, request) => void Object.assign(request, { method: 'CONNECT', target: 'h:1' }) },
    });
    const client = await rig.ask(get);
    assert.deepEqual(statusesOf(client), [500]);
    assert.doesNotMatch(client.text, /secret/);
    assert.equal(rig.proxy.connector.connectionCount, 0);
    await rig.finish(client);
  });
});

describe('GHSA-6x33-pw7p-hmpq, CVE-2025-32997, CVE-2024-21536: a hook that answers twice, late or never ends its own request at most', () => {
  // The types let only some phases answer; programs in JavaScript are not bound by them.
  const again = (session: ProxySession): void => (session as AnswerableSession).respond(500, { body: 'again' });
  const twice: Readonly<Record<string, Partial<ProxyHooks<string[]>>>> = {
    'requestFilter answers twice': {
      requestFilter: (session) => {
        session.respond(200, { body: 'first' });
        again(session);
        return true;
      },
    },
    'logging answers': { logging: again },
    'logging rejects': { logging: () => Promise.reject(new Error('late')) },
    'responseBodyFilter answers after the head': {
      responseBodyFilter: (session, chunk) => {
        if (chunk === null) again(session);
        return chunk;
      },
    },
    'responseBodyFilter rejects after the head': {
      responseBodyFilter: async (_session, chunk) => {
        if (chunk === null) throw new Error('late');
        return chunk;
      },
    },
    'failToProxy answers twice, and rejects': {
      upstreamPeer: () => Promise.reject(new Error('none')),
      failToProxy: async (session) => {
        session.respond(200, { body: 'first' });
        again(session);
      },
    },
  };
  for (const [what, hooks] of Object.entries(twice)) {
    test(what, async () => {
      const rig = new Rig({ origin: new ReadingOrigin().serve, hooks });
      const client = await rig.ask(get);
      assert.equal(client.text.split('HTTP/1.1 ').length, 2, 'one response is sent');
      assert.doesNotMatch(client.text, /again/);
      assert.match(client.text, /^HTTP\/1\.1 200 /);
      assert.equal(rig.logged.length, 1);
      await rig.finish(client);
    });
  }
});
