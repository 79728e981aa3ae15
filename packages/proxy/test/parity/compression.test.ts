/** Behaviours B35 and B36 of Pingora's tests: compression as a module of the upstream's side, and of the client's. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { compression } from '@ferrata/http-modules';
import type { HttpProxyOptions } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { type Answer, ask, runOrigin, runProxy } from './socket-rig.ts';

const text = 'B'.repeat(32);
const kind = compression({ minBytes: 20, levels: { gzip: 6 } });

async function answerWith(proxyOptions: Omit<HttpProxyOptions, 'environment'>, seen: string[] = []): Promise<Answer> {
  await using origin = await runOrigin(
    createServer((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/plain', 'content-length': text.length }).end(text);
    }),
  );
  await using proxy = await runProxy({
    to: peer(`127.0.0.1:${origin.port}`),
    proxy: proxyOptions,
    hooks: { responseFilter: (_session, response) => void seen.push(response.headers.get('content-encoding') ?? 'plain') },
  });
  return await ask({ port: proxy.port, headers: { 'accept-encoding': 'gzip' } });
}

describe('compression of 32 bytes of text', () => {
  test('#B35 on the side of the upstream: gzip, shorter, and the same when decoded; hooks see it compressed', async () => {
    const seen: string[] = [];
    const { headers, body } = await answerWith({ upstreamModules: [kind] }, seen);
    assert.equal(headers['content-encoding'], 'gzip');
    assert.ok(body.length < text.length, `${body.length} bytes`);
    assert.equal(gunzipSync(body).toString(), text);
    assert.deepEqual(seen, ['gzip']);
  });

  test('#B36 on the side of the client: the same, and hooks see it plain', async () => {
    const seen: string[] = [];
    const { headers, body } = await answerWith({ modules: [kind] }, seen);
    assert.equal(headers['content-encoding'], 'gzip');
    assert.ok(body.length < text.length, `${body.length} bytes`);
    assert.equal(gunzipSync(body).toString(), text);
    assert.deepEqual(seen, ['plain']);
  });
});
