/** Pieces of a response's body that others than the client have: their memory is not freed when a socket has sent them. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { describe, test } from 'node:test';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import type { HttpModuleKind } from '@ferrata/http-modules';
import { listen } from '@ferrata/net';
import { HttpProxy, type HttpProxyOptions, type ProxyHooks } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';

const length = 400_000;

async function ask(options: Omit<HttpProxyOptions, 'environment'>, hooks: Partial<ProxyHooks<null>>, times: number): Promise<string[]> {
  const origin = createServer((_request, response) => response.end('x'.repeat(length)));
  await new Promise<void>((resolve) => void origin.listen(0, '127.0.0.1', resolve));
  const address = origin.address();
  assert.ok(address !== null && typeof address === 'object');
  const to = peer(`127.0.0.1:${address.port}`);
  const environment = new HttpEnvironment();
  const proxy = new HttpProxy<null>({ newContext: () => null, upstreamPeer: () => to, ...hooks }, { ...options, environment });
  const server = new HttpServer(proxy, { environment });
  const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
  assert.ok(listener.address.kind === 'ip');
  const bodies: string[] = [];
  for (let time = 0; time < times; time++) {
    const response = await fetch(`http://127.0.0.1:${listener.address.port}/`, { headers: { Connection: 'close' } });
    bodies.push(await response.text());
  }
  await listener.close();
  server.close();
  proxy.close();
  origin.closeAllConnections();
  await new Promise((resolve) => origin.close(resolve));
  return bodies;
}

describe('a piece of a body is not freed behind the back of', () => {
  for (const place of ['modules', 'upstreamModules'] as const)
    test(`${place}, one of which keeps it`, async () => {
      const kept: Uint8Array[] = [];
      const kind: HttpModuleKind = {
        name: 'keeper',
        create: () => ({
          responseBodyFilter: (chunk) => {
            if (chunk !== null) kept.push(chunk);
            return chunk;
          },
        }),
      };
      const bodies = await ask({ [place]: [kind] }, {}, 1);
      assert.equal(bodies[0]?.length, length);
      assert.equal(
        kept.reduce((sum, piece) => sum + piece.length, 0),
        length,
        'all that was kept is still there',
      );
    });

  test('whoever made a subrequest', async () => {
    const kept: Uint8Array[] = [];
    const bodies = await ask(
      {},
      {
        requestFilter: async (session) => {
          if (session.isSubrequest) return false;
          await session.respondBy(
            {},
            {
              filter: (task) => {
                if (task.kind === 'data') kept.push(task.chunk);
                return task;
              },
            },
          );
          return true;
        },
      },
      1,
    );
    assert.equal(bodies[0]?.length, length);
    assert.equal(
      kept.reduce((sum, piece) => sum + piece.length, 0),
      length,
    );
  });
});
