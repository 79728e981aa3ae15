import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  canonicalName,
  idOfNameCode,
  isInKnownHeaderSet,
  isToken,
  KnownHeader,
  knownHeaderSet,
  knownName,
  nameCodeIn,
  nameOfNameCode,
  wellKnownId,
  wellKnownIdOfBytes,
  wellKnownIdWithin,
} from '../src/index.ts';

const entries: readonly (readonly [string, KnownHeader])[] = Object.entries(KnownHeader);

function viewOf(text: string): DataView {
  return new DataView(Uint8Array.from(text, (character) => character.charCodeAt(0)).buffer);
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

describe('well-known field names', () => {
  it('number 1 to 62 without a gap, so that a set of them fits two words', () => {
    assert.deepEqual(
      entries.map(([, id]) => id),
      Array.from({ length: 62 }, (_, i) => i + 1),
    );
  });

  it('stand in the table under the number of their key', () => {
    for (const [key, id] of entries) {
      const letters = key.toLowerCase();
      assert.equal(knownName(id).replaceAll('-', ''), letters);
      assert.equal(canonicalName(id).toLowerCase(), knownName(id));
      assert.ok(isToken(knownName(id)));
    }
  });

  it('are found again in every case, as string, part of a string and bytes: no two share a slot of the hash', () => {
    for (const [, id] of entries) {
      for (const name of [knownName(id), canonicalName(id), knownName(id).toUpperCase(), flipLast(knownName(id))]) {
        assert.equal(wellKnownId(name), id, name);
        assert.equal(wellKnownIdWithin(`x${name}x`, 1, 1 + name.length), id, name);
        const bytes = bytesOf(`x${name}x`);
        assert.equal(wellKnownIdOfBytes(bytes, 1, 1 + name.length), id, name);
        const code = nameCodeIn(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 1, 1 + name.length);
        assert.equal(idOfNameCode(code), id);
        assert.ok(['', name].includes(nameOfNameCode(code)), name);
      }
      assert.equal(nameOfNameCode(nameCodeIn(viewOf(knownName(id)), 0, knownName(id).length)), knownName(id));
      assert.equal(nameOfNameCode(nameCodeIn(viewOf(canonicalName(id)), 0, canonicalName(id).length)), canonicalName(id));
    }
  });

  it('are written as usual', () => {
    assert.equal(canonicalName(KnownHeader.contentLength), 'Content-Length');
    assert.equal(canonicalName(KnownHeader.etag), 'ETag');
    assert.equal(canonicalName(KnownHeader.te), 'TE');
    assert.equal(canonicalName(KnownHeader.wwwAuthenticate), 'WWW-Authenticate');
    assert.equal(canonicalName(KnownHeader.traceparent), 'traceparent');
  });

  it('are not mistaken when a bit differs that tells no letter from its capital', () => {
    // CR and hyphen, DC2 and 2, @ and backtick, Kelvin sign and k differ in bit 0x20 or fold together in Unicode.
    for (const name of [
      'Content\rLength',
      'HTTP\u00122-Settings',
      'http\u00122-settings',
      'Coo\u212aie',
      'Con\u017fection',
      'content\u002flength',
      'host\u0000',
      '\u0000host',
    ]) {
      assert.equal(wellKnownId(name), 0, JSON.stringify(name));
      assert.equal(wellKnownIdWithin(name, 0, name.length), 0);
      assert.equal(wellKnownIdOfBytes(bytesOf(name), 0, name.length), 0);
    }
  });

  it('do not include the empty name, one letter, what is longer than all, or names of objects', () => {
    for (const name of [
      '',
      'a',
      'x'.repeat(25),
      'x'.repeat(300),
      '__proto__',
      'constructor',
      'toString',
      'hasOwnProperty',
      '0',
      'hosts',
      'hos',
      'x-forwarded-port',
    ]) {
      assert.equal(wellKnownId(name), 0, name);
      assert.equal(wellKnownIdWithin(name, 0, name.length), 0, name);
      assert.equal(nameCodeIn(viewOf(name), 0, name.length), 0, name);
    }
    assert.equal(nameOfNameCode(0), '');
    assert.equal(nameOfNameCode(256), '');
  });

  it('have no number outside the list', () => {
    assert.throws(() => canonicalName(0 as KnownHeader), RangeError);
    assert.throws(() => knownName(63 as KnownHeader), RangeError);
  });
});

describe('a set of well-known names', () => {
  it('has its members and no others, in both words', () => {
    const set = knownHeaderSet(KnownHeader.host, KnownHeader.cookie, KnownHeader.authorization, KnownHeader.secWebSocketExtensions);
    const members = entries.filter(([, id]) => isInKnownHeaderSet(set, id)).map(([key]) => key);
    assert.deepEqual(members, ['host', 'cookie', 'authorization', 'secWebSocketExtensions']);
    assert.equal(isInKnownHeaderSet(set, 0), false);
  });
});

function flipLast(name: string): string {
  return name.slice(0, -1) + name.slice(-1).toUpperCase();
}
