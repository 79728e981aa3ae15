import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { writeCertificates } from '../proxy/certificates.ts';
import { chooseContenders } from '../proxy/contenders.ts';
import { ADDED_FIELD, REFUSED_PATH } from '../proxy/matrix/programs/hook-work.ts';
import { ferrataHooks, haproxy, httpProxy3, nginx } from '../proxy/matrix/proxies.ts';
import { expectBody, probe } from '../proxy/probe.ts';
import { withProcesses } from '../proxy/processes.ts';

const skip = process.platform === 'linux' ? false : 'the benches end their processes by way of /proc, which only Linux has';
const BODY_BYTES = 2 ** 20;
/** What the latest request said of the client. */
let forwarded: { readonly for: unknown; readonly proto: unknown; readonly host: unknown } | null = null;
/** An origin that answers every path N with N bytes. */
const origin = createServer((request, response) => {
  const { 'x-forwarded-for': client, 'x-forwarded-proto': proto, 'x-forwarded-host': host } = request.headers;
  forwarded = { for: client, proto, host };
  const bytes = Number(request.url?.slice(1));
  response.writeHead(200, { 'content-length': bytes }).end(Buffer.alloc(bytes, 'x'));
});

before(() => new Promise<void>((resolve) => void origin.listen(0, '127.0.0.1', resolve)));
after(() => void origin.close());

function originUrl(): string {
  return `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
}

for (const contender of chooseContenders([
  'http-proxy',
  'http-proxy-3',
  'fast-proxy',
  'fastify-http-proxy',
  'node-http',
  'raw-net',
  'undici',
])) {
  test(`the baseline ${contender.name} passes small and large bodies on, whole`, { skip }, async () => {
    await withProcesses(async (processes) => {
      const proxy = await contender.start({ processes, to: originUrl(), cores: null, openFiles: 1024 });
      await expectBody(`${proxy.url}/100`, 100);
      await expectBody(`${proxy.url}/${BODY_BYTES}`, BODY_BYTES);
      await assert.rejects(expectBody(`${proxy.url}/100`, 99), /with 100 bytes instead of 200 with 99/);
      assert.equal((await probe(`${proxy.url}/0`)).status, 200);
      await proxy.process.stop();
      assert.notEqual(proxy.process.exitStatus, null);
    });
  });
}

test('http-proxy-3 passes on what comes over TLS', { skip }, async () => {
  await withProcesses(async (processes) => {
    const certificates = processes.makeFolder('certificates');
    await writeCertificates(certificates);
    const proxy = await httpProxy3('tls').start({ processes, to: originUrl(), cores: null, openFiles: 1024, certificates });
    assert.match(proxy.url, /^https:/);
    await expectBody(`${proxy.url}/100`, 100);
  });
});

test('the proxy with hooks does what its peers are told to do: a path that is refused, fields for the origin, a field of the answer', {
  skip,
}, async () => {
  await withProcesses(async (processes) => {
    const certificates = processes.makeFolder('certificates');
    await writeCertificates(certificates);
    const peers = [ferrataHooks(), nginx('plain', { hasHooks: true }), haproxy('plain', { hasHooks: true })];
    for (const contender of peers.filter((one) => one.missing() === null)) {
      const proxy = await contender.start({ processes, to: originUrl(), cores: null, openFiles: 1024, certificates });
      await expectBody(`${proxy.url}/${BODY_BYTES}`, BODY_BYTES);
      const refused = await fetch(`${proxy.url}${REFUSED_PATH}`, { headers: { Connection: 'close' } });
      await refused.bytes();
      assert.equal(refused.status, 403, contender.name);
      const answer = await fetch(`${proxy.url}/1`, { headers: { Connection: 'close' } });
      await answer.bytes();
      assert.equal(answer.headers.get(ADDED_FIELD.name), ADDED_FIELD.value, contender.name);
      assert.deepEqual(forwarded, { for: '127.0.0.1', proto: 'http', host: new URL(proxy.url).host }, contender.name);
      await proxy.process.stop();
    }
  });
});

test('a proxy that ends before it is ready is reported with its last words', { skip }, async () => {
  await withProcesses(async (processes) => {
    const [contender] = chooseContenders(['node-http']);
    const start = contender?.start({ processes, to: 'not a url', cores: null, openFiles: 1024 });
    await assert.rejects(Promise.resolve(start), /node-http ended with 1:[^]*Invalid URL/);
  });
});
