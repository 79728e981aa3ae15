/** The sticky cookie: what it gives back, what it refuses, and that nobody else can make one. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { isFieldValue, type RequestHead, requestHead } from '@ferrata/headers';
import fc from 'fast-check';
import { StickyCookie, type StickyCookieOptions } from '../src/sticky-cookie.ts';

const OLD = 'an older secret of some length';
const CURRENT = 'the current secret of some length';
const NOW = 1_700_000_000_000;
const backends = ['192.0.2.1:80', '192.0.2.2:80', '[2001:db8::1]:80'].map((name) => ({ name }));
const [first, second] = backends as [{ name: string }, { name: string }];

function sticky(options: Partial<StickyCookieOptions> = {}): StickyCookie {
  return new StickyCookie({ secrets: [CURRENT], clock: new ManualClock({ wallNow: NOW }), ...options });
}

function asking(...lines: readonly string[]): RequestHead {
  return requestHead('GET', '/', { headers: lines.map((line) => ['Cookie', line] as const) });
}

/** What a browser sends back. */
function pairOf(setCookie: string): string {
  return setCookie.slice(0, setCookie.indexOf(';'));
}

function valueOf(setCookie: string): string {
  return pairOf(setCookie).slice(setCookie.indexOf('=') + 1);
}

describe('a sticky cookie', () => {
  test('leads back to the backend that it was set for', () => {
    const cookie = sticky();
    for (const backend of backends) {
      const claim = cookie.read(asking(`a=b; ${pairOf(cookie.setCookie(backend))}; c=d`));
      assert.ok(claim !== null);
      assert.equal(cookie.find(claim, backends), backend);
      assert.deepEqual([claim.secret, claim.issuedAt], [0, NOW]);
    }
  });

  test('is understood by every server with the same secret', () => {
    const claim = sticky().read(asking(pairOf(sticky().setCookie(second))));
    assert.ok(claim !== null);
    assert.equal(sticky({ secrets: [Buffer.from(CURRENT)] }).find(claim, backends), second);
  });

  test('has the safe attributes unless others are asked for', () => {
    const attributes = (options: Partial<StickyCookieOptions>): string =>
      sticky(options)
        .setCookie(first)
        .replace(/^[^;]*/, '');
    assert.equal(attributes({}), '; Path=/; Secure; HttpOnly; SameSite=Lax');
    assert.equal(
      attributes({ maxAgeSeconds: 3_600, path: '/app', domain: 'example.com', sameSite: 'strict', secure: false }),
      '; Path=/app; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=Strict',
    );
    assert.equal(attributes({ sameSite: 'none', name: '__Host-b' }), '; Path=/; Secure; HttpOnly; SameSite=None');
    assert.ok(isFieldValue(sticky().setCookie(first)));
  });

  test('does not tell the name of the backend, and another secret makes another id', () => {
    const ids = [sticky(), sticky({ secrets: [OLD] })].map((cookie) => {
      const bytes = Buffer.from(valueOf(cookie.setCookie(first)), 'base64url');
      assert.equal(bytes.length, 33);
      assert.ok(!bytes.includes('192.0.2'));
      return bytes.toString('hex', 1, 13);
    });
    assert.notEqual(ids[0], ids[1]);
  });

  test('says null for a backend that is gone, and finds it when it is back', () => {
    const cookie = sticky();
    const claim = cookie.read(asking(pairOf(cookie.setCookie(second))));
    assert.ok(claim !== null);
    assert.equal(cookie.find(claim, [first]), null);
    assert.equal(cookie.find(claim, []), null);
    const again = { name: second.name };
    assert.equal(cookie.find(claim, [again, first]), again);
  });

  test('looks at a list once: whoever is found comes from the map', () => {
    const cookie = sticky();
    const claim = cookie.read(asking(pairOf(cookie.setCookie(first))));
    assert.ok(claim !== null);
    let readings = 0;
    const list = [
      {
        get name(): string {
          readings++;
          return first.name;
        },
      },
    ];
    cookie.find(claim, list);
    const once = readings;
    assert.ok(once > 0);
    for (let time = 0; time < 10; time++) assert.equal(cookie.find(claim, list), list[0]);
    assert.equal(readings, once);
  });
});

describe('forgery', () => {
  const cookie = sticky();
  const value = valueOf(cookie.setCookie(first));

  test('no bit of a value can be changed', () => {
    const bytes = Buffer.from(value, 'base64url');
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes);
      forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.equal(cookie.read(asking(`ferrata-backend=${forged.toString('base64url')}`)), null, `bit ${bit}`);
    }
  });

  test('no letter of a value can be another one', () => {
    for (let at = 0; at < value.length; at++) {
      for (const letter of 'AQgz059-_+/=" %') {
        if (letter === value[at]) continue;
        const forged = `${value.slice(0, at)}${letter}${value.slice(at + 1)}`;
        assert.equal(cookie.read(asking(`ferrata-backend=${forged}; a=b`)), null, `${letter} at ${at}`);
      }
    }
  });

  test('no value can be cut or made longer', () => {
    for (let length = 0; length < value.length; length++)
      assert.equal(cookie.read(asking(`ferrata-backend=${value.slice(0, length)}`)), null);
    for (const more of ['A', 'AAAA', '=', value]) assert.equal(cookie.read(asking(`ferrata-backend=${value}${more}`)), null);
  });

  test('a value in the other alphabet of base64 is none: each is written in one way', () => {
    // Among a hundred values at least one has a letter in which the alphabets differ.
    const all = Array.from({ length: 100 }, (_, index) => valueOf(cookie.setCookie({ name: `b${index}` })));
    const different = all.filter((one) => /[-_]/.test(one));
    assert.ok(different.length > 0);
    for (const one of different) {
      assert.ok(cookie.read(asking(`ferrata-backend=${one}`)) !== null);
      assert.equal(cookie.read(asking(`ferrata-backend=${one.replaceAll('-', '+').replaceAll('_', '/')}`)), null);
    }
  });

  test('a value signed with another secret is none', () => {
    assert.equal(sticky({ secrets: [OLD] }).read(asking(`ferrata-backend=${value}`)), null);
  });

  test('a value of a cookie of another name is none', () => {
    assert.equal(sticky({ name: 'other' }).read(asking(`other=${value}`)), null);
    assert.equal(cookie.read(asking(`Ferrata-Backend=${value}`)), null);
  });
});

describe('several cookies of the name', () => {
  const cookie = sticky();
  const good = pairOf(cookie.setCookie(first));

  test('the first good one counts, wherever it stands', () => {
    for (const lines of [[`ferrata-backend=x; ${good}`], ['ferrata-backend=x', good], [`${good}; ${pairOf(cookie.setCookie(second))}`]]) {
      const claim = cookie.read(asking(...lines));
      assert.ok(claim !== null);
      assert.equal(cookie.find(claim, backends), first);
    }
  });

  test('only a few are looked at', () => {
    assert.ok(cookie.read(asking(`${'ferrata-backend=x; '.repeat(3)}${good}`)) !== null);
    assert.equal(cookie.read(asking(`${'ferrata-backend=x; '.repeat(4)}${good}`)), null);
  });

  test('no cookie is no claim', () => {
    assert.equal(cookie.read(asking()), null);
    assert.equal(cookie.read(asking('a=b')), null);
  });
});

describe('secrets that change', () => {
  const before = sticky({ secrets: [OLD] });
  const after = sticky({ secrets: [CURRENT, OLD] });
  const pair = pairOf(before.setCookie(second));

  test('an older secret is accepted, leads to the same backend, and asks to be written anew', () => {
    const claim = after.read(asking(pair));
    assert.ok(claim !== null);
    assert.equal(claim.secret, 1);
    assert.equal(after.find(claim, backends), second);
    assert.equal(after.needsRefresh(claim), true);
    const renewed = after.read(asking(pairOf(after.setCookie(second))));
    assert.ok(renewed !== null);
    assert.equal(after.find(renewed, backends), second);
    assert.equal(after.needsRefresh(renewed), false);
  });

  test('a secret that was taken away is accepted no more, and a claim of it finds nothing', () => {
    assert.equal(sticky().read(asking(pair)), null);
    const claim = after.read(asking(pair));
    assert.ok(claim !== null);
    assert.equal(sticky().find(claim, backends), null);
  });
});

describe('time', () => {
  const cookie = sticky({ maxAgeSeconds: 100 });
  const request = asking(pairOf(cookie.setCookie(first, NOW)));

  test('a claim is good for maxAgeSeconds, and is to be written anew after half of them', () => {
    const claim = cookie.read(request, NOW + 100_000);
    assert.ok(claim !== null);
    assert.equal(cookie.read(request, NOW + 100_001), null);
    assert.equal(cookie.needsRefresh(claim, NOW + 50_000), false);
    assert.equal(cookie.needsRefresh(claim, NOW + 50_001), true);
  });

  test('a claim from ahead is good as far as clocks may differ', () => {
    assert.ok(cookie.read(request, NOW - 300_000) !== null);
    assert.equal(cookie.read(request, NOW - 300_001), null);
  });

  test('without maxAgeSeconds it does not age', () => {
    const claim = sticky().read(request, NOW + 1e12);
    assert.ok(claim !== null);
    assert.equal(sticky().needsRefresh(claim, NOW + 1e12), false);
  });

  test('the time is that of the clock where none is given', () => {
    const clock = new ManualClock({ wallNow: NOW });
    const timed = sticky({ maxAgeSeconds: 1, clock });
    const asked = asking(pairOf(timed.setCookie(first)));
    assert.ok(timed.read(asked) !== null);
    clock.setWallNow(NOW + 2_000);
    assert.equal(timed.read(asked), null);
  });
});

describe('options', () => {
  test('what could end the field, or begin another attribute, is refused', () => {
    for (const bad of ['', 'a;b', 'a b', 'a=b', 'a\r\nb', 'a,b', 'ü', '"a"']) assert.throws(() => sticky({ name: bad }), TypeError, bad);
    for (const bad of ['', 'a', '/a;b', '/a\r\nSet-Cookie: x', '/a\0', '/ü', '/\x7f'])
      assert.throws(() => sticky({ path: bad }), TypeError, bad);
    for (const bad of ['', 'a;b', 'a b', 'a\nb', '-a', 'a..b', 'a/b', 'a'.repeat(64), 'a.'.repeat(130)])
      assert.throws(() => sticky({ domain: bad }), TypeError, bad);
    for (const bad of ['Lax', '', 'lax; x', 'toString']) assert.throws(() => sticky({ sameSite: bad as never }), TypeError, bad);
    assert.throws(() => sticky({ secure: 1 as never }), TypeError);
  });

  test('what browsers refuse is refused', () => {
    assert.throws(() => sticky({ sameSite: 'none', secure: false }), TypeError);
    assert.throws(() => sticky({ name: '__Secure-a', secure: false }), TypeError);
    for (const options of [{ secure: false }, { path: '/a' }, { domain: 'a.example' }])
      assert.throws(() => sticky({ name: '__host-a', ...options }), TypeError);
  });

  test('secrets must be enough of them, and long enough', () => {
    assert.throws(() => sticky({ secrets: [] }), RangeError);
    assert.throws(() => sticky({ secrets: Array.from({ length: 9 }, () => CURRENT) }), RangeError);
    assert.throws(() => sticky({ secrets: ['short'] }), RangeError);
    assert.throws(() => sticky({ secrets: [new Uint8Array(15)] }), RangeError);
    assert.throws(() => sticky({ secrets: CURRENT as never }), TypeError);
    assert.throws(() => sticky({ secrets: [1 as never] }), TypeError);
  });

  test('maxAgeSeconds has a range', () => {
    for (const maxAgeSeconds of [0, -1, 1.5, Infinity, 34_560_001]) assert.throws(() => sticky({ maxAgeSeconds }), RangeError);
  });
});

test('any text of cookies gives a claim or null', () => {
  const cookie = sticky({ secrets: [CURRENT, OLD] });
  const good = valueOf(cookie.setCookie(first));
  const piece = fc.oneof(
    fc.constantFrom('ferrata-backend', '=', ';', '; ', good, good.slice(0, 20), 'A'.repeat(44), 'AQ', '"'),
    fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)), maxLength: 50 }),
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 20 }), (pieces) => {
      const line = pieces.join('').trim();
      const claim = cookie.read(asking(line));
      if (claim === null) return;
      assert.ok(line.includes(`ferrata-backend=${good}`));
      assert.equal(cookie.find(claim, backends), first);
    }),
  );
});
