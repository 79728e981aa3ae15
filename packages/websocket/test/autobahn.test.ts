/**
 * The case classes of the Autobahn test suite, written anew as tables: what a client sends, what a server tells and answers. Each case runs whole, byte by
 * byte, and in pieces of three.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, fromHex, utf8Encode } from '@ferrata/bytes';
import { Role } from '@ferrata/websocket';
import { closePayload, drive, frame, latin } from './drive.ts';

interface Case {
  readonly name: string;
  readonly bytes: readonly Uint8Array[];
  readonly events: readonly string[];
  readonly sent?: readonly string[];
}

const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
const notFinal = { isFinal: false };

function run(title: string, cases: readonly Case[]): void {
  describe(title, () => {
    for (const { name, bytes, events, sent } of cases) {
      test(name, () => {
        const whole = concatBytes(bytes);
        for (const size of [Number.POSITIVE_INFINITY, 1, 3]) {
          if (size < 100 && whole.length > 100_000) continue;
          const driven = drive(Role.server, whole.slice(), { size });
          assert.deepEqual(driven.events, events, `in pieces of ${size}`);
          if (sent !== undefined) assert.deepEqual(driven.sent, sent);
          assert.equal(driven.connection.bufferedBytes, 0);
        }
      });
    }
  });
}

/** A frame of which the two first bytes are given. */
function raw(first: number, second: number, rest: readonly number[] = []): Uint8Array {
  return Uint8Array.of(first, second, ...rest);
}

const sizes = [0, 1, 125, 126, 127, 128, 65_535, 65_536];
run('class 1, framing: a message of each size of length field (RFC 6455 §5.2)', [
  ...sizes.map((size) => ({ name: `text of ${size} bytes`, bytes: [frame(TEXT, '*'.repeat(size))], events: [`text:${'*'.repeat(size)}`] })),
  ...sizes.map((size) => ({
    name: `binary of ${size} bytes`,
    bytes: [frame(BINARY, new Uint8Array(size).fill(0xfe))],
    events: [`binary:${'þ'.repeat(size)}`],
  })),
]);

run('class 2, pings and pongs (RFC 6455 §5.5.2, §5.5.3)', [
  { name: 'an empty ping is answered', bytes: [frame(PING)], events: ['ping:'], sent: ['10:'] },
  { name: 'a ping with text is answered with the same', bytes: [frame(PING, 'Hello')], events: ['ping:Hello'], sent: ['10:Hello'] },
  {
    name: 'a ping with bytes that are no text',
    bytes: [frame(PING, fromHex('00fffefdfcfb00ff'))],
    events: [`ping:${latin(fromHex('00fffefdfcfb00ff'))}`],
  },
  {
    name: 'a ping of 125 bytes',
    bytes: [frame(PING, 'p'.repeat(125))],
    events: [`ping:${'p'.repeat(125)}`],
    sent: [`10:${'p'.repeat(125)}`],
  },
  { name: 'a ping of 126 bytes is refused', bytes: [raw(0x89, 0xfe)], events: ['error:WS_CONTROL_TOO_LONG'], sent: ['8:1002'] },
  { name: 'an unasked pong is told, and not answered', bytes: [frame(PONG, 'x')], events: ['pong:x'], sent: [] },
  { name: 'an unasked pong, then a ping', bytes: [frame(PONG), frame(PING, 'p')], events: ['pong:', 'ping:p'], sent: ['10:p'] },
  {
    name: 'ten pings get ten pongs in their order',
    bytes: Array.from({ length: 10 }, (_, i) => frame(PING, `${i}`)),
    events: Array.from({ length: 10 }, (_, i) => `ping:${i}`),
    sent: Array.from({ length: 10 }, (_, i) => `10:${i}`),
  },
]);

run(
  'class 3, reserved bits (RFC 6455 §5.2)',
  [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70].flatMap((bits) =>
    [TEXT, BINARY, CLOSE, PING, PONG].map((opcode) => ({
      name: `bits ${bits.toString(16)} on opcode ${opcode}`,
      bytes: [frame(TEXT, 'before'), raw(0x80 | bits | opcode, 0x80)],
      events: ['text:before', 'error:WS_RESERVED_BITS'],
      sent: ['8:1002'],
    })),
  ),
);

run(
  'class 4, reserved opcodes (RFC 6455 §5.2)',
  [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({
    name: `opcode ${opcode}`,
    bytes: [frame(TEXT, 'before'), raw(0x80 | opcode, 0x80)],
    events: ['text:before', 'error:WS_OPCODE_RESERVED'],
    sent: ['8:1002'],
  })),
);

run('class 5, fragments (RFC 6455 §5.4)', [
  { name: '5.1 a fragmented ping', bytes: [frame(PING, 'a', notFinal)], events: ['error:WS_CONTROL_FRAGMENTED'], sent: ['8:1002'] },
  { name: '5.2 a fragmented pong', bytes: [frame(PONG, 'a', notFinal)], events: ['error:WS_CONTROL_FRAGMENTED'] },
  { name: '5.3 text in two frames', bytes: [frame(TEXT, 'a', notFinal), frame(0, 'b')], events: ['text:ab'] },
  {
    name: '5.6 a ping between two fragments is answered at once',
    bytes: [frame(TEXT, 'a', notFinal), frame(PING, 'p'), frame(0, 'b')],
    events: ['ping:p', 'text:ab'],
    sent: ['10:p'],
  },
  { name: '5.9 a continuation of nothing', bytes: [frame(0, 'a')], events: ['error:WS_CONTINUATION_UNEXPECTED'], sent: ['8:1002'] },
  {
    name: '5.12 a continuation of nothing that is not final',
    bytes: [frame(0, 'a', notFinal)],
    events: ['error:WS_CONTINUATION_UNEXPECTED'],
  },
  {
    name: '5.15 a continuation after a whole message',
    bytes: [frame(TEXT, 'a', notFinal), frame(0, 'b'), frame(0, 'c')],
    events: ['text:ab', 'error:WS_CONTINUATION_UNEXPECTED'],
  },
  {
    name: '5.18 a message inside a message',
    bytes: [frame(TEXT, 'a', notFinal), frame(TEXT, 'b')],
    events: ['error:WS_CONTINUATION_MISSING'],
    sent: ['8:1002'],
  },
  {
    name: '5.19 five fragments with pings between them',
    bytes: [
      frame(TEXT, '1', notFinal),
      frame(0, '2', notFinal),
      frame(PING, 'x'),
      frame(0, '3', notFinal),
      frame(0, '4', notFinal),
      frame(PING, 'y'),
      frame(0, '5'),
    ],
    events: ['ping:x', 'ping:y', 'text:12345'],
    sent: ['10:x', '10:y'],
  },
  { name: '6.1.2 empty fragments', bytes: [frame(TEXT, '', notFinal), frame(0, '', notFinal), frame(0, '')], events: ['text:'] },
]);

const utf8Word = fromHex('cebae1bdb9cf83cebcceb5');
run('class 6, UTF-8 (RFC 6455 §8.1)', [
  { name: '6.2 a valid text in one frame', bytes: [frame(TEXT, utf8Word)], events: [`text:${latin(utf8Word)}`] },
  {
    name: '6.2.4 a text cut inside its characters',
    bytes: [...utf8Word].map((byte, i) => frame(i === 0 ? TEXT : 0, Uint8Array.of(byte), { isFinal: i === utf8Word.length - 1 })),
    events: [`text:${latin(utf8Word)}`],
  },
  {
    name: '6.3 an encoded surrogate',
    bytes: [frame(TEXT, concatBytes([utf8Word, fromHex('eda080'), utf8Encode('edited')]))],
    events: ['error:WS_TEXT_INVALID'],
    sent: ['8:1007'],
  },
  {
    name: '6.4.1 an impossible byte is found before the message is whole',
    bytes: [frame(TEXT, utf8Word, notFinal), frame(0, fromHex('f4908080'), notFinal)],
    events: ['error:WS_TEXT_INVALID'],
    sent: ['8:1007'],
  },
  {
    name: '6.4.3 an impossible byte is found before its frame is whole',
    // The frame announces 100 bytes and has sent 4 of them.
    bytes: [frame(TEXT, concatBytes([fromHex('f4908080'), new Uint8Array(96)])).subarray(0, 10)],
    events: ['error:WS_TEXT_INVALID'],
  },
  ...['c280', 'e0a080', 'f0908080', '00', '7f', 'dfbf', 'efbfbf', 'f48fbfbf', 'ed9fbf', 'ee8080', 'efbfbd', 'efbfbe', 'f09fbfbf'].map(
    (hex) => ({
      name: `valid ${hex}`,
      bytes: [frame(TEXT, fromHex(hex))],
      events: [`text:${latin(fromHex(hex))}`],
    }),
  ),
  ...[
    'f7bfbfbf',
    'f888808080',
    'fbbfbfbfbf',
    'fc8480808080',
    'f4908080',
    '80',
    'bf',
    '8080',
    'c020',
    'e0',
    'c0af',
    'e080af',
    'f08080af',
    'c1bf',
    'e09fbf',
    'f08fbfbf',
    'fe',
    'ff',
    'eda080',
    'edbfbf',
    'c3',
    'e282',
    'f09f92',
    'c328',
    'e228a1',
    'f0288cbc',
  ].map((hex) => ({ name: `invalid ${hex}`, bytes: [frame(TEXT, fromHex(hex))], events: ['error:WS_TEXT_INVALID'], sent: ['8:1007'] })),
]);

run('class 7, the closing handshake (RFC 6455 §5.5.1, §7)', [
  {
    name: '7.1.1 a message, then a Close',
    bytes: [frame(TEXT, 'a'), frame(CLOSE, closePayload(1000))],
    events: ['text:a', 'close:1000:'],
    sent: ['8:1000'],
  },
  {
    name: '7.1.2 a second Close is not looked at',
    bytes: [frame(CLOSE, closePayload(1000)), frame(CLOSE, closePayload(1001)).subarray(0, 0)],
    events: ['close:1000:'],
    sent: ['8:1000'],
  },
  { name: '7.3.1 a Close without a code', bytes: [frame(CLOSE)], events: ['close:1005:'], sent: ['8:'] },
  { name: '7.3.2 a Close of one byte', bytes: [frame(CLOSE, 'a')], events: ['error:WS_CLOSE_PAYLOAD_INVALID'], sent: ['8:1002'] },
  {
    name: '7.3.4 a Close with a reason',
    bytes: [frame(CLOSE, closePayload(1000, 'Hello'))],
    events: ['close:1000:Hello'],
    sent: ['8:1000'],
  },
  {
    name: '7.3.5 a Close with a reason of 123 bytes',
    bytes: [frame(CLOSE, closePayload(1000, '*'.repeat(123)))],
    events: [`close:1000:${'*'.repeat(123)}`],
  },
  { name: '7.3.6 a Close with a reason of 124 bytes', bytes: [raw(0x88, 0xfe)], events: ['error:WS_CONTROL_TOO_LONG'], sent: ['8:1002'] },
  {
    name: '7.5.1 a reason that is not UTF-8',
    bytes: [frame(CLOSE, closePayload(1000, fromHex('cebae1bdb9cf83cebcceb5eda080')))],
    events: ['error:WS_CLOSE_REASON_INVALID'],
    sent: ['8:1007'],
  },
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map((code) => ({
    name: `7.7 code ${code} is echoed`,
    bytes: [frame(CLOSE, closePayload(code))],
    events: [`close:${code}:`],
    sent: [`8:${code}`],
  })),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code) => ({
    name: `7.9 code ${code} may not stand on the wire`,
    bytes: [frame(CLOSE, closePayload(code))],
    events: ['error:WS_CLOSE_CODE_INVALID'],
    sent: ['8:1002'],
  })),
]);

test('class 7: bytes behind a Close are not looked at (RFC 6455 §1.4)', () => {
  const driven = drive(Role.server, concatBytes([frame(CLOSE, closePayload(1000)), frame(PING), Uint8Array.of(0xff, 0xff)]));
  assert.deepEqual(driven.events, ['close:1000:']);
  assert.deepEqual(driven.sent, ['8:1000']);
  assert.equal(driven.connection.shouldClose, true);
});

describe('class 9, large messages', () => {
  const mebibytes = 4 * 1_048_576;
  for (const fragment of [64, 256, 4_096, 65_536, mebibytes]) {
    test(`4 MiB in fragments of ${fragment} bytes`, () => {
      const script: Uint8Array[] = [];
      for (let at = 0; at < mebibytes; at += fragment) {
        script.push(frame(at === 0 ? BINARY : 0, new Uint8Array(fragment).fill(42), { isFinal: at + fragment === mebibytes }));
      }
      const { events } = drive(Role.server, concatBytes(script));
      assert.equal(events.length, 1);
      assert.equal(events[0]?.length, 'binary:'.length + mebibytes);
    });
  }
});

test('class 10: a message in automatic fragments of 1 300 bytes', () => {
  const text = '*'.repeat(65_536);
  const script: Uint8Array[] = [];
  for (let at = 0; at < text.length; at += 1_300)
    script.push(frame(at === 0 ? TEXT : 0, text.slice(at, at + 1_300), { isFinal: at + 1_300 >= text.length }));
  assert.deepEqual(drive(Role.server, concatBytes(script), { size: 997 }).events, [`text:${text}`]);
});
