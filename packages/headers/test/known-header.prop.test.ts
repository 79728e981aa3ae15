import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  idOfNameCode,
  KnownHeader,
  knownName,
  nameCodeIn,
  nameOfNameCode,
  wellKnownId,
  wellKnownIdOfBytes,
  wellKnownIdWithin,
} from '../src/index.ts';

/** The twin: a map from names that were lower-cased by ASCII rules only. */
const idByName: ReadonlyMap<string, number> = new Map(Object.values(KnownHeader).map((id) => [knownName(id), id]));

function naiveId(name: string): number {
  return idByName.get(name.replace(/[A-Z]/g, (letter) => letter.toLowerCase())) ?? 0;
}

/** Names that are close to well-known ones: one character changed by one bit, one dropped, one added. */
const nearNames = fc
  .tuple(fc.constantFrom(...idByName.keys()), fc.nat(), fc.integer({ min: 0, max: 9 }), fc.infiniteStream(fc.boolean()))
  .map(([name, where, change, capitals]) => {
    const at = where % name.length;
    const text = Array.from(name, (letter) => (capitals.next().value === true ? letter.toUpperCase() : letter)).join('');
    if (change === 8) return text.slice(0, at) + text.slice(at + 1);
    if (change === 9) return `${text.slice(0, at)}-${text.slice(at)}`;
    return text.slice(0, at) + String.fromCharCode(text.charCodeAt(at) ^ (1 << change)) + text.slice(at + 1);
  });
const latin1 = fc.array(fc.integer({ min: 0, max: 255 }), { maxLength: 30 }).map((codes) => String.fromCharCode(...codes));
const utf16 = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 30 }).map((codes) => String.fromCharCode(...codes));

describe('recognition of names', () => {
  it('agrees with a look-up of the lower-case name, for any text near and far', () => {
    fc.assert(
      fc.property(fc.oneof(nearNames, latin1), fc.nat(5), (name, offset) => {
        const bytes = Uint8Array.from(`${'-'.repeat(offset)}${name}:`, (character) => character.charCodeAt(0));
        const id = naiveId(name);
        assert.equal(wellKnownId(name), id);
        assert.equal(wellKnownIdWithin(`${'-'.repeat(offset)}${name}:`, offset, offset + name.length), id);
        assert.equal(wellKnownIdOfBytes(bytes, offset, offset + name.length), id);
        const code = nameCodeIn(new DataView(bytes.buffer, bytes.byteOffset, bytes.length), offset, offset + name.length);
        assert.equal(idOfNameCode(code), id);
        assert.ok(['', name].includes(nameOfNameCode(code)));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes any string of UTF-16', () => {
    fc.assert(fc.property(utf16, (name) => assert.equal(wellKnownId(name), naiveId(name))));
  });
});
