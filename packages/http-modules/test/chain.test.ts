import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError } from '@ferrata/error';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { respond, type ServerExchange } from '@ferrata/http';
import {
  type HttpModule,
  type HttpModuleKind,
  ModuleChain,
  type ModuleOverrides,
  type ModuleServerExchange,
  withModules,
} from '@ferrata/http-modules';
import { answering, ask, bytes, clocked, FakeExchange, Follower, kind, moduleOptions, serve, settle, speak, text } from './rig.ts';

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

/** An exchange behind modules, let through to a follower. */
async function serveThrough(
  exchange: FakeExchange,
  kinds: readonly HttpModuleKind[],
  overrides: ModuleOverrides = {},
): Promise<[ModuleServerExchange, Follower]> {
  const modular = serve(exchange, kinds, overrides);
  const follower = new Follower();
  modular.follow(follower);
  assert.equal(await modular.filterRequest(), true);
  return [modular, follower];
}

function later<T>(): { readonly promise: Promise<T>; resolve: (value: T) => void; reject: (error: unknown) => void } {
  return Promise.withResolvers<T>();
}

describe('ModuleChain', () => {
  it('sorts by order, larger first, and keeps equals as they were given', () => {
    const kinds = [kind('a', {}), kind('b', {}, 5), kind('c', {}), kind('d', {}, -1)];
    assert.deepEqual(
      new ModuleChain(kinds, moduleOptions()).kinds.map(({ name }) => name),
      ['b', 'a', 'c', 'd'],
    );
  });
  it('refuses a kind given twice, an order that is none, and a time limit of nothing', () => {
    const twice = kind('a', {});
    assert.throws(() => new ModuleChain([twice, twice], moduleOptions()), TypeError);
    assert.throws(() => new ModuleChain([kind('a', {}, Number.NaN)], moduleOptions()), RangeError);
    assert.throws(() => new ModuleChain([], moduleOptions({ moduleTimeoutMs: 0 })), RangeError);
  });
  it('wraps nothing where no module takes part', () => {
    const chain = new ModuleChain([kind('a', () => null)], moduleOptions());
    assert.equal(chain.serve(new FakeExchange()), null);
    const seen: ServerExchange[] = [];
    const exchange = new FakeExchange();
    withModules(
      answering((given) => void seen.push(given)),
      [kind('a', () => null)],
      moduleOptions(),
    ).onRequest(exchange);
    assert.equal(seen[0], exchange);
  });
  it('takes other bounds for one exchange, and checks them', async () => {
    const { environment, clock } = clocked();
    const chain = new ModuleChain([kind('a', { requestFilter: () => later<void>().promise })], { environment });
    assert.throws(() => chain.serve(new FakeExchange(), { moduleTimeoutMs: -1 }), RangeError);
    const passed = Promise.resolve(chain.serve(new FakeExchange(), { moduleTimeoutMs: 50 })?.filterRequest());
    const failed = assert.rejects(passed, /MODULE_TIMEOUT/);
    clock.advance(100);
    await failed;
  });
  it('finds a module by its kind', () => {
    const module = { requestFilter() {} };
    const wanted = kind('a', module);
    const modular = serve(new FakeExchange(), [kind('b', {}), wanted]);
    assert.equal(modular.module(wanted), module);
    assert.equal(modular.module(kind('a', module)), null);
  });
  it('closes what it made when a kind throws', () => {
    let closed = 0;
    const chain = new ModuleChain([kind('a', { close: () => void closed++ }), kind('b', () => assert.fail('no'))], moduleOptions());
    assert.throws(() => chain.serve(new FakeExchange()), /no/);
    assert.equal(closed, 1);
  });
});

describe('requests on their way through modules', () => {
  it('go through all in order, with promises and without', async () => {
    const log: string[] = [];
    const sync = (name: string): HttpModuleKind => kind(name, { requestFilter: () => void log.push(name) });
    const slow = kind('b', {
      async requestFilter() {
        await Promise.resolve();
        log.push('b');
      },
    });
    const modular = serve(new FakeExchange(), [sync('a'), slow, sync('c')]);
    assert.equal(await modular.filterRequest(), true);
    assert.deepEqual(log, ['a', 'b', 'c']);
  });
  it('are not awaited where no module promises', () => {
    assert.equal(serve(new FakeExchange(), [kind('a', { requestFilter() {} })]).filterRequest(), true);
  });
  it('hold their body until they are let through and there is a handler, however it comes', async () => {
    const gate = later<void>();
    const exchange = new FakeExchange(requestHead('POST', '/'), 5);
    const modular = serve(exchange, [kind('a', { requestFilter: () => gate.promise })]);
    const passed = modular.filterRequest();
    modular.onRequestData(bytes('hello'));
    modular.onRequestEnd(null);
    assert.equal(exchange.isPaused, true);
    gate.resolve();
    assert.equal(await passed, true);
    const follower = new Follower();
    modular.follow(follower);
    assert.deepEqual(follower.heard, ['data hello', 'end']);
    assert.equal(modular.requestBodyLength, 5);
  });
  it('lose their length when a module edits the body, which it may end with more', async () => {
    const headers = HeaderMap.from({ 'Content-Length': '4' });
    const exchange = new FakeExchange(requestHead('POST', '/', { headers }), 4);
    const upper = kind('upper', { requestBodyFilter: (chunk) => (chunk === null ? bytes('!') : bytes(text(chunk).toUpperCase())) });
    const [modular, follower] = await serveThrough(exchange, [upper]);
    assert.equal(modular.requestBodyLength, -1);
    assert.equal(headers.has('content-length'), false);
    modular.onRequestData(bytes('ab'));
    modular.onRequestData(bytes('cd'));
    modular.onRequestEnd(null);
    assert.deepEqual(follower.heard, ['data AB', 'data CD', 'data !', 'end']);
  });
  it('pause their client while a module works on a piece, and only then', async () => {
    const work = later<Uint8Array>();
    const exchange = new FakeExchange(requestHead('POST', '/'), 4);
    const [modular, follower] = await serveThrough(exchange, [
      kind('a', { requestBodyFilter: (chunk) => (chunk === null ? null : work.promise) }),
    ]);
    modular.onRequestData(bytes('ab'));
    assert.equal(exchange.isPaused, true);
    modular.onRequestEnd(null);
    assert.deepEqual(follower.heard, []);
    work.resolve(bytes('AB'));
    await settle();
    assert.deepEqual(follower.heard, ['data AB', 'end']);
  });
  it('pause them again for each piece that takes its time', async () => {
    const exchange = new FakeExchange(requestHead('POST', '/'), 4);
    const [modular, follower] = await serveThrough(exchange, [kind('a', { requestBodyFilter: (chunk) => Promise.resolve(chunk) })]);
    for (const piece of ['ab', 'cd']) {
      modular.onRequestData(bytes(piece));
      assert.equal(exchange.isPaused, true);
      await settle();
      assert.deepEqual([exchange.isPaused, follower.heard.at(-1)], [false, `data ${piece}`]);
    }
  });
  it('wait for a handler that has paused, with what came all the same', async () => {
    const exchange = new FakeExchange(requestHead('POST', '/'), 4);
    const [modular, follower] = await serveThrough(exchange, [kind('a', { requestBodyFilter: (chunk) => chunk })]);
    modular.pauseRequest();
    modular.onRequestData(bytes('ab'));
    modular.onRequestEnd(null);
    assert.deepEqual(follower.heard, []);
    modular.resumeRequest();
    assert.deepEqual(follower.heard, ['data ab', 'end']);
    assert.equal(exchange.isPaused, false);
  });
});

describe('answers of modules', () => {
  it('go through the modules in front and behind, not through themselves, and the request goes no further', async () => {
    const log: string[] = [];
    const marking = (name: string, more: HttpModule = {}): HttpModuleKind =>
      kind(name, { responseFilter: () => void log.push(name), ...more });
    const kinds = [
      marking('front'),
      marking('answering', { requestFilter: (_, exchange) => exchange.respond(401, { body: 'who?' }) }),
      marking('behind'),
    ];
    const application = { onRequest: () => assert.fail('asked') };
    const answer = await ask(withModules(application, kinds, moduleOptions()), 'http1');
    assert.deepEqual([answer.status, answer.body, log], [401, 'who?', ['front', 'behind']]);
  });
  it('may come later, and drop the body that was held', async () => {
    const gate = later<void>();
    const exchange = new FakeExchange(requestHead('POST', '/'), 5);
    const modular = serve(exchange, [
      kind('a', {
        async requestFilter(_, on) {
          await gate.promise;
          on.respond(403);
        },
      }),
    ]);
    const passed = modular.filterRequest();
    modular.onRequestData(bytes('hello'));
    gate.resolve();
    assert.equal(await passed, false);
    assert.deepEqual([exchange.status, exchange.isPaused, exchange.isClosed], [403, false, true]);
  });
  it('that are none leave the module in the way of the response', async () => {
    const log: string[] = [];
    const mistaken = kind('a', {
      requestFilter: (_, exchange) => assert.throws(() => exchange.respond(99), RangeError),
      responseFilter: ({ status }) => void log.push(`${status}`),
    });
    const application = answering((exchange) => respond(exchange, 200));
    assert.equal((await ask(withModules(application, [mistaken], moduleOptions()), 'http1')).status, 200);
    assert.deepEqual(log, ['200']);
  });
  it('are refused outside requestFilter, and twice', async () => {
    const errors: unknown[] = [];
    const tries = (act: () => void): void => {
      try {
        act();
      } catch (error) {
        errors.push(error);
      }
    };
    const asking: HttpModuleKind = {
      name: 'a',
      create: (on) => {
        tries(() => on.respond(200));
        return { requestFilter() {}, responseFilter: () => tries(() => on.respond(200)) };
      },
    };
    const twice = kind('b', {
      requestFilter(_, on) {
        on.respond(204);
        tries(() => on.respond(204));
      },
    });
    const exchange = new FakeExchange();
    assert.equal(await serve(exchange, [asking, twice]).filterRequest(), false);
    assert.equal(errors.length, 3);
    assert.ok(errors.every((error) => error instanceof TypeError));
  });
});

describe('responses on their way through modules', () => {
  const ended = (chunk: Uint8Array | null): Uint8Array | null => chunk ?? bytes('.');

  it('go in chunks, without a length, where a module edits the body; others keep theirs', async () => {
    const application = answering((exchange) => respond(exchange, 200, { headers: { 'Content-Length': '2' }, body: bytes('hi') }));
    const edited = await speak(withModules(application, [kind('a', { responseBodyFilter: ended })], moduleOptions()), GET);
    assert.match(edited, /Transfer-Encoding: chunked/);
    assert.doesNotMatch(edited, /Content-Length/);
    assert.match(edited, /\r\n\r\n2\r\nhi\r\n1\r\n\.\r\n0\r\n\r\n$/);
    const looking = kind('b', { responseFilter() {}, responseBodyFilter: () => assert.fail('called'), editsResponseBody: false });
    assert.match(await speak(withModules(application, [looking], moduleOptions()), GET), /Content-Length: 2\r\n\r\nhi$/);
  });
  it('keep a length that the editing module knows', async () => {
    const application = answering((exchange) => respond(exchange, 200, { body: bytes('hi') }));
    const known = kind('a', { responseBodyFilter: ended, responseBodyLength: 3 });
    assert.match(await speak(withModules(application, [known], moduleOptions()), GET), /Content-Length: 3\r\n\r\nhi\.$/);
    const wrong = await ask(
      withModules(application, [kind('a', { responseBodyFilter: ended, responseBodyLength: 4 })], moduleOptions()),
      'http1',
    );
    assert.notEqual(wrong.error, null);
  });
  for (const [method, status] of [
    ['HEAD', 200],
    ['GET', 204],
    ['GET', 304],
  ] as const) {
    it(`have no body for modules: ${method}, ${status} (RFC 9110 §6.4.1)`, async () => {
      const lengths: number[] = [];
      const filter = kind('a', {
        responseFilter: (_, { bodyLength }) => void lengths.push(bodyLength),
        responseBodyFilter: () => assert.fail('called'),
        responseTrailerFilter: () => assert.fail('called'),
      });
      const application = answering((exchange) => {
        exchange.sendHead(responseHead(status), status === 200 ? 2 : -1);
        exchange.sendData(bytes('hi'));
        exchange.sendEnd();
      });
      const answer = await ask(withModules(application, [filter], moduleOptions()), 'http1', { method });
      assert.deepEqual(
        [answer.status, answer.body, answer.error, lengths, answer.headers.get('content-length')],
        [status, '', null, [0], undefined],
      );
    });
  }
  it('to HEAD say what GET would have got, in the head too', async () => {
    const seen: (string | undefined)[] = [];
    const looking = kind('a', { responseFilter: ({ headers }) => void seen.push(headers.get('content-length')) });
    const application = answering((exchange) => respond(exchange, 200, { body: bytes('hello') }));
    const answer = await ask(withModules(application, [looking], moduleOptions()), 'http1', { method: 'HEAD' });
    assert.deepEqual([seen, answer.headers.get('content-length')], [['5'], '5']);
  });
  it('have their trailers edited before the end is told, which may put them into the body', async () => {
    const log: string[] = [];
    const packing = kind('a', {
      responseBodyFilter(chunk) {
        log.push(chunk === null ? 'end' : 'piece');
        return chunk ?? bytes('[packed]');
      },
      responseTrailerFilter(trailers) {
        log.push(`trailers ${trailers?.get('x-sum')}`);
        return null;
      },
    });
    const adding = kind('b', { responseTrailerFilter: (trailers) => (trailers ?? new HeaderMap()).set('X-Late', '1') }, -1);
    const application = answering((exchange) => {
      exchange.sendHead(responseHead(200), -1);
      exchange.sendData(bytes('hi'));
      exchange.sendEnd(HeaderMap.from({ 'X-Sum': '7' }));
    });
    for (const version of ['http1', 'http2'] as const) {
      const answer = await ask(withModules(application, [packing, adding], moduleOptions()), version);
      assert.deepEqual(
        [answer.body, answer.trailers?.toJSON().map(([name, value]) => `${name.toLowerCase()}: ${value}`)],
        ['hi[packed]', ['x-late: 1']],
      );
    }
    assert.deepEqual(log.slice(0, 3), ['piece', 'trailers 7', 'end']);
  });
  it('hold what comes while a module works on the head; the sender is told to wait, and then to go on', async () => {
    const gate = later<void>();
    const exchange = new FakeExchange();
    const [modular, follower] = await serveThrough(exchange, [kind('a', { responseFilter: () => gate.promise })]);
    modular.sendHead(responseHead(200), 4);
    assert.deepEqual([modular.hasResponded, modular.status, exchange.status], [true, 200, 0]);
    assert.throws(() => modular.sendHead(responseHead(200), 4), TypeError);
    assert.throws(() => modular.sendInterim(responseHead(103)), TypeError);
    assert.throws(() => modular.openTunnel(responseHead(101)), TypeError);
    assert.equal(modular.sendData(bytes('ab')), false);
    gate.resolve();
    await settle();
    assert.deepEqual([exchange.body, follower.heard], ['ab', ['drain']]);
    assert.equal(modular.sendData(bytes('cd')), true);
    modular.sendEnd();
    assert.deepEqual([exchange.body, exchange.bodyLength, follower.heard.at(-1)], ['abcd', 4, 'close']);
  });
  it('end the exchange of a sender that does not wait for a module', async () => {
    const exchange = new FakeExchange();
    const stuck = kind('a', { responseBodyFilter: () => later<null>().promise });
    const [modular] = await serveThrough(exchange, [stuck], { maxQueuedBytes: 1000 });
    modular.sendHead(responseHead(200), -1);
    let pieces = 0;
    while (!exchange.isClosed && pieces++ < 100) modular.sendData(new Uint8Array(100));
    assert.equal(exchange.error?.reason, 'MODULE_QUEUE_OVERFLOW');
    assert.ok(pieces < 12, `${pieces} pieces`);
  });
  it('wait for a client that is slow, one drain for each time the sender was stopped', async () => {
    const exchange = new FakeExchange();
    const [modular, follower] = await serveThrough(exchange, [kind('a', { responseBodyFilter: (chunk) => chunk })]);
    modular.sendHead(responseHead(200), -1);
    exchange.hasRoom = false;
    assert.equal(modular.sendData(bytes('a')), false);
    assert.deepEqual(follower.heard, []);
    exchange.hasRoom = true;
    modular.onResponseDrain();
    modular.onResponseDrain();
    assert.deepEqual(follower.heard, ['drain']);
  });
  it('send interim ones, tunnels and settings past the modules', async () => {
    const exchange = new FakeExchange();
    const [modular] = await serveThrough(exchange, [kind('a', { responseFilter: () => assert.fail('called') })]);
    modular.sendInterim(responseHead(103));
    modular.adjust({ keepAlive: false });
    modular.openTunnel(responseHead(101));
    modular.closeTunnel(null);
    assert.deepEqual(exchange.log, ['interim 103', 'adjust {"keepAlive":false}', 'tunnel 101', 'closeTunnel']);
  });
});

describe('failures of modules', () => {
  const broken = (): never => {
    throw new Error('broken');
  };
  /** A module that edits all bodies, and of which nothing is to be learnt by a getter. */
  const throwingOn = (getter: keyof HttpModule): HttpModule =>
    Object.defineProperty({ requestBodyFilter: (chunk) => chunk, responseBodyFilter: (chunk) => chunk }, getter, { get: broken });
  const calls: readonly (readonly [string, HttpModule])[] = [
    ['requestFilter throws', { requestFilter: broken }],
    ['requestFilter rejects', { requestFilter: () => Promise.reject(new Error('broken')) }],
    ['responseFilter throws', { responseFilter: broken }],
    ['responseFilter rejects', { responseFilter: () => Promise.reject(new Error('broken')) }],
  ];
  for (const [name, module] of calls) {
    it(`are a 500, once, and the modules are closed: ${name}`, async () => {
      let closed = 0;
      const refused: string[] = [];
      const application = {
        ...answering((exchange) => respond(exchange, 200)),
        onRefused: ({ error }: { error: { reason: string } }) => void refused.push(error.reason),
      };
      const kinds = [kind('other', { close: () => void closed++ }), kind('a', module)];
      const answer = await ask(withModules(application, kinds, moduleOptions()), 'http1');
      assert.deepEqual([answer.status, closed, refused], [500, 1, name.startsWith('request') ? ['MODULE_THREW'] : []]);
    });
  }
  const bodies: readonly (readonly [string, HttpModule, string])[] = [
    ['a throw', { responseBodyFilter: broken }, 'MODULE_THREW'],
    ['a rejection', { responseBodyFilter: () => Promise.reject(new Error('broken')) }, 'MODULE_THREW'],
    ['a throw over trailers', { responseBodyFilter: (chunk) => chunk, responseTrailerFilter: broken }, 'MODULE_THREW'],
    ['garbage', { responseBodyFilter: () => 'text' as never }, 'MODULE_RETURNED_GARBAGE'],
    ['a length that is none', { responseBodyFilter: (chunk) => chunk, responseBodyLength: 0.5 }, 'MODULE_RETURNED_GARBAGE'],
    ['a throw over whether it edits', throwingOn('editsResponseBody'), 'MODULE_THREW'],
    ['a throw over the length', throwingOn('responseBodyLength'), 'MODULE_THREW'],
  ];
  for (const [name, module, reason] of bodies) {
    it(`in a response end it visibly: ${name}`, async () => {
      const exchange = new FakeExchange();
      const [modular, follower] = await serveThrough(exchange, [kind('a', module)]);
      modular.sendHead(responseHead(200), -1);
      modular.sendData(bytes('hi'));
      modular.sendEnd();
      await settle();
      assert.deepEqual([exchange.error?.reason, exchange.error?.context, follower.heard], [reason, 'a', [`close ${reason}`]]);
    });
  }
  it('over whether it edits the body of a request are told by name', async () => {
    const exchange = new FakeExchange(requestHead('POST', '/'), -1);
    const modular = serve(exchange, [kind('a', throwingOn('editsRequestBody'))]);
    await assert.rejects(async () => modular.filterRequest(), { reason: 'MODULE_THREW', context: 'a' });
  });
  it('come after a time limit too, of a promise that is never kept; what comes later is dropped', async () => {
    const { environment, clock } = clocked();
    const work = later<Uint8Array>();
    const exchange = new FakeExchange();
    const [modular] = await serveThrough(exchange, [kind('a', { responseBodyFilter: () => work.promise })], {
      environment,
      moduleTimeoutMs: 100,
    });
    modular.sendHead(responseHead(200), -1);
    modular.sendData(bytes('hi'));
    await settle();
    clock.advance(200);
    await settle();
    assert.equal(exchange.error?.reason, 'MODULE_TIMEOUT');
    work.resolve(bytes('late'));
    await settle();
    assert.deepEqual([exchange.body, environment.deadlines.size], ['', 0]);
  });
  it('leave errors that were meant as they are', async () => {
    const meant = kind('a', {
      requestFilter() {
        throw applicationError('TEAPOT', 'no coffee', { wire: { status: 418 } });
      },
    });
    assert.equal(
      (
        await ask(
          withModules(
            answering(() => {}),
            [meant],
            moduleOptions(),
          ),
          'http2',
        )
      ).status,
      418,
    );
  });
  it('may be answered by the owner, past the modules', async () => {
    const exchange = new FakeExchange();
    let filtered = 0;
    const failing = kind('a', {
      responseFilter() {
        filtered++;
        throw new Error('broken');
      },
    });
    const modular = serve(exchange, [failing], { onModuleFailed: (error) => respond(modular, error.status, { body: 'sorry' }) });
    modular.sendHead(responseHead(200), 0);
    assert.deepEqual([exchange.status, exchange.body, filtered, exchange.isClosed], [500, 'sorry', 1, true]);
  });
  it('of the client close the modules once, and stop what they work on', async () => {
    let closed = 0;
    const work = later<Uint8Array>();
    const exchange = new FakeExchange();
    const [modular, follower] = await serveThrough(exchange, [
      kind('a', { responseBodyFilter: () => work.promise, close: () => void closed++ }),
    ]);
    modular.sendHead(responseHead(200), -1);
    modular.sendData(bytes('hi'));
    exchange.close(applicationError('GONE'));
    work.resolve(bytes('late'));
    await settle();
    assert.deepEqual([closed, follower.heard, exchange.body, modular.sendData(bytes('x'))], [1, ['close GONE'], '', false]);
  });
  it('in close are told, and keep nobody from being closed', () => {
    let closed = 0;
    const exchange = new FakeExchange();
    const modular = serve(exchange, [kind('a', { close: broken }), kind('b', { close: () => void closed++ })]);
    const follower = new Follower();
    modular.follow(follower);
    assert.throws(() => modular.onExchangeClose(null), /broken/);
    assert.deepEqual([closed, follower.heard], [1, ['close']]);
  });
});

describe('withModules', () => {
  const slow = kind('slow', { requestFilter: () => Promise.resolve() });
  it('tells an application of the end that answers at once behind a promise', async () => {
    const follower = new Follower();
    const application = {
      onRequest(exchange: ServerExchange): Follower {
        respond(exchange, 200, { body: 'ok' });
        return follower;
      },
    };
    assert.equal((await ask(withModules(application, [slow], moduleOptions()), 'http1')).body, 'ok');
    assert.deepEqual(follower.heard, ['close']);
  });
  for (const [name, kinds] of [
    ['at once', [kind('a', {})]],
    ['behind a promise', [slow]],
  ] as const) {
    it(`answers 500 for an application that throws, ${name}, and for one that gives no handler`, async () => {
      const refused: number[] = [];
      const onRefused = ({ status }: { status: number }): void => void refused.push(status);
      const throwing = { onRequest: () => assert.fail('broken'), onRefused };
      assert.equal((await ask(withModules(throwing, kinds, moduleOptions()), 'http1')).status, 500);
      const garbage = { onRequest: () => null as never, onRefused };
      assert.equal((await ask(withModules(garbage, kinds, moduleOptions()), 'http1')).status, 500);
      assert.deepEqual(refused, [500, 500]);
    });
  }
});
