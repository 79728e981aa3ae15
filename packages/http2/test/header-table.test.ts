/** Our SETTINGS_HEADER_TABLE_SIZE where it is not the default: it holds from its acknowledgement on (RFC 7541 §4.2, RFC 9113 §6.5.3). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { HpackEncoder, Indexing } from '@ferrata/hpack';
import { type Http2Options, Role } from '@ferrata/http2';
import { CLIENT_PREFACE, writeHeaders, writeSettings, writeSettingsAck } from '@ferrata/http2-framing';
import { GET, RawPeer } from './raw-peer.ts';

/** Fields of some 6 kB in the table: more than 4 096, less than 8 192. */
const MANY: readonly (readonly [string, string])[] = Array.from({ length: 12 }, (_, at) => [`x-field-${at}`, String(at % 10).repeat(450)]);

/** A client that uses a table of `tableBytes`, and acknowledges our SETTINGS if it is told to. */
function client(tableBytes: number, options: Http2Options, acknowledges = true) {
  const peer = new RawPeer(Role.server, options, true);
  peer.writer.writeBytes(CLIENT_PREFACE);
  writeSettings(peer.writer, []);
  if (acknowledges) writeSettingsAck(peer.writer);
  peer.flush();
  const encoder = new HpackEncoder({ maxTableBytes: tableBytes });
  encoder.setPeerTableBytes(tableBytes);
  const ask = (id: number): number => {
    const block = new ByteWriter();
    encoder.beginBlock(block);
    for (const [name, value] of GET) encoder.writeField(block, name, value, Indexing.automatic);
    for (const [name, value] of MANY) encoder.writeField(block, name, value, Indexing.incremental);
    const bytes = block.take();
    peer.write((w) => writeHeaders(w, id, bytes, { isEndStream: true })).flush();
    return bytes.length;
  };
  return { peer, ask };
}

test('a peer may use all of the 8 192 bytes that it was offered, as soon as it has acknowledged them', () => {
  const { peer, ask } = client(8_192, { headerTableBytes: 8_192 });
  const first = ask(1);
  const second = ask(3);
  assert.equal(peer.end.fatal, null);
  // All of it is in the table, so the second request is a byte or two a field; a table of 4 096 would have lost the first ones.
  assert.ok(first > 1_000 && second < 60, `${first}, ${second}`);
  const [head, again] = peer.end.seen.filter(({ event }) => event === 'head').map(({ detail }) => detail as readonly unknown[]);
  assert.deepEqual(head, again);
  assert.equal(JSON.stringify(again).split('x-field-').length - 1, MANY.length);
});

test('before it has acknowledged them, more than 4 096 is an error', () => {
  const { peer, ask } = client(8_192, { headerTableBytes: 8_192 }, false);
  ask(1);
  assert.match(String(peer.end.fatal), /^HPACK_TABLE_/);
  assert.deepEqual(peer.told('GOAWAY'), ['GOAWAY 0 9']);
});

test('a smaller table must be acknowledged by its size in the next block', () => {
  const obedient = client(1_024, { headerTableBytes: 1_024 });
  obedient.ask(1);
  obedient.ask(3);
  assert.equal(obedient.peer.end.fatal, null);
  assert.equal(obedient.peer.end.seen.filter(({ event }) => event === 'head').length, 2);
  const deaf = client(4_096, { headerTableBytes: 1_024 });
  deaf.ask(1);
  assert.equal(deaf.peer.end.fatal, 'HPACK_TABLE_UPDATE_MISSING');
});
