import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { chooseContenders } from '../proxy/contenders.ts';
import { expectBody, probe } from '../proxy/probe.ts';
import { withProcesses } from '../proxy/processes.ts';

const skip = process.platform === 'linux' ? false : 'the benches end their processes by way of /proc, which only Linux has';
const BODY_BYTES = 2 ** 20;
/** An origin that answers every path N with N bytes. */
const origin = createServer((request, response) => {
  const bytes = Number(request.url?.slice(1));
  response.writeHead(200, { 'content-length': bytes }).end(Buffer.alloc(bytes, 'x'));
});

before(() => new Promise<void>((resolve) => void origin.listen(0, '127.0.0.1', resolve)));
after(() => void origin.close());

for (const contender of chooseContenders(['http-proxy', 'fast-proxy', 'fastify-http-proxy', 'node-http', 'raw-net', 'undici'])) {
  test(`the baseline ${contender.name} passes small and large bodies on, whole`, { skip }, async () => {
    await withProcesses(async (processes) => {
      const to = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
      const proxy = await contender.start({ processes, to, cores: null, openFiles: 1024 });
      await expectBody(`${proxy.url}/100`, 100);
      await expectBody(`${proxy.url}/${BODY_BYTES}`, BODY_BYTES);
      await assert.rejects(expectBody(`${proxy.url}/100`, 99), /with 100 bytes instead of 200 with 99/);
      assert.equal((await probe(`${proxy.url}/0`)).status, 200);
      await proxy.process.stop();
      assert.notEqual(proxy.process.exitStatus, null);
    });
  });
}

test('a proxy that ends before it is ready is reported with its last words', { skip }, async () => {
  await withProcesses(async (processes) => {
    const [contender] = chooseContenders(['node-http']);
    const start = contender?.start({ processes, to: 'not a url', cores: null, openFiles: 1024 });
    await assert.rejects(Promise.resolve(start), /node-http ended with 1:[^]*Invalid URL/);
  });
});
