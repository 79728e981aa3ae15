/** Modules before and behind the hooks, and requests that are answered by subrequests. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import type { HttpModule, HttpModuleKind } from '@ferrata/http-modules';
import { peer } from '@ferrata/upstream';
import { answering, get, ok, origin, Rig, readResponse, settle, when } from './rig.ts';

const elsewhere = peer('10.0.0.7:80');

/** Notes its calls, and puts its mark on everything. */
class Marker implements HttpModule {
  readonly trace: string[] = [];
  readonly #mark: string;
  mark = true;

  constructor(mark: string) {
    this.#mark = mark;
  }
  get editsResponseBody(): boolean {
    return this.mark;
  }
  requestFilter(
    request: Parameters<NonNullable<HttpModule['requestFilter']>>[0],
    exchange: Parameters<NonNullable<HttpModule['requestFilter']>>[1],
  ): void {
    this.trace.push('requestFilter');
    request.headers.set('X-Marked', this.#mark);
    if (request.target === '/module') exchange.respond(203, { body: 'by module' });
  }
  responseFilter(response: Parameters<NonNullable<HttpModule['responseFilter']>>[0]): void {
    this.trace.push(`responseFilter ${response.status}`);
    if (response.headers.has('X-Boom')) throw new Error('boom');
    response.headers.set('X-Seen', `${response.headers.get('X-Seen') ?? ''}${this.#mark}`);
  }
  responseBodyFilter(chunk: Uint8Array | null): Uint8Array | null {
    return chunk === null ? null : latin1Encode(`${this.#mark}${latin1Decode(chunk, 0, chunk.length)}`);
  }
  close(): void {
    this.trace.push('close');
  }
}

function marking(mark: string): HttpModuleKind<Marker> & { readonly made: Marker[] } {
  const made: Marker[] = [];
  return {
    name: mark,
    made,
    create: ({ request }) => {
      if (request.target === '/none') return null;
      const marker = new Marker(mark);
      made.push(marker);
      return marker;
    },
  };
}

describe('modules of a proxy', () => {
  test('see the request between earlyRequestFilter and requestFilter, and the response behind all hooks', async () => {
    const kind = marking('m');
    const trace: string[] = [];
    const rig = new Rig({
      proxy: { modules: [kind] },
      hooks: {
        earlyRequestFilter: (session) => {
          trace.push(`early ${session.request.headers.get('X-Marked')} ${session.module(kind) === kind.made[0]}`);
        },
        requestFilter: (session) => {
          trace.push(`filter ${session.request.headers.get('X-Marked')}`);
          return false;
        },
        responseFilter: (_session, response) => void response.headers.set('X-Seen', 'hook,'),
        responseBodyFilter: (_session, chunk) => chunk ?? latin1Encode('!'),
      },
    });
    const client = await rig.ask(get);
    assert.deepEqual(trace, ['early undefined true', 'filter m']);
    assert.match(rig.origins[0]?.text ?? '', /\r\nX-Marked: m\r\n/);
    assert.match(client.text, /\r\nX-Seen: hook,m\r\n/);
    assert.equal(readResponse(client.text).body, 'mokm!');
    assert.deepEqual(kind.made[0]?.trace, ['requestFilter', 'responseFilter 200', 'close']);
    assert.equal(rig.last.error, null);
    await rig.finish(client);
  });

  test('that answer keep the request from every later phase', async () => {
    const kind = marking('m');
    const rig = new Rig({
      proxy: { modules: [kind] },
      hooks: {
        requestFilter: () => {
          throw new Error('not reached');
        },
      },
    });
    const client = await rig.ask(get.replace('/', '/module'));
    assert.equal(readResponse(client.text).status, 203);
    assert.equal(rig.origins.length, 0);
    assert.equal(rig.last.error, null);
    await rig.finish(client);
  });

  test('see what hooks answer, and what failed', async () => {
    const kind = marking('m');
    const rig = new Rig({
      proxy: { modules: [kind], maxRetries: 0 },
      hooks: {
        requestFilter: (session) => {
          if (session.request.target === '/fail') return false;
          session.respond(200, { body: 'mine' });
          return true;
        },
      },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.reset()),
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'mmine');
    const failed = await rig.ask(get.replace('/', '/fail'));
    assert.equal(readResponse(failed.text).status, 502);
    assert.match(failed.text, /\r\nX-Seen: m\r\n/);
    await rig.finish(client, failed);
  });

  test('that fail end their request by way of failToProxy, and close all the same', async () => {
    const kind = marking('m');
    const told: string[] = [];
    const rig = new Rig({
      proxy: { modules: [kind] },
      hooks: { failToProxy: (_session, error) => void told.push(error.reason) },
      origin: answering('HTTP/1.1 200 OK\r\nX-Boom: 1\r\nContent-Length: 2\r\n\r\nok'),
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 500);
    assert.deepEqual(told, ['MODULE_THREW']);
    assert.equal(rig.last.outcome, 'failed');
    assert.equal(kind.made[0]?.trace.at(-1), 'close');
    await rig.finish(client);
  });

  test('that take no part in a request leave it as it is', async () => {
    const rig = new Rig({ proxy: { modules: [marking('m')] } });
    const client = await rig.ask(get.replace('/', '/none'));
    assert.match(client.text, /\r\nContent-Length: 2\r\n/i);
    assert.equal(readResponse(client.text).body, 'ok');
    await rig.finish(client);
  });
});

describe('upstream modules', () => {
  test('see the response before any hook but adjustUpstreamModules, which tells them what to do', async () => {
    const kind = marking('u');
    const trace: string[] = [];
    const rig = new Rig({
      proxy: { upstreamModules: [kind] },
      hooks: {
        adjustUpstreamModules: async (session, response) => {
          trace.push(`adjust ${response.status} ${response.headers.get('X-Seen')}`);
          const marker = session.upstreamModule(kind);
          if (marker !== null) marker.mark = session.request.target === '/marked';
        },
        upstreamResponseFilter: (_session, response) => void trace.push(`filter ${response.headers.get('X-Seen')}`),
      },
    });
    const plain = await rig.ask(get);
    const marked = await rig.ask(get.replace('/', '/marked'));
    assert.deepEqual(trace, ['adjust 200 undefined', 'filter u', 'adjust 200 undefined', 'filter u']);
    assert.equal(readResponse(plain.text).body, 'ok');
    assert.match(plain.text, /\r\nContent-Length: 2\r\n/i);
    assert.equal(readResponse(marked.text).body, 'uok');
    await rig.finish(plain, marked);
  });

  test('adjustUpstreamModules that throws ends the request', async () => {
    const rig = new Rig({
      proxy: { upstreamModules: [marking('u')] },
      hooks: {
        adjustUpstreamModules: () => {
          throw new Error('boom');
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 500);
    assert.equal(rig.last.error?.reason, 'HOOK_THREW');
    await rig.finish(client);
  });

  test('one that hangs ends it in time', async () => {
    const rig = new Rig({ proxy: { upstreamModules: [marking('u')] }, hooks: { adjustUpstreamModules: () => new Promise(() => {}) } });
    const client = await rig.ask(get);
    await rig.pass(61_000);
    assert.equal(readResponse(client.text).status, 500);
    assert.equal(rig.last.error?.reason, 'HOOK_TIMEOUT');
    await rig.finish(client);
  });

  test('each try has its own', async () => {
    const kind = marking('u');
    const rig = new Rig({
      proxy: { upstreamModules: [kind] },
      origin: (wire, index) => (index === 0 ? when(wire, '\r\n\r\n', () => wire.reset()) : answering(ok)(wire)),
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'uok');
    assert.deepEqual(
      kind.made.map((marker) => marker.trace),
      [['close'], ['responseFilter 200', 'close']],
    );
    await rig.finish(client);
  });
});

describe('subrequests of a proxy', () => {
  test('go through all phases, and say what they are', async () => {
    const seen: string[] = [];
    const rig = new Rig({
      hooks: {
        requestFilter: async (session) => {
          seen.push(`${session.request.target} ${session.isSubrequest} ${session.subrequestContext} ${session.subrequests !== null}`);
          if (session.isSubrequest) return false;
          const answer = await session.subrequests?.collect({ request: { target: '/check' }, context: 'mine', maxBodyBytes: 100 });
          session.respond(answer?.status === 200 ? 200 : 403, {
            body: latin1Decode(answer?.body ?? new Uint8Array(), 0, answer?.body.length ?? 0),
          });
          return true;
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'ok');
    assert.deepEqual(seen, ['/ false undefined true', '/check true mine false']);
    assert.equal(rig.logged.length, 2);
    await rig.finish(client);
  });

  test('go to the peer that they are given, and upstreamPeer is not asked', async () => {
    const asked: string[] = [];
    const connected: unknown[] = [];
    const rig = new Rig({
      hooks: {
        upstreamPeer: (session) => {
          asked.push(session.request.target);
          return origin;
        },
        requestFilter: async (session) => {
          if (session.isSubrequest) return false;
          const answer = await session.subrequests?.collect({ request: { target: '/check' }, peer: elsewhere, maxBodyBytes: 100 });
          session.request.headers.set('X-Check', String(answer?.status));
          return false;
        },
        connectedToUpstream: (session) => void connected.push([session.request.target, session.peer]),
      },
    });
    const client = await rig.ask(get);
    await settle();
    assert.equal(readResponse(client.text).body, 'ok');
    assert.deepEqual(asked, ['/']);
    assert.deepEqual(connected, [
      ['/check', elsewhere],
      ['/', origin],
    ]);
    assert.match(rig.origins[1]?.text ?? '', /X-Check: 200\r\n/);
    await rig.finish(client);
  });

  test('whose given peer cannot be reached fail, and go nowhere else', async () => {
    const results: (string | undefined)[] = [];
    const rig = new Rig({
      unreachable: elsewhere,
      hooks: {
        requestFilter: async (session) => {
          if (session.isSubrequest) return false;
          const answer = await session.subrequests?.collect({ request: { target: '/check' }, peer: elsewhere, maxBodyBytes: 100 });
          results.push(answer?.error?.reason);
          return false;
        },
      },
    });
    const client = await rig.ask(get);
    await settle();
    assert.deepEqual(results, ['CONNECT_REFUSED']);
    assert.equal(rig.origins.length, 1);
    await rig.finish(client);
  });

  test('respondBy makes their response that of the request, with the client’s body', async () => {
    const rig = new Rig({
      hooks: {
        requestFilter: (session) => {
          if (session.isSubrequest) return false;
          void session.respondBy({ request: { target: '/other' }, body: 'inherit' });
          return true;
        },
      },
      origin: (wire) => when(wire, 'abcd', () => wire.send(ok)),
    });
    const client = await rig.ask('POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab');
    client.send('cd');
    await settle();
    assert.match(rig.origins[0]?.text ?? '', /^POST \/other HTTP\/1\.1\r\n/);
    assert.equal(readResponse(client.text).body, 'ok');
    await rig.finish(client);
  });

  test('one that fails is the failure of a request that was left to it', async () => {
    const rig = new Rig({
      proxy: { maxRetries: 0 },
      hooks: {
        requestFilter: (session) => {
          if (session.isSubrequest) throw new Error('no');
          void session.respondBy({});
          return true;
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 500);
    assert.equal(rig.logged.length, 2);
    await rig.finish(client);
  });

  test('a filter that waits for its result may answer otherwise, or go on', async () => {
    const rig = new Rig({
      hooks: {
        requestFilter: async (session) => {
          if (session.isSubrequest) return session.request.target === '/try' ? (session.respond(404), true) : false;
          const result = await session.respondBy(
            { request: { target: '/try' } },
            { filter: (task) => (task.kind === 'head' && task.head.status === 404 ? null : task) },
          );
          return result.isAnswered;
        },
      },
    });
    const client = await rig.ask('POST /real HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab');
    await settle();
    assert.match(rig.origins[0]?.text ?? '', /^POST \/real HTTP\/1\.1\r\n[^]*\r\n\r\nab$/);
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  });

  test('allowSpawningSubrequest decides', async () => {
    const rig = new Rig({
      hooks: {
        allowSpawningSubrequest: (session) => session.request.target === '/yes',
        requestFilter: (session) => {
          session.respond(200, { body: String(session.subrequests !== null) });
          return true;
        },
      },
    });
    const clients = [await rig.ask(get.replace('/', '/yes')), await rig.ask(get)];
    assert.deepEqual(
      clients.map(({ text }) => readResponse(text).body),
      ['true', 'false'],
    );
    await rig.finish(...clients);
  });

  test('a client that goes takes its subrequests along', async () => {
    const rig = new Rig({
      hooks: {
        requestFilter: (session) => {
          if (session.isSubrequest) return false;
          void session.respondBy({});
          return true;
        },
      },
      origin: () => {},
    });
    const client = await rig.ask(get);
    client.reset();
    await settle();
    assert.equal(rig.logged.length, 2);
    assert.ok(rig.origins[0]?.wasReset);
    await rig.finish();
  });
});
