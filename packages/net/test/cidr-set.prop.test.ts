/** Ranges of IP addresses against Node's `BlockList` and a naive reading by BigInt. */
import assert from 'node:assert/strict';
import { BlockList, isIP } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { CidrSet } from '../src/index.ts';

const ipv4 = fc.nat({ max: 0xffff_ffff }).map((word) => [24, 16, 8, 0].map((shift) => (word >>> shift) & 0xff).join('.'));
/** Few different groups, so that ranges and addresses meet. */
const ipv6 = fc.array(fc.constantFrom('0', '1', '8000', 'ffff', 'db8'), { minLength: 8, maxLength: 8 }).map((groups) => groups.join(':'));

function maskedIpv4(host: string, length: number): string {
  const word = host.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const kept = length === 0 ? 0 : (word & (0xffff_ffff << (32 - length))) >>> 0;
  return `${[24, 16, 8, 0].map((shift) => (kept >>> shift) & 0xff).join('.')}/${length}`;
}

function bitsOf(host: string): bigint {
  return host.split(':').reduce((sum, group) => (sum << 16n) | BigInt(`0x${group}`), 0n);
}

function maskedIpv6(host: string, length: number): string {
  const shift = BigInt(128 - length);
  const kept = (bitsOf(host) >> shift) << shift;
  const hex = kept.toString(16).padStart(32, '0');
  return `${hex.match(/.{4}/g)?.join(':')}/${length}`;
}

test('IPv4: agrees with BlockList', () => {
  const near = fc.tuple(ipv4, fc.nat({ max: 32 })).map(([host, length]) => maskedIpv4(host, length));
  fc.assert(
    fc.property(fc.array(near, { maxLength: 8 }), fc.array(ipv4, { maxLength: 8 }), (ranges, hosts) => {
      const set = new CidrSet(ranges);
      const list = new BlockList();
      for (const range of ranges) {
        const [address, length] = range.split('/') as [string, string];
        list.addSubnet(address, Number(length), 'ipv4');
      }
      for (const host of [...hosts, ...ranges.map((range) => range.slice(0, range.indexOf('/')))]) {
        assert.equal(set.has(host), list.check(host, 'ipv4'), host);
        assert.equal(set.has(`::ffff:${host}`), set.has(host), host);
      }
    }),
    { numRuns: 300, seed: 6 },
  );
});

test('IPv6: agrees with comparing the first bits as numbers', () => {
  const near = fc.tuple(ipv6, fc.nat({ max: 128 })).map(([host, length]) => maskedIpv6(host, length));
  const isMapped = (bits: bigint): boolean => bits >> 32n === 0xffffn;
  fc.assert(
    fc.property(fc.array(near, { maxLength: 6 }), fc.array(ipv6, { maxLength: 8 }), (ranges, hosts) => {
      const unmapped = ranges.filter((range) => !isMapped(bitsOf(range.slice(0, range.indexOf('/')))));
      const set = new CidrSet(unmapped);
      for (const host of hosts) {
        const bits = bitsOf(host);
        const expected = unmapped.some((range) => {
          const [address, length] = range.split('/') as [string, string];
          const shift = BigInt(128 - Number(length));
          return bits >> shift === bitsOf(address) >> shift;
        });
        assert.equal(set.has(host), expected && !isMapped(bits), host);
      }
    }),
    { numRuns: 300, seed: 7 },
  );
});

test('what it takes for an address is what Node takes for one, and it never throws', () => {
  const all = new CidrSet(['0.0.0.0/0', '::/0']);
  const nearly = fc
    .array(fc.constantFrom('0', '1', 'f', '25', '255', 'ffff', '.', ':', '::', 'g', ' '), { maxLength: 14 })
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(fc.oneof(nearly, ipv4, ipv6, fc.string()), (text) => {
      fc.pre(!text.includes('%'));
      assert.equal(all.has(text), isIP(text) !== 0, JSON.stringify(text));
    }),
    { numRuns: 3000, seed: 8 },
  );
});
