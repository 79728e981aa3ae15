import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { crc32 } from 'node:zlib';
import { KetamaRing } from '@ferrata/ketama';

const three = ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80'];

describe('a ring', () => {
  test('gives a key to the owner of the first point at or after its CRC-32', () => {
    const ring = new KetamaRing(['a', 'b'], { pointsPerWeight: 1 });
    const a = crc32(Buffer.from('a\0\0\0\0\0'));
    const b = crc32(Buffer.from('b\0\0\0\0\0'));
    const [low, high] = a < b ? ['a', 'b'] : ['b', 'a'];
    assert.equal(ring.nodeForHash(Math.min(a, b)), low);
    assert.equal(ring.nodeForHash(Math.min(a, b) + 1), high);
    assert.equal(ring.nodeForHash(Math.max(a, b)), high);
    assert.equal(ring.nodeForHash(Math.max(a, b) + 1), low, 'behind the last point comes the first');
    assert.equal(ring.nodeForHash(0), low);
    assert.equal(ring.nodeForHash(0xffff_ffff), low);
  });

  test('has 160 points for a unit of weight, as nginx', () => {
    assert.equal(new KetamaRing(three).pointCount, 480);
    assert.equal(new KetamaRing([{ address: 'a', weight: 3 }, { address: 'b' }]).pointCount, 640);
    assert.equal(new KetamaRing(three, { pointsPerWeight: 7 }).pointCount, 21);
  });

  test('lists its nodes in the order given, with their weights', () => {
    const ring = new KetamaRing(new Set([...three, 'x']).values());
    assert.equal(ring.size, 4);
    assert.deepEqual(
      ring.nodes,
      [...three, 'x'].map((address) => ({ address, weight: 1 })),
    );
    assert.ok(Object.isFrozen(ring.nodes) && ring.nodes.every(Object.isFrozen));
    assert.equal(ring.nodes[ring.nodeIndex('key')]?.address, ring.node('key'));
  });

  test('without nodes has no node for any key', () => {
    const ring = new KetamaRing([]);
    assert.deepEqual([ring.size, ring.pointCount, ring.nodes], [0, 0, []]);
    assert.deepEqual(
      [ring.node('key'), ring.nodeIndex('key'), ring.nodeForHash(5), ring.nodeIndexForHash(5)],
      [undefined, -1, undefined, -1],
    );
    assert.deepEqual([...ring.nodesFrom('key')], []);
    assert.equal(ring.nodesFrom('key').nextIndex(), -1);
  });

  test('of one node gives it every key', () => {
    const ring = new KetamaRing(['only'], { pointsPerWeight: 1 });
    assert.deepEqual(
      [0, 1, 2 ** 31, 2 ** 32 - 1].map((hash) => ring.nodeForHash(hash)),
      ['only', 'only', 'only', 'only'],
    );
    assert.deepEqual([...ring.nodesFrom('key')], ['only']);
  });
});

describe('an address given again', () => {
  test('is the same node, with the greatest of its weights', () => {
    const ring = new KetamaRing([{ address: 'a', weight: 2 }, 'b', 'a', { address: 'b', weight: 3 }, { address: 'b', weight: 2 }]);
    assert.deepEqual(ring.nodes, [
      { address: 'a', weight: 2 },
      { address: 'b', weight: 3 },
    ]);
    assert.equal(ring.pointCount, 800);
    const once = new KetamaRing([
      { address: 'a', weight: 2 },
      { address: 'b', weight: 3 },
    ]);
    for (let key = 0; key < 500; key++) assert.equal(ring.node(`${key}`), once.node(`${key}`));
  });

  test('costs nothing, however often', () => {
    assert.equal(
      new KetamaRing(
        Array.from({ length: 100_000 }, () => 'a'),
        { maxPoints: 160 },
      ).pointCount,
      160,
    );
  });
});

describe('nodes with the same points', () => {
  test('of which the first given has them all', () => {
    // nginx hashes what follows `unix:`, and nothing for a missing or an empty port.
    const ring = new KetamaRing(['host', 'unix:host', 'host:', 'other']);
    assert.equal(ring.pointCount, 320);
    assert.equal(ring.size, 4);
    assert.deepEqual([...ring.nodesFrom('key')].toSorted(), ['host', 'other'], 'a node without points is never met');
    assert.ok([...new KetamaRing(['unix:host', 'host']).nodesFrom('key')].includes('unix:host'));
  });

  test('even if it is one point of many: the first given of the two has it', () => {
    // Found by trying: nodes 18 and 698 of these have one point in common, and no others have any. nginx does the same: conformance/ketama.
    const addresses = Array.from({ length: 1000 }, (_, index) => `127.70.${index >>> 8}.${index & 0xff}:8080`);
    const shared = 1_502_110_317;
    const ring = new KetamaRing(addresses);
    assert.equal(ring.pointCount, 159_999);
    assert.equal(ring.nodeIndexForHash(shared), 18);
    assert.equal(ring.nodeIndex(`tie-${shared}-5593`), 18);
    const reversed = new KetamaRing(addresses.toReversed());
    assert.equal(reversed.nodeForHash(shared), addresses[698]);
    assert.equal(reversed.node(`tie-${shared}-5593`), addresses[698]);
  });

  test('leave the points beyond its weight to a heavier one', () => {
    const ring = new KetamaRing(['host', { address: 'UNIX:host', weight: 2 }]);
    assert.equal(ring.pointCount, 320);
    assert.deepEqual([...ring.nodesFrom('key')].toSorted(), ['UNIX:host', 'host']);
  });
});

describe('a key', () => {
  const ring = new KetamaRing(three);

  test('of text counts as its UTF-8 bytes', () => {
    for (const key of ['', 'key', '__proto__', 'constructor', 'ключ', '🔑', '\0', '\n']) {
      assert.equal(ring.node(key), ring.node(new TextEncoder().encode(key)), key);
      assert.equal(ring.node(key), ring.nodeForHash(crc32(Buffer.from(key, 'utf8'))), key);
    }
  });

  test('may be empty, and may be long', () => {
    assert.equal(ring.node(''), ring.nodeForHash(0));
    const long = 'x'.repeat(5_000_000);
    assert.equal(ring.node(long), ring.nodeForHash(crc32(Buffer.from(long))));
  });

  test('may be the bytes of another realm', () => {
    assert.equal(ring.node(runInNewContext('new Uint8Array([107, 101, 121])') as Uint8Array), ring.node('key'));
  });

  test('that is neither text nor bytes is refused', () => {
    for (const key of [5, {}, [1], new Uint16Array(1), undefined]) {
      assert.throws(() => ring.node(key as unknown as string), TypeError);
    }
  });

  test('given as a hash counts by its low 32 bits', () => {
    assert.equal(ring.nodeIndexForHash(-1), ring.nodeIndexForHash(0xffff_ffff));
    assert.equal(ring.nodeIndexForHash(2 ** 32 + 7), ring.nodeIndexForHash(7));
    assert.equal(ring.nodeIndexForHash(Number.NaN), ring.nodeIndexForHash(0));
    assert.deepEqual([...ring.nodesFromHash(-1)], [...ring.nodesFromHash(0xffff_ffff)]);
  });
});

describe('a walk', () => {
  test('begins with the node of the key and meets each node once', () => {
    const addresses = Array.from({ length: 100 }, (_, index) => `10.0.0.${index}:80`);
    const ring = new KetamaRing(addresses);
    const walked = [...ring.nodesFrom('key')];
    assert.equal(walked[0], ring.node('key'));
    assert.deepEqual(walked.toSorted(), addresses.toSorted());
  });

  test('steps by address or by index, and stays at its end', () => {
    const ring = new KetamaRing(three);
    const [first, second, third] = ring.nodesFrom('key');
    const walk = ring.nodesFrom('key');
    assert.equal(ring.nodes[walk.nextIndex()]?.address, first);
    assert.deepEqual(walk.next(), { done: false, value: second });
    assert.equal(ring.nodes[walk.nextIndex()]?.address, third);
    assert.equal(walk.nextIndex(), -1);
    assert.deepEqual(walk.next(), { done: true, value: undefined });
    assert.equal(walk.nextIndex(), -1);
  });

  test('that is left early goes on where it was', () => {
    const ring = new KetamaRing(three);
    const walk = ring.nodesFrom('key');
    for (const _ of walk) break;
    assert.deepEqual([...walk], [...ring.nodesFrom('key')].slice(1));
  });
});

describe('nonsense', () => {
  test('as the list of nodes is refused, a text above all, whose letters would be nodes', () => {
    assert.throws(() => new KetamaRing('10.0.0.1:80'), {
      name: 'TypeError',
      message: 'nodes must be a list of addresses, not the string "10.0.0.1:80"',
    });
    for (const nodes of ['', null, undefined, 5, {}]) assert.throws(() => new KetamaRing(nodes as string[]), TypeError);
  });

  test('as a weight is refused with the address', () => {
    for (const weight of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, null, '2'] as number[]) {
      assert.throws(() => new KetamaRing([{ address: 'a:1', weight }]), {
        name: 'RangeError',
        message: /^weight of a:1 must be a whole number, 1 or more/,
      });
    }
  });

  test('as an address is refused', () => {
    for (const address of ['', undefined, 5, null]) {
      assert.throws(() => new KetamaRing([{ address: address as string }]), {
        name: 'TypeError',
        message: /^the address of a node must be a string/,
      });
    }
    assert.throws(() => new KetamaRing(['']), TypeError);
    assert.throws(() => new KetamaRing([null as unknown as string]), TypeError);
  });

  test('as an option is refused by its name', () => {
    for (const value of [0, -160, 0.5, Number.NaN, 2 ** 16 + 1, null] as number[]) {
      assert.throws(() => new KetamaRing([], { pointsPerWeight: value }), { name: 'RangeError', message: /^pointsPerWeight/ });
    }
    for (const value of [0, -1, 2 ** 26 + 1, null] as number[]) {
      assert.throws(() => new KetamaRing([], { maxPoints: value }), { name: 'RangeError', message: /^maxPoints/ });
    }
  });

  test('as too much weight or too many nodes is refused before memory is taken', () => {
    const tooHeavy = { name: 'RangeError', message: 'the weights must add up to at most 13107 (maxPoints ÷ pointsPerWeight), not 13108' };
    assert.throws(() => new KetamaRing([{ address: 'a', weight: 13_107 }, 'b']), tooHeavy);
    assert.throws(() => new KetamaRing([{ address: 'a', weight: Number.MAX_SAFE_INTEGER }]), RangeError);
    assert.throws(() => new KetamaRing(['a', 'b'], { maxPoints: 319 }), RangeError);
    assert.equal(new KetamaRing(['a', 'b'], { maxPoints: 320 }).size, 2);
    const many = Array.from({ length: 2 ** 16 + 1 }, (_, index) => `${index}`);
    assert.throws(() => new KetamaRing(many, { pointsPerWeight: 1 }), { name: 'RangeError', message: 'a ring has at most 65536 nodes' });
    assert.equal(new KetamaRing(many.slice(1), { pointsPerWeight: 1 }).size, 2 ** 16);
  });

  test('as a node is harmless where it is only a name', () => {
    const ring = new KetamaRing(['__proto__', 'constructor', 'toString']);
    assert.deepEqual([...ring.nodesFrom('__proto__')].toSorted(), ['__proto__', 'constructor', 'toString']);
  });
});
