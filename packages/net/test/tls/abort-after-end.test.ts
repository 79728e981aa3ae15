/** An abort that follows an end whose bytes are still on their way: both ends must hear of the close, and no descriptor may be left. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ioError } from '@ferrata/error';
import { RecordingSink } from '@ferrata/testkit';
import { connectTls, TlsClient } from '../../src/tls/tls-client.ts';
import { acceptTls, TlsServer } from '../../src/tls/tls-server.ts';
import { connectedPair } from '../pairs.ts';
import { makeClientPki } from './client-rig.ts';

const pki = await makeClientPki();
const server = new TlsServer({ certificates: [{ certificate: pki.leaf.chain, key: pki.leaf.key }] });
const client = new TlsClient({ ...pki.trust, serverName: 'localhost' });
after(() => server.close());

test('a stream that is aborted right after its end is closed, at both ends', { timeout: 60_000 }, async () => {
  for (let run = 0; run < 60; run++) {
    const { close, ...ends } = await connectedPair();
    const accepted = acceptTls(ends.server, server);
    const a = await connectTls(ends.client, client);
    const b = await accepted;
    const [sinkA, sinkB] = [new RecordingSink(), new RecordingSink()];
    a.attach(sinkA);
    b.attach(sinkB);
    a.write(new Uint8Array(1 + 700 * (run % 30)));
    a.end();
    a.abort(ioError('TEST_ABORT', 'given up'));
    await sinkA.untilClose();
    // Whatever came first, the end or the reset: writing finds out.
    while (!sinkB.isClosed) {
      if (b.state === 'peerEnded') b.write(Uint8Array.of(1));
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    assert.equal(sinkA.closeError?.reason, 'TEST_ABORT');
    await close();
  }
});
