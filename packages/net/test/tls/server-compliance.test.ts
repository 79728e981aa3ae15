/** The streams of the TLS server, over every kind of carrier, under the tests of the stream contract. */
import { after } from 'node:test';
import { memoryPair } from '@ferrata/stream';
import { type CompliancePair, streamCompliance } from '@ferrata/testkit';
import { connectedPair } from '../pairs.ts';
import { makePki, securePair, tlsServer } from './server-rig.ts';

const pki = await makePki();
const server = tlsServer(pki);
const trust = { ca: pki.authority.certificate };
after(() => server.close());

// TLS needs more turns of the event loop than the socket below it.
async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function overTcp(): Promise<CompliancePair> {
  const { close, ...ends } = await connectedPair();
  const { client, server: secured } = await securePair(ends, server, trust);
  return { a: secured, b: client, close };
}

async function overMemory(): Promise<CompliancePair> {
  const { a, b } = memoryPair();
  const { client, server: secured } = await securePair({ client: a, server: b }, server, trust);
  return { a: secured, b: client };
}

async function inTls(): Promise<CompliancePair> {
  const { close, ...ends } = await connectedPair();
  const outer = await securePair(ends, server, trust);
  const inner = await securePair(outer, server, trust);
  return { a: inner.server, b: inner.client, close };
}

streamCompliance('TLS over TCP', overTcp, { settle, runs: 5, abortIsVisible: 'untilEnd' });
streamCompliance('TLS over a memory pair', overMemory, { settle, runs: 5 });
streamCompliance('TLS in TLS', inTls, { settle, runs: 3, abortIsVisible: 'untilEnd' });
