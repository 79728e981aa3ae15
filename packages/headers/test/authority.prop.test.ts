import assert from 'node:assert/strict';
import { isIPv6 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatAuthority, isValidHost, parseAuthority } from '../src/index.ts';

/** RFC 3986 §3.2 as one expression, with Node's own check of addresses. */
function naive(text: string): boolean {
  const match = /^(?:\[([^\]]*)\]|((?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+))(?::(\d*))?$/.exec(text);
  if (match === null || match[0] !== text) return false;
  const [, address, , port] = match;
  return (address === undefined || (isIPv6(address) && !address.includes('%'))) && Number(port ?? 0) <= 65_535;
}

const group = fc.constantFrom('0', '1', 'ab', 'FFFF', '12345', '', 'g');
/** Addresses of the right and of nearly the right shape. */
const addressLike = fc.oneof(
  fc.ipV6(),
  fc.array(group, { maxLength: 10 }).map((groups) => groups.join(':')),
  fc
    .tuple(fc.array(group, { maxLength: 7 }), fc.oneof(fc.ipV4(), fc.constantFrom('1.2.3', '1.2.3.256', '01.2.3.4')))
    .map(([groups, tail]) => [...groups, tail].join(':')),
);
const hostLike = fc.oneof(
  fc.domain(),
  addressLike.map((address) => `[${address}]`),
  addressLike,
  fc.array(fc.constantFrom('a', '%', '2', 'F', ':', '[', ']', '@', '.', '-', '\u00e9')).map((all) => all.join('')),
);
const authorityLike = fc.tuple(hostLike, fc.constantFrom('', ':', ':0', ':80', ':65535', ':65536', ':x')).map((parts) => parts.join(''));

describe('authorities', () => {
  it('are valid where the grammar, as one expression, says so', () => {
    fc.assert(
      fc.property(authorityLike, (text) => {
        assert.equal(isValidHost(text), naive(text), text);
        assert.equal(parseAuthority(text) !== null, naive(text), text);
      }),
      { numRuns: 2000 },
    );
  });

  it('stay the same when put together and taken apart again', () => {
    fc.assert(
      fc.property(authorityLike, (text) => {
        const authority = parseAuthority(text);
        if (authority !== null) assert.deepEqual(parseAuthority(formatAuthority(authority)), authority);
      }),
    );
  });
});
