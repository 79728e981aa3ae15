/** What an exchange behind modules says of itself, and what becomes of a handler's throws at each moment. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError } from '@ferrata/error';
import { requestHead, responseHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ServerExchangeHandler } from '@ferrata/http';
import { type HttpModule, ModuleChain, type ModuleExchange, type ModuleServerExchange } from '@ferrata/http-modules';
import { bytes, FakeExchange, kind, moduleOptions, settle } from './rig.ts';

const ignore = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
const broken = (): never => {
  throw new Error('broken');
};

function serve(exchange: FakeExchange, module: HttpModule): ModuleServerExchange {
  const modular = new ModuleChain([kind('a', module)], moduleOptions()).serve(exchange);
  assert.ok(modular !== null);
  exchange.handler = modular;
  return modular;
}

describe('an exchange in front of an application', () => {
  it('says of itself what the one behind it says', () => {
    const exchange = new FakeExchange();
    const modular = serve(exchange, {});
    const facts = [
      'request',
      'requestBodyLength',
      'upgrade',
      'protocol',
      'expectsContinue',
      'info',
      'startedAt',
      'requestBytes',
      'responseBytes',
      'status',
      'hasResponded',
      'isClosed',
      'connection',
      'isConnectionReusable',
      'writePendingMs',
    ] as const;
    for (const fact of facts) assert.equal(modular[fact], exchange[fact], fact);
  });
  it('says it to modules, too, from the start', () => {
    let seen: ModuleExchange | null = null;
    const exchange = new FakeExchange(requestHead('POST', '/'), -1);
    const chain = new ModuleChain(
      [
        {
          name: 'a',
          create: (given) => {
            seen = given;
            assert.throws(() => given.respond(200), TypeError);
            assert.deepEqual(
              [given.request, given.client, given.hasRequestBody, given.hasResponded],
              [exchange.request, exchange.info, true, false],
            );
            return {};
          },
        },
      ],
      moduleOptions(),
    );
    chain.serve(exchange)?.sendHead(responseHead(200), 0);
    assert.equal((seen as ModuleExchange | null)?.hasResponded, true);
  });

  const failing: readonly (readonly [string, Partial<ServerExchangeHandler>])[] = [
    ['onRequestData', { onRequestData: broken }],
    ['onRequestEnd', { onRequestEnd: broken }],
  ];
  for (const [name, part] of failing) {
    it(`ends when its handler throws from ${name} behind a module that takes its time`, async () => {
      const exchange = new FakeExchange(requestHead('POST', '/'), -1);
      const modular = serve(exchange, { requestBodyFilter: async (chunk) => chunk });
      modular.follow({ ...ignore, ...part });
      await modular.filterRequest();
      modular.onRequestData(bytes('a'));
      modular.onRequestEnd(null);
      await settle();
      assert.equal(exchange.error?.reason, 'HANDLER_THREW');
    });
  }
  it('ends when its handler throws as it is told to go on', async () => {
    const exchange = new FakeExchange();
    const modular = serve(exchange, { responseBodyFilter: async (chunk) => chunk });
    modular.follow({ ...ignore, onResponseDrain: broken });
    await modular.filterRequest();
    modular.sendHead(responseHead(200), -1);
    modular.sendData(bytes('a'));
    await settle();
    assert.equal(exchange.error?.reason, 'HANDLER_THREW');
  });
  for (const [moment, part] of [
    ['a head', { sendHead: broken }],
    ['a piece', { sendData: broken }],
    ['an end', { sendEnd: broken }],
  ] as const) {
    it(`ends where the one behind it refuses ${moment} that the modules have left`, async () => {
      const exchange = Object.assign(new FakeExchange(), part as object);
      const modular = serve(exchange, { responseBodyFilter: (chunk) => chunk });
      modular.follow(ignore);
      await modular.filterRequest();
      modular.sendHead(responseHead(200), -1);
      modular.sendData(bytes('a'));
      modular.sendEnd();
      assert.equal(exchange.error?.reason, moment === 'a head' ? 'RESPONSE_INVALID' : 'MODULE_THREW');
    });
  }
});

/** An exchange in the client's role that closes when it is cancelled. */
class FakeClient implements ClientExchange {
  readonly isReused = true;
  readonly info = { kind: 'fake' } as ClientExchange['info'];
  readonly isUnsent = true;
  readonly requestBytes = 1;
  readonly responseBytes = 2;
  readonly writePendingMs = 3;
  isClosed = false;
  handler: ClientExchangeHandler | null = null;
  readonly log: string[] = [];
  sendData(): boolean {
    this.log.push('data');
    return true;
  }
  sendEnd(): void {
    this.log.push('end');
  }
  pauseResponse(): void {}
  resumeResponse(): void {}
  cancel(error: Parameters<ClientExchange['cancel']>[0]): void {
    this.isClosed = true;
    this.handler?.onClientClose(error);
  }
}

describe('an exchange behind a client', () => {
  const upstream = { request: requestHead('GET', '/'), client: new FakeClient().info, hasRequestBody: false };
  const listening = (heard: string[]): ClientExchangeHandler => ({
    onInterim() {},
    onResponse() {},
    onTunnel() {},
    onResponseData() {},
    onResponseEnd() {},
    onRequestDrain() {},
    onClientClose: (error) => void heard.push(error?.reason ?? 'close'),
  });

  it('says of itself what the one behind it says, once there is one', () => {
    const modular = new ModuleChain([kind('a', {})], moduleOptions()).follow(upstream, listening([]));
    assert.ok(modular !== null);
    assert.throws(() => modular.info, TypeError);
    assert.deepEqual([modular.hasResponded, modular.isClosed], [false, false]);
    const inner = new FakeClient();
    const attached = modular.attach(inner);
    for (const fact of ['isReused', 'info', 'isUnsent', 'requestBytes', 'responseBytes', 'writePendingMs'] as const)
      assert.equal(attached[fact], inner[fact], fact);
    attached.sendData(bytes('a'));
    attached.sendEnd();
    assert.deepEqual(inner.log, ['data', 'end']);
    attached.cancel(applicationError('OVER'));
  });
  it('is nothing that a module could answer by', () => {
    const heard: string[] = [];
    const answering = kind('a', {
      responseFilter: (_head, _body, exchange) => {
        assert.deepEqual([exchange.hasResponded, exchange.hasRequestBody], [true, false]);
        exchange.respond(200);
      },
    });
    const modular = new ModuleChain([answering], moduleOptions()).follow(upstream, listening(heard));
    const inner = new FakeClient();
    inner.handler = modular;
    modular?.attach(inner);
    modular?.onResponse(responseHead(200), 0);
    assert.deepEqual(heard, ['MODULE_THREW']);
  });
  it('is over without one that could be cancelled', () => {
    const heard: string[] = [];
    const modular = new ModuleChain([kind('a', {})], moduleOptions()).follow(upstream, listening(heard));
    modular?.cancel(applicationError('OVER'));
    modular?.cancel(applicationError('AGAIN'));
    assert.deepEqual([heard, modular?.isClosed], [['OVER'], true]);
  });
  for (const callback of ['onResponse', 'onResponseData', 'onResponseEnd'] as const) {
    it(`is cancelled when its handler throws from ${callback}`, async () => {
      const heard: string[] = [];
      const editing = kind('a', { responseBodyFilter: async (chunk) => chunk });
      const handler = { ...listening(heard), [callback]: broken };
      const modular = new ModuleChain([editing], moduleOptions()).follow(upstream, handler);
      assert.ok(modular !== null);
      const inner = new FakeClient();
      inner.handler = modular;
      modular.attach(inner);
      modular.onResponse(responseHead(200), -1);
      modular.onResponseData(bytes('a'));
      modular.onResponseEnd(null);
      await settle();
      assert.deepEqual(heard, ['HANDLER_THREW']);
    });
  }
});
