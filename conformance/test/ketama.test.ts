import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import { randomKey, randomRing, vectorKeys, vectorRings } from '../ketama/rings.ts';
import { answeredAddresses, compareRing, readVectors } from '../ketama/vectors.ts';

const { nginx, keys, rings } = readVectors();

describe("nginx's committed answers", () => {
  test('are those to the rings and keys that stand in rings.ts', () => {
    assert.match(nginx, /^\d+\.\d+\.\d+/);
    assert.deepEqual(keys, vectorKeys());
    assert.deepEqual(
      rings.map(({ answers: _, ...ring }) => ring),
      JSON.parse(JSON.stringify(vectorRings())),
    );
  });

  test('use every server that is up, so that none is there for nothing', () => {
    for (const { id, servers, answers } of rings) {
      if (servers.length > keys.length / 4) continue;
      const used = new Set(answers.map(([first]) => first).map((place) => servers[place ?? -1]?.address));
      const up = new Set(servers.filter(({ isDown = false }) => !isDown).map(({ address }) => address));
      assert.deepEqual(used, up, id);
    }
  });

  test('are what our ring says', () => {
    for (const ring of rings) assert.equal(compareRing(ring, keys, answeredAddresses(ring)), null, ring.id);
  });
});

describe('the comparison', () => {
  const ring = { id: 'two', tries: 2, servers: [{ address: '127.0.0.1:6443' }, { address: '127.0.0.1:6445', isDown: true }] };

  test('finds a wrong node, a wrong order of fail-over and a missing answer', () => {
    assert.equal(compareRing(ring, ['a'], [['127.0.0.1:6443']]), null);
    assert.match(compareRing(ring, ['a'], [['127.0.0.1:6445']]) ?? '', /^1 of 1 keys differ; "a": nginx tried 127\.0\.0\.1:6445, ours are/);
    assert.match(compareRing(ring, ['a'], [['127.0.0.1:6443', '127.0.0.1:6445']]) ?? '', /^1 of 1 keys differ/);
    assert.equal(compareRing(ring, ['a'], []), '0 answers for 1 keys');
  });

  test('finds a server that no ring has', () => {
    assert.deepEqual(answeredAddresses({ ...ring, answers: [[7]] }), [['(no server 7)']]);
  });
});

test('a random ring and its keys follow from the seed, and come in each kind', () => {
  const make = (seed: number): readonly unknown[] => {
    const random = seededRandom(seed);
    return [randomKey(random), ...Array.from({ length: 20 }, (_, index) => randomRing(`r${index}`, random, { hasIpv6: index % 2 === 0 }))];
  };
  assert.deepEqual(make(1), make(1));
  assert.notDeepEqual(make(1), make(2));
  const text = JSON.stringify(make(1));
  for (const part of ['"tries":3', '"weight":', '"isDown":true', '[::1]', 'unix:', '127.']) assert.ok(text.includes(part), part);
});
