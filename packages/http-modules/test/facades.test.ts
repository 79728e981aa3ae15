/** What an exchange behind modules says of itself, and what becomes of a handler's throws at each moment. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestHead, responseHead } from '@ferrata/headers';
import type { ServerExchangeHandler } from '@ferrata/http';
import { ModuleChain, type ModuleExchange } from '@ferrata/http-modules';
import { bytes, FakeExchange, ignoring, kind, moduleOptions, serve, settle } from './rig.ts';

const broken = (): never => {
  throw new Error('broken');
};

describe('an exchange in front of an application', () => {
  it('says of itself what the one behind it says', () => {
    const exchange = new FakeExchange();
    const modular = serve(exchange, [kind('a', {})]);
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
      const modular = serve(exchange, [kind('a', { requestBodyFilter: async (chunk) => chunk })]);
      modular.follow({ ...ignoring, ...part });
      await modular.filterRequest();
      modular.onRequestData(bytes('a'));
      modular.onRequestEnd(null);
      await settle();
      assert.equal(exchange.error?.reason, 'HANDLER_THREW');
    });
  }
  it('ends when its handler throws as it is told to go on', async () => {
    const exchange = new FakeExchange();
    const modular = serve(exchange, [kind('a', { responseBodyFilter: async (chunk) => chunk })]);
    modular.follow({ ...ignoring, onResponseDrain: broken });
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
      const modular = serve(exchange, [kind('a', { responseBodyFilter: (chunk) => chunk })]);
      modular.follow(ignoring);
      await modular.filterRequest();
      modular.sendHead(responseHead(200), -1);
      modular.sendData(bytes('a'));
      modular.sendEnd();
      assert.equal(exchange.error?.reason, moment === 'a head' ? 'RESPONSE_INVALID' : 'MODULE_THREW');
    });
  }
});
