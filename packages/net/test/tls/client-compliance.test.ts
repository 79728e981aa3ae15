/** The streams of the TLS client, over every kind of carrier and with Node's server as the other end, too, under the tests of the stream contract. */
import { after } from 'node:test';
import { type L4Stream, memoryPair } from '@ferrata/stream';
import { type CompliancePair, streamCompliance } from '@ferrata/testkit';
import { connectTls, TlsClient } from '../../src/tls/tls-client.ts';
import { acceptTls, TlsServer } from '../../src/tls/tls-server.ts';
import { connectedPair, temporaryDirectory } from '../pairs.ts';
import { makeClientPki } from './client-rig.ts';

const pki = await makeClientPki();
const server = new TlsServer({ certificates: [{ certificate: pki.leaf.chain, key: pki.leaf.key }] });
const client = new TlsClient({ ...pki.trust, serverName: 'localhost' });
after(() => server.close());

// TLS needs more turns of the event loop than the socket below it.
async function settle(): Promise<void> {
  for (let turn = 0; turn < 60; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function secured(ends: { client: L4Stream; server: L4Stream }): Promise<{ client: L4Stream; server: L4Stream }> {
  const accepted = acceptTls(ends.server, server);
  return { client: await connectTls(ends.client, client), server: await accepted };
}

async function overTcp(): Promise<CompliancePair> {
  const { close, ...ends } = await connectedPair();
  const both = await secured(ends);
  return { a: both.client, b: both.server, close };
}

async function overUnix(): Promise<CompliancePair> {
  const directory = temporaryDirectory();
  const { close, ...ends } = await connectedPair({ path: directory.file('s') });
  const both = await secured(ends);
  return { a: both.client, b: both.server, close: () => close().then(() => directory[Symbol.dispose]()) };
}

async function overMemory(): Promise<CompliancePair> {
  const { a, b } = memoryPair();
  const both = await secured({ client: a, server: b });
  return { a: both.client, b: both.server };
}

async function inTls(): Promise<CompliancePair> {
  const { close, ...ends } = await connectedPair();
  const inner = await secured(await secured(ends));
  return { a: inner.client, b: inner.server, close };
}

streamCompliance('TLS client over TCP', overTcp, { settle, runs: 5, abortIsVisible: 'untilEnd' });
streamCompliance('TLS client over a Unix socket', overUnix, { settle, runs: 3, abortIsVisible: false });
streamCompliance('TLS client over a memory pair', overMemory, { settle, runs: 5 });
streamCompliance('TLS client in TLS', inTls, { settle, runs: 3, abortIsVisible: 'untilEnd' });
