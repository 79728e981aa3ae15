import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { after, before, test } from 'node:test';
import { connect } from 'node:tls';
import { expectHttp2Answer } from '../http2/probe.ts';
import { writeCertificates } from '../proxy/certificates.ts';
import { chooseContenders } from '../proxy/contenders.ts';
import { ADDED_FIELD, REFUSED_PATH } from '../proxy/matrix/programs/hook-work.ts';
import { ferrataHooks, haproxy, httpProxy3, type MatrixProxy, nginx } from '../proxy/matrix/proxies.ts';
import { MATRIX, type MatrixScenario } from '../proxy/matrix/scenarios.ts';
import { expectBody, probe } from '../proxy/probe.ts';
import { withProcesses } from '../proxy/processes.ts';

const skip = process.platform === 'linux' ? false : 'the benches end their processes by way of /proc, which only Linux has';
const BODY_BYTES = 2 ** 20;
/** What the latest request said of the client. */
let forwarded: { readonly for: unknown; readonly proto: unknown; readonly host: unknown } | null = null;

function answer(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const { 'x-forwarded-for': client, 'x-forwarded-proto': proto, 'x-forwarded-host': host } = request.headers;
  forwarded = { for: client, proto, host };
  const bytes = Number(request.url?.slice(1));
  response.setHeader('content-length', bytes);
  (response as Writable).end(Buffer.alloc(bytes, 'x'));
}

/** Origins that answer every path N with N bytes. */
const origin = createServer(answer);
const http2Origin = createHttp2Server(answer);
const origins = [origin, http2Origin];

before(async () => {
  for (const one of origins) await new Promise<void>((resolve) => void one.listen(0, '127.0.0.1', resolve));
});
after(() => {
  for (const one of origins) one.close();
});

function originUrl(one: Pick<typeof origin | typeof http2Origin, 'address'> = origin): string {
  return `http://127.0.0.1:${(one.address() as AddressInfo).port}`;
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

/** Starts each proxy of a scenario that is installed here, in turn. */
async function eachOf(
  { name, contenders, load, origin: kind }: MatrixScenario,
  use: (proxy: MatrixProxy, name: string) => Promise<void>,
): Promise<void> {
  await withProcesses(async (processes) => {
    const certificates = processes.makeFolder('certificates');
    await writeCertificates(certificates);
    const to = originUrl(kind === 'http1' ? origin : http2Origin);
    for (const contender of contenders.filter((one) => one.missing() === null)) {
      const proxy = await contender.start({ processes, to, cores: null, openFiles: 1024, certificates });
      if (load.kind === 'http1') await expectBody(`${proxy.url}/100`, 100);
      else await expectHttp2Answer(`${proxy.url}/100`, { bytes: 100 });
      await use(proxy, `${contender.name} of ${name}`);
      await proxy.process.stop();
    }
  });
}

/** What a client over TLS agrees on with a proxy. The curve is not in it: it costs something once a connection. */
async function agreedWith({ hostname, port }: URL): Promise<string> {
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'] });
  await new Promise<void>((resolve, reject) => void socket.once('secureConnect', resolve).once('error', reject));
  const agreed = `${socket.getProtocol()} ${socket.getCipher().standardName}`;
  socket.destroy();
  return agreed;
}

for (const scenario of MATRIX) {
  // The origin of gRPC answers its own path alone, and its proxies are those of h2c-h2c.
  if (scenario.name === 'grpc-unary') continue;
  test(`the proxies of ${scenario.name} tell the origin the same of the client, and encrypt alike`, { skip }, async () => {
    const agreed = new Map<string, string>();
    await eachOf(scenario, async (proxy, name) => {
      const url = new URL(proxy.url);
      // nghttpx has no field for the host.
      const { host, ...rest } = forwarded ?? {};
      assert.deepEqual(rest, { for: '127.0.0.1', proto: url.protocol.slice(0, -1) }, name);
      if (!name.startsWith('nghttpx ')) assert.equal(host, url.host, name);
      if (url.protocol === 'https:') agreed.set(name, await agreedWith(url));
    });
    assert.ok(new Set(agreed.values()).size <= 1, JSON.stringify(Object.fromEntries(agreed)));
    for (const one of agreed.values()) assert.match(one, /^TLSv1\.3 TLS_AES_/);
  });
}

test('a proxy that ends before it is ready is reported with its last words', { skip }, async () => {
  await withProcesses(async (processes) => {
    const [contender] = chooseContenders(['node-http']);
    const start = contender?.start({ processes, to: 'not a url', cores: null, openFiles: 1024 });
    await assert.rejects(Promise.resolve(start), /node-http ended with 1:[^]*Invalid URL/);
  });
});
