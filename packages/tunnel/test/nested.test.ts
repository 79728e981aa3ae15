/** Tunnels inside tunnels, and TLS inside and outside of them: each layer knows only of the stream below it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { acceptTls, connectTls, TlsClient, TlsServer } from '@ferrata/net';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { firstMisplacedByte, positionalBytes, RecordingSink } from '@ferrata/testkit';
import { ConnectServer, connectRequestOf, connectThrough } from '@ferrata/tunnel';
import { clientOn, VERSIONS, type Version } from './rig.ts';

interface Pair {
  readonly a: L4Stream;
  readonly b: L4Stream;
}

describe('TLS in CONNECT in CONNECT in TLS', () => {
  let server: TlsServer;
  let client: TlsClient;
  const environment = new HttpEnvironment();

  before(async () => {
    const authority = await createAuthority();
    const { chain, key } = await authority.issue({ names: ['layer.example'] });
    server = new TlsServer({ certificates: [{ certificate: chain, key }] });
    client = new TlsClient({ ca: authority.certificate });
  });
  after(() => server.close());

  async function secure(below: Pair): Promise<Pair> {
    const [a, b] = await Promise.all([connectTls(below.a, client, { serverName: 'layer.example' }), acceptTls(below.b, server)]);
    return { a, b };
  }

  async function tunnel(below: Pair, version: Version, authority: string): Promise<Pair> {
    const accepted: L4Stream[] = [];
    const proxy = new ConnectServer({ environment, decide: () => true, onTunnel: (stream) => accepted.push(stream) });
    new HttpServer(proxy, { environment }).accept(below.b);
    const a = await connectThrough(clientOn(below.a, version, environment), authority, { environment });
    return { a, b: accepted[0] as L4Stream };
  }

  for (const outer of VERSIONS) {
    for (const inner of VERSIONS) {
      it(`carries bytes both ways, ends and resets: ${inner} in ${outer}`, async () => {
        const secured = await secure(memoryPair());
        const first = await tunnel(secured, outer, 'first.example:443');
        const second = await tunnel(first, inner, 'second.example:443');
        const { a, b } = await secure(second);
        assert.equal(connectRequestOf(b.info)?.authority.host, 'second.example');
        const kinds: string[] = [];
        for (let info: typeof b.info | null = b.info; info !== null; info = info.below) kinds.push(info.kind);
        assert.deepEqual(
          kinds.filter((kind) => kind === 'tls' || kind === 'connect' || kind === 'memory'),
          ['tls', 'connect', 'connect', 'tls', 'memory'],
        );

        const sinks = { a: new RecordingSink(), b: new RecordingSink() };
        a.attach(sinks.a);
        b.attach(sinks.b);
        a.write(positionalBytes(300_000, 1));
        b.write(positionalBytes(200_000, 2));
        a.end();
        await sinks.b.untilEnd();
        await sinks.a.untilBytes(200_000);
        assert.equal(sinks.b.byteLength, 300_000);
        assert.equal(firstMisplacedByte(sinks.b.bytes(), 1), -1);
        assert.equal(firstMisplacedByte(sinks.a.bytes(), 2), -1);
        b.end();
        await Promise.all([sinks.a.untilClose(), sinks.b.untilClose()]);
        assert.deepEqual([sinks.a.closeError, sinks.b.closeError], [null, null]);
        secured.a.abort();
      });

      it(`tells all layers of a cut below: ${inner} in ${outer}`, async () => {
        const bottom = memoryPair();
        const secured = await secure(bottom);
        const second = await tunnel(await tunnel(secured, outer, 'first.example:443'), inner, 'second.example:443');
        const { a, b } = await secure(second);
        const sinks = [new RecordingSink(), new RecordingSink()] as const;
        a.attach(sinks[0]);
        b.attach(sinks[1]);
        secured.a.abort();
        for (const sink of sinks) {
          await sink.untilClose();
          assert.notEqual(sink.closeError, null);
        }
      });
    }
  }
});
