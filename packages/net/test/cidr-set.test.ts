/** Ranges of IP addresses: the strict parser, and look-ups. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { CidrSet } from '../src/index.ts';

describe('CidrSet', () => {
  test('IPv4 ranges hold their addresses from the first to the last, and no neighbour', () => {
    const set = new CidrSet(['10.0.0.0/8', '192.0.2.128/25', '198.51.100.7']);
    assert.equal(set.size, 3);
    for (const host of ['10.0.0.0', '10.255.255.255', '192.0.2.128', '192.0.2.255', '198.51.100.7']) assert.ok(set.has(host), host);
    for (const host of ['9.255.255.255', '11.0.0.0', '192.0.2.127', '192.0.3.128', '198.51.100.6', '198.51.100.8'])
      assert.equal(set.has(host), false, host);
  });

  test('IPv6 ranges hold their addresses in every spelling (RFC 4291 §2.2)', () => {
    const set = new CidrSet(['2001:db8::/32', '::1', 'fe80::/10']);
    for (const host of [
      '2001:db8::',
      '2001:DB8:0:0:0:0:0:1',
      '2001:0db8:ffff:ffff:ffff:ffff:ffff:ffff',
      '2001:db8::192.0.2.1',
      '0:0:0:0:0:0:0:1',
      '::0.0.0.1',
      'fe80::1%eth0',
      'febf::',
    ])
      assert.ok(set.has(host), host);
    for (const host of ['2001:db9::', '2001:db7:ffff::', '::2', '::', 'fec0::']) assert.equal(set.has(host), false, host);
  });

  test('IPv4 in IPv6 is IPv4, both ways (RFC 4291 §2.5.5.2)', () => {
    const plain = new CidrSet(['10.0.0.0/8']);
    assert.ok(plain.has('::ffff:10.1.2.3'));
    assert.ok(plain.has('::FFFF:0a01:0203'));
    assert.ok(plain.has('0:0:0:0:0:ffff:10.1.2.3'));
    const mapped = new CidrSet(['::ffff:10.0.0.0/104', '::ffff:192.0.2.1']);
    assert.ok(mapped.has('10.200.0.1'));
    assert.ok(mapped.has('192.0.2.1'));
    assert.equal(mapped.has('11.0.0.0'), false);
    assert.equal(mapped.has('192.0.2.2'), false);
  });

  test('all of IPv6 is not all of IPv4, nor the other way round', () => {
    const six = new CidrSet(['::/0']);
    assert.ok(six.has('2001:db8::1'));
    assert.equal(six.has('192.0.2.1'), false);
    assert.equal(six.has('::ffff:192.0.2.1'), false);
    const four = new CidrSet(['0.0.0.0/0']);
    assert.ok(four.has('255.255.255.255'));
    assert.ok(four.has('::ffff:192.0.2.1'));
    assert.equal(four.has('::1'), false);
  });

  test('ranges inside others change nothing, in whatever order they come', () => {
    for (const ranges of [
      ['10.0.0.0/8', '10.1.0.0/16', '10.1.2.3'],
      ['10.1.2.3', '10.1.0.0/16', '10.0.0.0/8'],
      ['10.1.2.3', '0.0.0.0/0', '10.0.0.0/8'],
    ]) {
      const set = new CidrSet(ranges);
      assert.ok(set.has('10.1.2.3'));
      assert.ok(set.has('10.1.2.4'));
      assert.ok(set.has('10.200.0.0'));
    }
  });

  test('an empty set holds nothing, and what is no address is in no set', () => {
    assert.equal(new CidrSet([]).has('127.0.0.1'), false);
    assert.equal(new CidrSet([]).size, 0);
    const all = new CidrSet(['0.0.0.0/0', '::/0']);
    for (const host of [
      '',
      ':',
      'x',
      '1.2.3',
      '1.2.3.4.5',
      '1.2.3.4 ',
      '1.2.3.04',
      '1.2.3.256',
      '1.2.3.4%eth0',
      '1..2.3',
      '.1.2.3',
      '1.2.3.',
      ':::',
      '::1::',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4:5:6:7:8::',
      '12345::',
      'g::',
      '::1.2.3',
      '::1.2.3.4:1',
      '1:2:3:4:5:6:7:1.2.3.4',
      '1:',
      ':1',
      'localhost',
      `${'0'.repeat(60)}::`,
    ])
      assert.equal(all.has(host), false, JSON.stringify(host));
  });

  test('`::` stands for one group at least, and for eight at most', () => {
    const set = new CidrSet(['1:2:3:4:5:6:7:0', '0:2:3:4:5:6:7:8']);
    assert.ok(set.has('1:2:3:4:5:6:7::'));
    assert.ok(set.has('::2:3:4:5:6:7:8'));
    assert.equal(set.has('1:2:3:4::5:6:7:8'), false);
  });

  test('malformed ranges are refused, each with what is wrong', () => {
    for (const [range, why] of [
      ['', /does not begin with an IP address/],
      ['localhost', /does not begin with an IP address/],
      ['10.0.0.0/', /prefix is a whole number from 0 to 32/],
      ['10.0.0.0/33', /from 0 to 32, not "33"/],
      ['10.0.0.0/08', /whole number/],
      ['10.0.0.0/8.0', /whole number/],
      ['10.0.0.0/-1', /whole number/],
      ['10.0.0.0/1e1', /whole number/],
      ['10.0.0.0/255.0.0.0', /whole number/],
      ['10.1.2.3/8', /bits behind its prefix of 8 are set/],
      ['010.0.0.0/8', /does not begin/],
      ['2001:db8::/129', /from 0 to 128/],
      ['2001:db8::1/64', /bits behind its prefix of 64/],
      ['fe80::1%eth0/64', /no zone/],
      ['::ffff:0.0.0.0/95', /96 bits or more/],
      [' 10.0.0.0/8', /does not begin/],
      ['x'.repeat(1000), /x{100}…/],
    ] as const)
      assert.throws(
        () => new CidrSet([range]),
        (error: unknown) => error instanceof TypeError && why.test(error.message),
        range,
      );
  });

  test('one text, or something that is no text, is a mistake of the program', () => {
    assert.throws(() => new CidrSet('10.0.0.0/8'), TypeError);
    assert.throws(() => new CidrSet([7 as unknown as string]), TypeError);
  });
});
