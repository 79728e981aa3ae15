/** PROXY headers on streams of any kind. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createProxyHeader } from '@ferrata/proxy-protocol';
import { memoryPair } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { acceptProxyPrefixed, proxyPrefixed } from '@ferrata/tunnel';
import { bytes, ProxyRig, reasonOf, settle, VERSIONS } from './rig.ts';

const source = { kind: 'ip', host: '192.0.2.7', port: 40_000 } as const;
const destination = { kind: 'ip', host: '198.51.100.1', port: 443 } as const;

describe('a stream with a PROXY header in front', () => {
  for (const version of [1, 2] as const) {
    it(`tells who is behind it, in version ${version}, and then carries what it is given`, async () => {
      const { a, b } = memoryPair();
      const header = createProxyHeader({ source, destination, version });
      assert.equal(proxyPrefixed(a, header), a);
      a.write(bytes('hello'));
      const stream = await acceptProxyPrefixed(b, { trusted: 'all' });
      assert.deepEqual(stream.info.remoteAddress, source);
      assert.deepEqual(stream.info.localAddress, destination);
      assert.equal(stream.info.proxyHeader?.version, version);
      const sink = new RecordingSink();
      stream.attach(sink);
      await sink.untilBytes(5);
      assert.equal(sink.text(), 'hello');
    });
  }

  it('goes through a tunnel like any other', async () => {
    for (const version of VERSIONS) {
      const rig = new ProxyRig(version);
      const { a, b } = await rig.pair();
      proxyPrefixed(a, createProxyHeader({ source, destination }), { checksum: true });
      a.write(bytes('inside'));
      const stream = await acceptProxyPrefixed(b, { trusted: 'all' });
      assert.deepEqual(stream.info.remoteAddress, source);
      const sink = new RecordingSink();
      stream.attach(sink);
      await sink.untilBytes(6);
      rig.close();
    }
  });

  it('is refused without a header, and from whom nobody trusts; the stream is gone then', async () => {
    const plain = memoryPair();
    plain.a.write(bytes('GET / HTTP/1.1\r\n\r\n'));
    assert.match(await reasonOf(acceptProxyPrefixed(plain.b, { trusted: 'all' })), /^PROXY_/);
    const stranger = memoryPair();
    proxyPrefixed(stranger.a, createProxyHeader({ source, destination }));
    assert.equal(await reasonOf(acceptProxyPrefixed(stranger.b, { trusted: ['192.0.2.0/24'] })), 'PROXY_UNTRUSTED_SOURCE');
    await settle();
    assert.deepEqual([plain.b.state, stranger.b.state], ['closed', 'closed']);
    await assert.rejects(acceptProxyPrefixed(memoryPair().b, {} as never), TypeError);
  });

  it('is left as it was by a header that cannot be written', async () => {
    const { a, b } = memoryPair();
    const sink = new RecordingSink();
    b.attach(sink);
    const header = { ...createProxyHeader({ source, destination, version: 1 }), source: { ...source, host: 'no address' } };
    assert.throws(
      () => proxyPrefixed(a, header),
      (error) => error instanceof TypeError || error instanceof RangeError,
    );
    await settle();
    assert.equal(sink.byteLength, 0);
    assert.equal(a.state, 'open');
  });
});
