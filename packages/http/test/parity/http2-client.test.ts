/** What a client of HTTP/2 does when its server gives no window, numbered as in docs/parity.md (#215). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BodyLength } from '@ferrata/http1';
import { SettingId } from '@ferrata/http2-framing';
import { Http2ClientRig } from '../http2-rig.ts';
import { ClientFollower } from '../rig.ts';

describe('parity: a request over HTTP/2', () => {
  it('#215 a server that opens one byte and no more is given up in the time of a stall, one that opens in time is not', async () => {
    for (const isOpened of [false, true]) {
      const rig = new Http2ClientRig({ connection: { stallTimeoutMs: 100 } });
      await rig.hello([[SettingId.initialWindowSize, 1]]);
      rig.server.givesCredit = false;
      const follower = new ClientFollower();
      const exchange = rig.ask(follower, { method: 'POST', bodyLength: BodyLength.chunked });
      exchange.sendData(new Uint8Array(1_000));
      exchange.sendEnd();
      await rig.advance(50);
      assert.equal(rig.server.heard(1).body, 1);
      if (isOpened) await rig.server.credit(1, 999);
      // Looked at once a second.
      await rig.advance(1_100);
      await rig.advance(1_100);
      const { body, reset } = rig.server.heard(1);
      if (isOpened) {
        assert.deepEqual([follower.closes, body, reset], [[], 1_000, null]);
      } else {
        assert.deepEqual([follower.closes[0]?.type, follower.closes[0]?.source, body], ['timeout', 'upstream', 1]);
        assert.notEqual(reset, null);
      }
    }
  });
});
