import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type ClientSession, HttpEnvironment } from '@ferrata/http';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import { openConnection } from '../src/open-connection.ts';

test('a request that is given up in the very bytes that brought it costs no connection (CVE-2023-44487)', async () => {
  const environment = new HttpEnvironment();
  let opened = 0;
  const connector = new UpstreamConnector({
    environment,
    connect: async () => {
      opened++;
      throw new Error('nobody there');
    },
  });
  const ask = (): { readonly asked: AbortController; readonly over: Promise<ClientSession | null> } => {
    const { promise, resolve } = Promise.withResolvers<ClientSession | null>();
    const wanted = { peer: peer('10.0.0.1:80'), except: null };
    return { asked: openConnection({ connector, environment }, wanted, (session) => resolve(session)), over: promise };
  };
  const given = ask();
  given.asked.abort();
  assert.equal(await given.over, null);
  assert.equal(opened, 0);
  assert.equal(await ask().over, null);
  assert.equal(opened, 1);
});
