import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderMap, HOP_BY_HOP, isInKnownHeaderSet, removeHopByHop, wellKnownId } from '../src/index.ts';

type Line = readonly [name: string, value: string];

/** The twin: the rule in three sentences, without regard to speed. */
function naive(lines: readonly Line[]): Line[] {
  const nominated = new Set(
    lines
      .filter(([name]) => name.toLowerCase() === 'connection')
      .flatMap(([, value]) => value.split(',').map((one) => one.trim().toLowerCase())),
  );
  return lines.filter(([name]) => {
    const id = wellKnownId(name);
    if (id !== 0) return !isInKnownHeaderSet(HOP_BY_HOP, id);
    return name.toLowerCase() === 'close' || name.toLowerCase().startsWith('x-forwarded-') || !nominated.has(name.toLowerCase());
  });
}

const name = fc.constantFrom(
  'Host',
  'Cookie',
  'TE',
  'Upgrade',
  'keep-alive',
  'X-A',
  'x-a',
  'x-b',
  'X-Forwarded-Port',
  'close',
  '__proto__',
  'Via',
  '12',
);
const nominations = fc
  .array(fc.tuple(fc.constantFrom('', ' ', '\t'), fc.oneof(name, fc.constant('')), fc.constantFrom('', ' ')), { maxLength: 5 })
  .map((members) =>
    members
      .map((member) => member.join(''))
      .join()
      .trim(),
  );
const line: fc.Arbitrary<Line> = fc.oneof(
  { weight: 3, arbitrary: name.map((one): Line => [one, 'value']) },
  { weight: 1, arbitrary: fc.tuple(fc.constantFrom('Connection', 'connection'), nominations) },
);

describe('removeHopByHop', () => {
  it('agrees with the rule written down naively, and a second time changes nothing', () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 40 }), (lines) => {
        const headers = HeaderMap.from(lines);
        removeHopByHop(headers);
        assert.deepEqual([...headers], naive(lines));
        removeHopByHop(headers);
        assert.deepEqual([...headers], naive(lines));
      }),
      { numRuns: 500 },
    );
  });
});
