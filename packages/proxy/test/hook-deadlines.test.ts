/** Hooks that hang: their time-out ends with the request that waited for them, not when it is due. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HttpModuleKind } from '@ferrata/http-modules';
import type { AnswerableSession, ProxyHooks } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { origin, Rig, type RigOptions, settle, type Wire, when } from './rig.ts';

const gone = peer('10.0.0.9:80');
const put = 'PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n';
const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n';
const never = new Promise<never>(() => {});
const failing: RigOptions = { proxy: { maxRetries: 0 }, unreachable: gone };
const module: HttpModuleKind = { name: 'm', create: () => ({ responseFilter: () => {} }) };

/** The hooks that are waited for, and what else it takes for each to be called. */
const places: readonly (readonly [name: keyof ProxyHooks<string[]>, options: RigOptions])[] = [
  ['earlyRequestFilter', {}],
  ['requestFilter', {}],
  ['proxyUpstreamFilter', {}],
  ['upstreamPeer', {}],
  ['failToConnect', { ...failing, hooks: { upstreamPeer: () => gone } }],
  ['connectedToUpstream', {}],
  ['upstreamRequestFilter', {}],
  ['requestBodyFilter', {}],
  ['adjustUpstreamModules', { proxy: { upstreamModules: [module] } }],
  ['upstreamResponseFilter', {}],
  ['upstreamResponseBodyFilter', {}],
  ['responseFilter', {}],
  ['responseBodyFilter', {}],
  ['responseTrailerFilter', {}],
  ['failToProxy', { ...failing, hooks: { upstreamPeer: () => gone } }],
];

async function assertNothingLeft(rig: Rig, client: Wire): Promise<void> {
  const before = rig.environment.deadlines.size;
  client.reset();
  await settle();
  rig.proxy.close();
  await settle();
  assert.equal(rig.logged.length, 1);
  assert.ok(before > 0, 'there was one to be left');
  assert.equal(rig.environment.deadlines.size, 0);
}

describe('when the client goes while a hook hangs, no deadline is left', () => {
  for (const [name, options] of places) {
    test(name, async () => {
      let calls = 0;
      const rig = new Rig({
        origin: (wire) => when(wire, '0\r\n\r\n', () => wire.send(chunked)),
        ...options,
        hooks: {
          ...options.hooks,
          [name]: () => {
            calls++;
            return never;
          },
        },
      });
      const client = await rig.ask(put);
      assert.equal(calls, 1);
      await assertNothingLeft(rig, client);
    });
  }

  for (const [name, options] of places.filter(([hook]) => hook === 'responseFilter' || hook === 'failToProxy')) {
    test(`${name}, which has answered before`, async () => {
      const rig = new Rig({
        origin: (wire) => when(wire, '0\r\n\r\n', () => wire.send(chunked)),
        ...options,
        hooks: {
          ...options.hooks,
          [name]: (session: AnswerableSession) => {
            session.respond(204);
            return never;
          },
        },
      });
      const client = await rig.ask(put);
      assert.match(client.text, /^HTTP\/1\.1 204 /);
      await assertNothingLeft(rig, client);
    });
  }

  test('upstreamPeer of a second try beside the first', async () => {
    const rig = new Rig({
      proxy: { hedgeAfterMs: 100 },
      origin: () => {},
      hooks: { upstreamPeer: (session) => (session.attempt === 1 ? origin : never) },
    });
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    await rig.pass(100);
    await assertNothingLeft(rig, client);
  });
});
