/** Every stream that this package makes by CONNECT or with a PROXY header keeps the stream contract, also inside one another. */
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { createProxyHeader } from '@ferrata/proxy-protocol';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type CompliancePair, streamCompliance } from '@ferrata/testkit';
import { acceptProxyPrefixed, ConnectServer, connectThrough, proxyPrefixed } from '@ferrata/tunnel';
import { AUTHORITY, clientOn, ProxyRig, VERSIONS, type Version } from './rig.ts';

for (const version of VERSIONS) {
  streamCompliance(`connectThrough over ${version}`, () => new ProxyRig(version).pair());
  streamCompliance(`ConnectServer over ${version}`, async () => {
    const { a, b, close } = await new ProxyRig(version).pair();
    return { a: b, b: a, close };
  });
}

/** A pair of streams of `inner` CONNECT, inside a pair of `outer` CONNECT. */
async function nested(outer: Version, inner: Version): Promise<CompliancePair> {
  const environment = new HttpEnvironment();
  const rig = new ProxyRig(outer, {}, environment);
  const below = await rig.pair();
  const accepted: L4Stream[] = [];
  const proxy = new ConnectServer({ environment, decide: () => true, onTunnel: (stream) => accepted.push(stream) });
  new HttpServer(proxy, { environment }).accept(below.b);
  const session = clientOn(below.a, inner, environment);
  const a = await connectThrough(session, AUTHORITY, { environment });
  return {
    a,
    b: accepted[0] as L4Stream,
    close: () => {
      session.close();
      below.close();
    },
  };
}

for (const outer of VERSIONS) {
  for (const inner of VERSIONS) {
    streamCompliance(`CONNECT over ${inner} inside CONNECT over ${outer}`, () => nested(outer, inner), { runs: 10 });
  }
}

async function prefixed(): Promise<CompliancePair> {
  const pair = memoryPair();
  const header = createProxyHeader({
    source: { kind: 'ip', host: '192.0.2.1', port: 1 },
    destination: { kind: 'ip', host: '192.0.2.2', port: 2 },
  });
  const a = proxyPrefixed(pair.a, header);
  return { a, b: await acceptProxyPrefixed(pair.b, { trusted: 'all' }) };
}

streamCompliance('proxyPrefixed', prefixed);
streamCompliance('acceptProxyPrefixed', async () => {
  const { a, b } = await prefixed();
  return { a: b, b: a };
});
