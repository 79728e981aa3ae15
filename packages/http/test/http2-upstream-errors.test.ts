/** What a fault of a server over HTTP/2 means for whoever asked through us: 502, whatever the codecs call it (RFC 9110 §15.6.3). */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { applicationError, internalError, protocolError } from '@ferrata/error';
import { FrameType, Http2ErrorCode, writeUnknownFrame } from '@ferrata/http2-framing';
import { asUpstreamError } from '../src/internal/upstream-error.ts';
import { Http2ClientRig } from './http2-rig.ts';
import { ClientFollower } from './rig.ts';

it('a stream that is reset for a frame which either role may get wrong is told as 502 of the server, with its cause', async () => {
  const rig = await new Http2ClientRig().hello();
  const follower = new ClientFollower();
  rig.ask(follower);
  await rig.advance(0);
  // PRIORITY of 4 bytes: an error of the stream that it names (RFC 9113 §6.3).
  await rig.server.say((writer) => writeUnknownFrame(writer, { type: FrameType.priority, streamId: 1, payload: new Uint8Array(4) }));
  const [error] = follower.closes;
  assert.ok(error);
  assert.deepEqual([error.reason, error.status, error.source], ['H2_PRIORITY_INVALID', 502, 'upstream']);
  assert.equal(error.wire.http2Code, Http2ErrorCode.frameSizeError);
  assert.equal(rig.server.heard(1).reset, 'FRAME_SIZE_ERROR');
  assert.equal(rig.session.isReusable, true);
});

it('a status of 4xx becomes 502 in a copy that keeps everything else; one of 5xx stays, and a bug of ours is none of the server', () => {
  const ofCodec = protocolError('TEST_FIELD', 'wrong', { retry: 'ifReused', wire: { http2Code: 1, status: 400 } });
  const told = asUpstreamError(ofCodec);
  assert.deepEqual([told.type, told.reason, told.status, told.retry, told.source], ['protocol', 'TEST_FIELD', 502, 'ifReused', 'upstream']);
  assert.deepEqual([told.wire.http2Code, told.cause, ofCodec.status], [1, ofCodec, 400]);
  const late = protocolError('TEST_LATE', 'late', { wire: { status: 504 } });
  assert.equal(asUpstreamError(late), late);
  assert.deepEqual([late.status, late.source], [504, 'upstream']);
  const bug = internalError('TEST_BUG', 'ours');
  assert.equal(asUpstreamError(bug), bug);
  assert.equal(bug.source, 'internal');
  assert.equal(asUpstreamError(applicationError('TEST_ODD', 'odd', { wire: { status: 600 } })).status, 502);
});
