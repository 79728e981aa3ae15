import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { inspect } from 'node:util';
import { HeaderMap, KnownHeader, knownHeaderSet, wellKnownId } from '../src/index.ts';

const request: readonly (readonly [string, string])[] = [
  ['Host', 'example.com'],
  ['ACCEPT', 'text/html'],
  ['X-Trace', '1'],
  ['accept', 'image/png'],
  ['x-trace', '2'],
];

describe('HeaderMap', () => {
  it('keeps order, spelling and duplicates (RFC 9110 §5.3)', () => {
    const headers = HeaderMap.from(request);
    assert.deepEqual([...headers], request);
    assert.deepEqual(JSON.parse(JSON.stringify(headers)), request);
    assert.equal(headers.size, 5);
    assert.equal(headers.nameAt(1), 'ACCEPT');
    assert.equal(headers.valueAt(1), 'text/html');
    assert.equal(headers.idAt(1), KnownHeader.accept);
    assert.equal(headers.idAt(2), 0);
  });

  it('looks names up in any case (RFC 9110 §5.1)', () => {
    const headers = HeaderMap.from(request);
    assert.equal(headers.get('hOsT'), 'example.com');
    assert.equal(headers.get('X-TRACE'), '1');
    assert.equal(headers.get('x-none'), undefined);
    assert.deepEqual(headers.getAll('Accept'), ['text/html', 'image/png']);
    assert.deepEqual(headers.getAll('x-tracE'), ['1', '2']);
    assert.deepEqual(headers.getAll('x-none'), []);
    assert.equal(headers.has('accept'), true);
    assert.equal(headers.has('x-trac'), false);
    assert.equal(headers.count('accept'), 2);
    assert.equal(headers.count('x-trace'), 2);
    assert.equal(headers.count('cookie'), 0);
  });

  it('combines the lines of a list (RFC 9110 §5.2)', () => {
    const headers = HeaderMap.from(request);
    assert.equal(headers.combined('accept'), 'text/html, image/png');
    assert.equal(headers.combinedKnown(KnownHeader.accept), 'text/html, image/png');
    assert.equal(headers.combined('x-trace'), '1, 2');
    assert.equal(headers.combined('host'), 'example.com');
    assert.equal(headers.combined('x-none'), undefined);
    assert.equal(headers.combined('cookie'), undefined);
  });

  it('never combines Set-Cookie, whose values have commas of their own (RFC 9110 §5.3)', () => {
    const headers = HeaderMap.from({ 'Set-Cookie': ['a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT', 'b=2'] });
    assert.equal(headers.combined('set-cookie'), 'a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT');
    assert.deepEqual(headers.getAll('set-cookie'), ['a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT', 'b=2']);
  });

  it('answers by number', () => {
    const headers = HeaderMap.from(request);
    assert.equal(headers.hasKnown(KnownHeader.host), true);
    assert.equal(headers.hasKnown(KnownHeader.authorization), false);
    assert.equal(headers.getKnown(KnownHeader.host), 'example.com');
    assert.equal(headers.getKnown(KnownHeader.authorization), undefined);
    assert.equal(headers.countKnown(KnownHeader.accept), 2);
    assert.equal(headers.countKnown(KnownHeader.host), 1);
    assert.equal(headers.countKnown(KnownHeader.cookie), 0);
    assert.equal(headers.indexOfKnown(KnownHeader.accept), 1);
    assert.equal(headers.indexOfKnown(KnownHeader.accept, 2), 3);
    assert.equal(headers.indexOfKnown(KnownHeader.accept, 4), -1);
    assert.equal(headers.hasAnyOf(knownHeaderSet(KnownHeader.te, KnownHeader.accept)), true);
    assert.equal(headers.hasAnyOf(knownHeaderSet(KnownHeader.te, KnownHeader.vary)), false);
  });

  it('sets the first line where it stands, in its spelling, and removes the others', () => {
    const headers = HeaderMap.from(request).set('Accept', '*/*').set('x-TRACE', '3').set('X-New', '4').set('Via', '1.1 a');
    assert.deepEqual(
      [...headers],
      [
        ['Host', 'example.com'],
        ['ACCEPT', '*/*'],
        ['X-Trace', '3'],
        ['X-New', '4'],
        ['Via', '1.1 a'],
      ],
    );
  });

  it('sets and appends by number, in the usual spelling where the line is new', () => {
    const headers = HeaderMap.from([['host', 'a']])
      .setKnown(KnownHeader.host, 'b')
      .setKnown(KnownHeader.etag, '"1"')
      .appendKnown(KnownHeader.via, '1.1 a')
      .appendKnown(KnownHeader.via, '1.1 b');
    headers.setKnown(KnownHeader.via, '1.1 c');
    assert.deepEqual(
      [...headers],
      [
        ['host', 'b'],
        ['ETag', '"1"'],
        ['Via', '1.1 c'],
      ],
    );
  });

  it('deletes all lines of a name and says how many', () => {
    const headers = HeaderMap.from(request);
    assert.equal(headers.delete('Accept'), 2);
    assert.equal(headers.delete('accept'), 0);
    assert.equal(headers.hasKnown(KnownHeader.accept), false);
    assert.equal(headers.delete('X-TRACE'), 2);
    assert.equal(headers.delete('x-none'), 0);
    assert.equal(headers.deleteKnown(KnownHeader.te), 0);
    assert.deepEqual([...headers], [['Host', 'example.com']]);
    assert.equal(headers.deleteKnown(KnownHeader.host), 1);
    assert.equal(headers.size, 0);
  });

  it('deletes a set in one pass', () => {
    const headers = HeaderMap.from([...request, ['Set-Cookie', 'a'], ['ETag', '"1"']]);
    assert.equal(headers.deleteAnyOf(knownHeaderSet(KnownHeader.via)), 0);
    assert.equal(headers.deleteAnyOf(knownHeaderSet(KnownHeader.accept, KnownHeader.setCookie, KnownHeader.te)), 3);
    assert.deepEqual(
      headers.toJSON().map(([name]) => name),
      ['Host', 'X-Trace', 'x-trace', 'ETag'],
    );
    assert.equal(headers.hasKnown(KnownHeader.setCookie), false);
    assert.equal(headers.getKnown(KnownHeader.etag), '"1"');
  });

  it('deletes by a rule, and knows what is left', () => {
    const headers = HeaderMap.from([...request, ['Set-Cookie', 'a'], ['ETag', '"1"']]);
    assert.equal(
      headers.deleteWhere((name, value, id) => name === 'ACCEPT' || value === '2' || id === KnownHeader.setCookie),
      3,
    );
    assert.deepEqual(
      headers.toJSON().map(([name]) => name),
      ['Host', 'X-Trace', 'accept', 'ETag'],
    );
    assert.equal(headers.hasKnown(KnownHeader.accept), true);
    assert.equal(headers.countKnown(KnownHeader.accept), 1);
    assert.equal(headers.hasKnown(KnownHeader.setCookie), false);
    assert.equal(headers.hasKnown(KnownHeader.etag), true);
  });

  it('has nothing after clear, and can be used again', () => {
    const headers = HeaderMap.from(request);
    headers.clear();
    assert.deepEqual([...headers], []);
    assert.equal(headers.hasKnown(KnownHeader.host), false);
    assert.equal(headers.append('Host', 'b').get('host'), 'b');
  });

  it('makes clones that share nothing', () => {
    const headers = HeaderMap.from(request);
    const copy = headers.clone();
    copy.set('Host', 'other').append('X-More', '1');
    headers.delete('accept');
    assert.equal(headers.get('host'), 'example.com');
    assert.equal(headers.has('x-more'), false);
    assert.deepEqual(copy.getAll('accept'), ['text/html', 'image/png']);
    assert.equal(copy.countKnown(KnownHeader.accept), 2);
  });

  it('can be made from pairs, a Map, the web’s Headers, a record and another map', () => {
    const pairs: [string, string][] = [
      ['a', '1'],
      ['b', '2'],
    ];
    for (const init of [pairs, new Map(pairs), new Headers(pairs), { a: '1', b: ['2'] }, HeaderMap.from(pairs)]) {
      assert.deepEqual([...HeaderMap.from(init)], pairs);
    }
    const bare: Record<string, string> = { __proto__: null as never, a: '1', b: '2' };
    assert.deepEqual([...HeaderMap.from(bare)], pairs);
  });

  it('takes names of objects and numbers as ordinary names', () => {
    const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '0', '42', '4294967295'];
    const headers = new HeaderMap();
    for (const name of names) assert.equal(headers.get(name), undefined);
    for (const name of names) headers.append(name, `value of ${name}`);
    for (const name of names) assert.equal(headers.get(name.toUpperCase()), `value of ${name}`);
    assert.equal(HeaderMap.from(JSON.parse('{"__proto__":"1"}') as Record<string, string>).get('__proto__'), '1');
    for (const name of names) assert.equal(headers.delete(name), 1);
    assert.equal(headers.size, 0);
  });

  it('finds well-known names in a map of many lines, also after lines moved', () => {
    const headers = new HeaderMap();
    for (let i = 0; i < 200; i++) headers.append(`X-Filler-${i}`, String(i));
    headers.append('Cookie', 'a=1').append('Cookie', 'b=2');
    assert.equal(headers.getKnown(KnownHeader.cookie), 'a=1');
    assert.equal(headers.getKnown(KnownHeader.host), undefined);
    headers.append('Host', 'h').append('Cookie', 'c=3');
    assert.equal(headers.getKnown(KnownHeader.host), 'h');
    assert.equal(headers.getKnown(KnownHeader.cookie), 'a=1');
    headers.delete('x-filler-7');
    assert.equal(headers.getKnown(KnownHeader.cookie), 'a=1');
    assert.equal(headers.indexOfKnown(KnownHeader.cookie), 199);
    assert.deepEqual(headers.getAll('cookie'), ['a=1', 'b=2', 'c=3']);
    assert.equal(headers.delete('cookie'), 3);
    assert.equal(headers.getKnown(KnownHeader.cookie), undefined);
    assert.equal(headers.getKnown(KnownHeader.host), 'h');
  });

  it('takes what a decoder has validated as it is', () => {
    const headers = new HeaderMap();
    headers.appendTrusted('hOST', wellKnownId('hOST'), 'a');
    headers.appendTrusted('x-a', 0, 'b');
    assert.equal(headers.getKnown(KnownHeader.host), 'a');
    assert.deepEqual(
      [...headers],
      [
        ['hOST', 'a'],
        ['x-a', 'b'],
      ],
    );
  });

  it('shows its lines to console.log', () => {
    assert.equal(inspect(HeaderMap.from({ Host: 'a', 'X-B': '' })), 'HeaderMap(2) {\n  Host: a\n  X-B: \n}');
    assert.equal(inspect(new HeaderMap()), 'HeaderMap(0) {}');
  });
});

describe('HeaderMap refuses', () => {
  it('names that are no token, by TypeError with the name (CVE-2023-27493)', () => {
    for (const name of ['', 'a b', 'a:', 'Host\r\nX', 'é', 'x'.repeat(257), 'a\0']) {
      for (const insert of [
        () => new HeaderMap().append(name, ''),
        () => new HeaderMap().set(name, ''),
        () => HeaderMap.from([[name, '']]),
      ]) {
        assert.throws(insert, (error: Error) => error instanceof TypeError && error.message.startsWith('invalid field name: "'));
      }
    }
    assert.throws(() => new HeaderMap().append('X\r\nEvil', ''), /invalid field name: "X\\r\\nEvil"/);
  });

  it('values that would break a line, without showing them: they may be secrets', () => {
    for (const value of ['secret\r\nX: y', ' secret', 'secret\0', 'secret\u0100']) {
      for (const insert of [
        () => new HeaderMap().append('X-A', value),
        () => new HeaderMap().set('X-A', value),
        () => new HeaderMap().setKnown(KnownHeader.authorization, value),
        () => new HeaderMap().appendKnown(KnownHeader.authorization, value),
        () => HeaderMap.from({ a: ['ok', value] }),
      ]) {
        assert.throws(
          insert,
          (error: Error) =>
            error instanceof TypeError && error.message.startsWith('invalid value of field') && !error.message.includes('secret'),
        );
      }
    }
  });

  it('what is no string, also from programs without types', () => {
    const headers = new HeaderMap();
    assert.throws(() => headers.append('Content-Length', 5 as unknown as string), /the value of field "Content-Length" is not a string/);
    assert.throws(() => headers.append(undefined as unknown as string, 'a'), /invalid field name: "undefined"/);
    assert.equal(headers.size, 0);
  });

  it('a failed insert changes nothing', () => {
    const headers = HeaderMap.from(request);
    assert.throws(() => headers.set('Accept', '\n'), TypeError);
    assert.throws(() => headers.setKnown(KnownHeader.accept, '\n'), TypeError);
    assert.deepEqual([...headers], request);
  });

  it('lines that are not there, by RangeError', () => {
    const headers = HeaderMap.from(request);
    for (const line of [-1, 5, 1.5, Number.NaN, 2 ** 32]) {
      assert.throws(() => headers.nameAt(line), RangeError);
      assert.throws(() => headers.valueAt(line), RangeError);
      assert.throws(() => headers.idAt(line), /there is no field line/);
    }
  });
});
