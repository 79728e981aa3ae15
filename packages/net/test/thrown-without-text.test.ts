/** Callbacks that throw what has no text form (`Object.create(null)`): the connection ends, the process lives. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { isWireError, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from '@ferrata/stream';
import { connect, listen, type TlsClientOptions } from '../src/index.ts';
import { connectedPair } from './pairs.ts';

const TEXT = 'a value without a text form';

function throwMute(): never {
  throw Object.create(null);
}

const quiet: L4Sink = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };

test('a sink that throws in onData ends its stream', { timeout: 10_000 }, async () => {
  const { client, server, close } = await connectedPair();
  const closed = Promise.withResolvers<WireError | null>();
  server.attach({ ...quiet, onData: throwMute, onClose: closed.resolve });
  client.attach(quiet);
  client.write(Uint8Array.of(1));
  const error = await closed.promise;
  assert.equal(error?.reason, 'SINK_THREW');
  assert.match(error.message, new RegExp(TEXT));
  client.abort();
  await close();
});

test('a sink that throws in onClose is shown as a warning', { timeout: 10_000 }, async () => {
  const { client, server, close } = await connectedPair();
  const warned = once(process, 'warning');
  client.attach(quiet);
  server.attach({ ...quiet, onClose: throwMute });
  server.abort();
  const [warning] = (await warned) as [Error];
  assert.equal(warning.message, TEXT);
  client.abort();
  await close();
});

test('callbacks of a TLS handshake: it fails, or goes on where they only look', { timeout: 10_000 }, async () => {
  const authority = await createAuthority();
  const { chain, key } = await authority.issue({ names: ['localhost'] });
  const certificates = [{ certificate: chain, key }];
  const good: TlsClientOptions = { serverName: 'localhost', ca: authority.certificate };
  const cases: readonly (readonly [server: object, client: object, reason: string | null])[] = [
    [{ certificates, handshakeComplete: throwMute }, {}, null],
    [{ certificates, keyLog: throwMute, onError: throwMute }, {}, null],
    [{ certificates, certificateFor: throwMute }, {}, 'TLS_HANDSHAKE_CUT'],
    [{ certificates }, { handshakeComplete: throwMute }, 'TLS_REFUSED'],
    [{ certificates }, { keyLog: throwMute }, null],
  ];
  for (const [server, client, reason] of cases) {
    const servers: L4Stream[] = [];
    const listener = await listen({ address: '127.0.0.1:0', tls: server, onHandshakeFailed: throwMute }, (stream) => {
      stream.attach(quiet);
      servers.push(stream);
    });
    const outcome = await connect(listener.address, { tls: { ...good, ...client } }).catch((error: unknown) => error);
    assert.equal(isWireError(outcome) ? outcome.reason : null, reason, String(outcome));
    if (!isWireError(outcome)) (outcome as L4Stream).abort();
    for (const stream of servers) stream.abort();
    await listener.close();
  }
});
