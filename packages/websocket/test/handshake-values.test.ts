/** Values of handshake fields: extensions, keys, subprotocols. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { seededRandom } from '@ferrata/clock';
import {
  acceptDeflate,
  isCloseCode,
  isWebSocketKey,
  makeWebSocketKey,
  offerDeflate,
  parseExtensions,
  parseSubprotocols,
  readDeflateAnswer,
} from '@ferrata/websocket';

describe('permessage-deflate is negotiated (RFC 7692 §7.1)', () => {
  test('an offer says what its options want', () => {
    assert.equal(offerDeflate(), 'permessage-deflate; client_max_window_bits');
    assert.equal(
      offerDeflate({ serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 10, clientMaxWindowBits: 9 }),
      'permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; client_max_window_bits=9',
    );
    assert.throws(() => offerDeflate({ serverMaxWindowBits: 8 }), RangeError);
    assert.throws(() => offerDeflate({ clientMaxWindowBits: 16 }), RangeError);
  });

  test('a server takes the first offer that it can keep to', () => {
    const answers: [string, string | null][] = [
      ['permessage-deflate', 'permessage-deflate'],
      ['Permessage-Deflate ; Client_Max_Window_Bits', 'permessage-deflate'],
      ['permessage-deflate; client_max_window_bits=10', 'permessage-deflate; client_max_window_bits=10'],
      ['permessage-deflate; server_max_window_bits="10"', 'permessage-deflate; server_max_window_bits=10'],
      [
        'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
        'permessage-deflate; server_no_context_takeover; client_no_context_takeover',
      ],
      ['permessage-deflate; foo, permessage-deflate; server_max_window_bits=8', 'permessage-deflate; server_max_window_bits=8'],
      ['x-webkit-deflate-frame, permessage-deflate', 'permessage-deflate'],
      ['', null],
      ['x-webkit-deflate-frame', null],
      ['permessage-deflate; server_max_window_bits', null],
      ['permessage-deflate; server_max_window_bits=7', null],
      ['permessage-deflate; server_max_window_bits=16', null],
      ['permessage-deflate; server_max_window_bits=08', null],
      ['permessage-deflate; client_max_window_bits=a', null],
      ['permessage-deflate; server_no_context_takeover=1', null],
      ['permessage-deflate; server_no_context_takeover; server_no_context_takeover', null],
    ];
    for (const [offer, answer] of answers) assert.equal(acceptDeflate(offer)?.value ?? null, answer, offer);
  });

  test('a server bounds the window of a client only if that has offered it (§7.1.2.2)', () => {
    assert.equal(acceptDeflate('permessage-deflate', { clientMaxWindowBits: 10 })?.parameters.clientMaxWindowBits, 15);
    assert.equal(
      acceptDeflate('permessage-deflate; client_max_window_bits', { clientMaxWindowBits: 10 })?.parameters.clientMaxWindowBits,
      10,
    );
    assert.equal(
      acceptDeflate('permessage-deflate; client_max_window_bits=9', { clientMaxWindowBits: 10 })?.parameters.clientMaxWindowBits,
      9,
    );
  });

  test('a client takes what it has offered and nothing else', () => {
    assert.equal(readDeflateAnswer('', {}), null);
    assert.deepEqual(
      readDeflateAnswer('permessage-deflate; server_max_window_bits=9; client_max_window_bits=11', { clientNoContextTakeover: true }),
      {
        serverNoContextTakeover: false,
        clientNoContextTakeover: true,
        serverMaxWindowBits: 9,
        clientMaxWindowBits: 11,
      },
    );
    const wrong: [string, Parameters<typeof readDeflateAnswer>[1]][] = [
      ['permessage-deflate', null],
      ['other', {}],
      ['permessage-deflate, permessage-deflate', {}],
      ['permessage-deflate; client_max_window_bits', {}],
      ['permessage-deflate; unknown', {}],
      ['permessage-deflate', { serverNoContextTakeover: true }],
      ['permessage-deflate', { serverMaxWindowBits: 10 }],
      ['permessage-deflate; server_max_window_bits=11', { serverMaxWindowBits: 10 }],
    ];
    for (const [answer, options] of wrong)
      assert.throws(() => readDeflateAnswer(answer, options), { reason: 'WS_EXTENSION_UNOFFERED', status: 502 }, answer);
  });

  test('what is no list of extensions is refused (RFC 6455 §9.1)', () => {
    const wrong = [
      'a b',
      'a; =1',
      'a; b=',
      'a; b=c d',
      'a; b="c',
      'a; b="c,d"',
      ';a',
      'a; b c=1',
      new Array<string>(40).fill('a').join(),
      `a${'; b'.repeat(17)}`,
    ];
    for (const value of wrong) assert.throws(() => parseExtensions(value, 32), { reason: 'WS_EXTENSIONS_INVALID', status: 400 }, value);
    assert.deepEqual(parseExtensions(' A ;\tB = "c" , , d', 32), [
      { name: 'a', parameters: [{ name: 'b', value: 'c' }] },
      { name: 'd', parameters: [] },
    ]);
    assert.deepEqual(parseExtensions('a; b="\\c"', 32), [{ name: 'a', parameters: [{ name: 'b', value: 'c' }] }]);
  });
});

test('keys are 16 bytes in base64 (RFC 6455 §4.1, §4.2.1)', () => {
  const random = seededRandom(3);
  const keys = Array.from({ length: 50 }, () => makeWebSocketKey(random));
  assert.equal(new Set(keys).size, 50);
  for (const key of keys) {
    assert.equal(isWebSocketKey(key), true, key);
    assert.equal(Buffer.from(key, 'base64').length, 16);
    assert.equal(Buffer.from(key, 'base64').toString('base64'), key);
  }
  for (const key of ['', 'dGhlIHNhbXBsZSBub25jZQ=', 'dGhlIHNhbXBsZSBub25jZR==', 'dGhlIHNhbXBsZSBub25jZQ== ', 'dGhlIHNhbXBsZSBub25jZQ==='])
    assert.equal(isWebSocketKey(key), false, key);
  assert.equal(isWebSocketKey('dGhlIHNhbXBsZSBub25jZQ=='), true);
});

test('subprotocols are distinct tokens (RFC 6455 §4.1)', () => {
  assert.deepEqual(parseSubprotocols('chat, superchat\t,x'), ['chat', 'superchat', 'x']);
  for (const value of ['', ' , ,', 'a, a', 'a b', 'a/b', Array.from({ length: 101 }, (_, i) => `p${i}`).join()]) {
    assert.throws(() => parseSubprotocols(value), { reason: 'WS_PROTOCOLS_INVALID' }, value);
  }
});

test('empty elements of both lists are passed over, but not thousands, and nothing behind them goes unread (RFC 9110 §5.6.1.2)', () => {
  assert.deepEqual(parseSubprotocols(', a, ,,b\t,'), ['a', 'b']);
  assert.deepEqual(
    parseExtensions(',, a,\t,b', 32).map(({ name }) => name),
    ['a', 'b'],
  );
  assert.deepEqual(parseExtensions('', 32), []);
  for (const [count, last] of [
    [20, '@@@'],
    [70, 'permessage-deflate'],
    [70, '@@@'],
  ] as const) {
    assert.throws(() => parseExtensions(`${','.repeat(count)}${last}`, 32), { reason: 'WS_EXTENSIONS_INVALID' }, `${count} ${last}`);
  }
  assert.throws(() => parseSubprotocols(`${','.repeat(200)}a`), { reason: 'WS_PROTOCOLS_INVALID' });
});

test('the lists are read in linear time: each character is looked at a few times, whatever blanks there are, and by no regular expression', (t) => {
  const characters = t.mock.method(String.prototype, 'charCodeAt');
  const matches = t.mock.method(RegExp.prototype, 'exec');
  const blanks = ' '.repeat(1_000);
  for (const value of [
    `a${blanks}b`,
    `${blanks}a${blanks}`,
    `a,${blanks},b`,
    `${blanks}\t`.repeat(4),
    `a;${blanks}b=${blanks}"c${blanks}"`,
  ]) {
    characters.mock.resetCalls();
    for (const read of [parseSubprotocols, (text: string) => parseExtensions(text, 32)]) {
      try {
        read(value);
      } catch {
        // Refused: as linear as the rest.
      }
    }
    assert.ok(characters.mock.callCount() <= 8 * value.length, `${characters.mock.callCount()} looks at ${value.length} characters`);
  }
  assert.equal(matches.mock.callCount(), 0);
});

test('codes that may stand on the wire (RFC 6455 §7.4)', () => {
  assert.deepEqual([1000, 1003, 1014, 3000, 4999].map(isCloseCode), [true, true, true, true, true]);
  assert.deepEqual([999, 1004, 1005, 1006, 1015, 2999, 5000, 3000.5, Number.NaN].map(isCloseCode), new Array<boolean>(9).fill(false));
});
