/**
 * The case classes of the Autobahn test suite, written anew as tables: what one end sends, what the other tells and answers. Each case runs in both roles,
 * whole, byte by byte, and in pieces of three. Classes 12 and 13 are in `deflate.test.ts`.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, fromHex, toHex, utf8Encode } from '@ferrata/bytes';
import { type FrameHeader, Role, WebSocketConnection, WebSocketEvent } from '@ferrata/websocket';
import { closePayload, drive, frame, KEY, latin } from './drive.ts';

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

/** Frames as the peer sends them: a client's have a mask. */
class Peer {
  readonly role: Role;
  readonly keyBytes: number;

  /** @param role of the end under test */
  constructor(role: Role) {
    this.role = role;
    this.keyBytes = role === Role.server ? 4 : 0;
  }

  frame(opcode: number, payload: string | Uint8Array = '', header: Partial<FrameHeader> = {}): Uint8Array {
    return frame(opcode, payload, { key: this.role === Role.server ? KEY : null, ...header });
  }

  /** The two first bytes of a frame, and no more. */
  raw(first: number, length: number): Uint8Array {
    return Uint8Array.of(first, (this.role === Role.server ? 0x80 : 0) | length);
  }
}

const PEERS = [
  ['a server', new Peer(Role.server)],
  ['a client', new Peer(Role.client)],
] as const;

function run(title: string, casesOf: (peer: Peer) => readonly Case[]): void {
  for (const [who, peer] of PEERS) {
    describe(`${title}; ${who}`, () => {
      for (const { name, bytes, events, sent } of casesOf(peer)) {
        test(name, () => {
          const whole = concatBytes(bytes);
          for (const size of [Number.POSITIVE_INFINITY, 1, 3]) {
            if (size < 100 && whole.length > 100_000) continue;
            const driven = drive(peer.role, whole.slice(), { size });
            assert.deepEqual(driven.events, events, `in pieces of ${size}`);
            if (sent !== undefined) assert.deepEqual(driven.sent, sent);
            assert.equal(driven.connection.bufferedBytes, 0);
          }
        });
      }
    });
  }
}

const sizes = [0, 1, 125, 126, 127, 128, 65_535, 65_536];
run('class 1, framing: a message of each size of length field (RFC 6455 §5.2)', (peer) => [
  ...sizes.map((size) => ({
    name: `text of ${size} bytes`,
    bytes: [peer.frame(TEXT, '*'.repeat(size))],
    events: [`text:${'*'.repeat(size)}`],
  })),
  ...sizes.map((size) => ({
    name: `binary of ${size} bytes`,
    bytes: [peer.frame(BINARY, new Uint8Array(size).fill(0xfe))],
    events: [`binary:${'þ'.repeat(size)}`],
  })),
]);

run('class 2, pings and pongs (RFC 6455 §5.5.2, §5.5.3)', (peer) => [
  { name: 'an empty ping is answered', bytes: [peer.frame(PING)], events: ['ping:'], sent: ['10:'] },
  { name: 'a ping with text is answered with the same', bytes: [peer.frame(PING, 'Hello')], events: ['ping:Hello'], sent: ['10:Hello'] },
  {
    name: 'a ping with bytes that are no text',
    bytes: [peer.frame(PING, fromHex('00fffefdfcfb00ff'))],
    events: [`ping:${latin(fromHex('00fffefdfcfb00ff'))}`],
  },
  {
    name: 'a ping of 125 bytes',
    bytes: [peer.frame(PING, 'p'.repeat(125))],
    events: [`ping:${'p'.repeat(125)}`],
    sent: [`10:${'p'.repeat(125)}`],
  },
  { name: 'a ping of 126 bytes is refused', bytes: [peer.raw(0x89, 0x7e)], events: ['error:WS_CONTROL_TOO_LONG'], sent: ['8:1002'] },
  { name: 'an unasked pong is told, and not answered', bytes: [peer.frame(PONG, 'x')], events: ['pong:x'], sent: [] },
  { name: 'an unasked pong, then a ping', bytes: [peer.frame(PONG), peer.frame(PING, 'p')], events: ['pong:', 'ping:p'], sent: ['10:p'] },
  {
    name: 'ten pings get ten pongs in their order',
    bytes: Array.from({ length: 10 }, (_, i) => peer.frame(PING, `${i}`)),
    events: Array.from({ length: 10 }, (_, i) => `ping:${i}`),
    sent: Array.from({ length: 10 }, (_, i) => `10:${i}`),
  },
]);

run('class 3, reserved bits (RFC 6455 §5.2)', (peer) =>
  [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70].flatMap((bits) =>
    [TEXT, BINARY, CLOSE, PING, PONG].map((opcode) => ({
      name: `bits ${bits.toString(16)} on opcode ${opcode}`,
      bytes: [peer.frame(TEXT, 'before'), peer.raw(0x80 | bits | opcode, 0)],
      events: ['text:before', 'error:WS_RESERVED_BITS'],
      sent: ['8:1002'],
    })),
  ),
);

run('class 4, reserved opcodes (RFC 6455 §5.2)', (peer) =>
  [3, 4, 5, 6, 7, 11, 12, 13, 14, 15].map((opcode) => ({
    name: `opcode ${opcode}`,
    bytes: [peer.frame(TEXT, 'before'), peer.raw(0x80 | opcode, 0)],
    events: ['text:before', 'error:WS_OPCODE_RESERVED'],
    sent: ['8:1002'],
  })),
);

run('class 5, fragments (RFC 6455 §5.4)', (peer) => [
  { name: '5.1 a fragmented ping', bytes: [peer.frame(PING, 'a', notFinal)], events: ['error:WS_CONTROL_FRAGMENTED'], sent: ['8:1002'] },
  { name: '5.2 a fragmented pong', bytes: [peer.frame(PONG, 'a', notFinal)], events: ['error:WS_CONTROL_FRAGMENTED'] },
  { name: '5.3 text in two frames', bytes: [peer.frame(TEXT, 'a', notFinal), peer.frame(0, 'b')], events: ['text:ab'] },
  {
    name: '5.6 a ping between two fragments is answered at once',
    bytes: [peer.frame(TEXT, 'a', notFinal), peer.frame(PING, 'p'), peer.frame(0, 'b')],
    events: ['ping:p', 'text:ab'],
    sent: ['10:p'],
  },
  { name: '5.9 a continuation of nothing', bytes: [peer.frame(0, 'a')], events: ['error:WS_CONTINUATION_UNEXPECTED'], sent: ['8:1002'] },
  {
    name: '5.12 a continuation of nothing that is not final',
    bytes: [peer.frame(0, 'a', notFinal)],
    events: ['error:WS_CONTINUATION_UNEXPECTED'],
  },
  {
    name: '5.15 a continuation after a whole message',
    bytes: [peer.frame(TEXT, 'a', notFinal), peer.frame(0, 'b'), peer.frame(0, 'c')],
    events: ['text:ab', 'error:WS_CONTINUATION_UNEXPECTED'],
  },
  {
    name: '5.18 a message inside a message',
    bytes: [peer.frame(TEXT, 'a', notFinal), peer.frame(TEXT, 'b')],
    events: ['error:WS_CONTINUATION_MISSING'],
    sent: ['8:1002'],
  },
  {
    name: '5.19 five fragments with pings between them',
    bytes: [
      peer.frame(TEXT, '1', notFinal),
      peer.frame(0, '2', notFinal),
      peer.frame(PING, 'x'),
      peer.frame(0, '3', notFinal),
      peer.frame(0, '4', notFinal),
      peer.frame(PING, 'y'),
      peer.frame(0, '5'),
    ],
    events: ['ping:x', 'ping:y', 'text:12345'],
    sent: ['10:x', '10:y'],
  },
  {
    name: '6.1.3 empty fragments around one that is not',
    bytes: [peer.frame(TEXT, '', notFinal), peer.frame(0, 'middle', notFinal), peer.frame(0, '')],
    events: ['text:middle'],
  },
  {
    name: '6.1.2 empty fragments',
    bytes: [peer.frame(TEXT, '', notFinal), peer.frame(0, '', notFinal), peer.frame(0, '')],
    events: ['text:'],
  },
]);

const utf8Word = fromHex('cebae1bdb9cf83cebcceb5');
run('class 6, UTF-8 (RFC 6455 §8.1)', (peer) => [
  // 6.6: a text that ends within a character is none; one that ends behind one is.
  ...Array.from(utf8Word, (_, i) => {
    const prefix = utf8Word.subarray(0, i + 1);
    const isWhole = [2, 5, 7, 9, 11].includes(prefix.length);
    return {
      name: `6.6.${i + 1} ${toHex(prefix)}`,
      bytes: [peer.frame(TEXT, prefix)],
      events: isWhole ? [`text:${latin(prefix)}`] : ['error:WS_TEXT_INVALID'],
      sent: isWhole ? [] : ['8:1007'],
    };
  }),
  ...Array.from({ length: 0xfe - 0xc0 }, (_, i) => ({
    name: `6.13 the lead byte ${(0xc0 + i).toString(16)} before a blank`,
    bytes: [peer.frame(TEXT, Uint8Array.of(0xc0 + i, 0x20))],
    events: ['error:WS_TEXT_INVALID'],
  })),
  { name: '6.2 a valid text in one frame', bytes: [peer.frame(TEXT, utf8Word)], events: [`text:${latin(utf8Word)}`] },
  {
    name: '6.2.4 a text cut inside its characters',
    bytes: [...utf8Word].map((byte, i) => peer.frame(i === 0 ? TEXT : 0, Uint8Array.of(byte), { isFinal: i === utf8Word.length - 1 })),
    events: [`text:${latin(utf8Word)}`],
  },
  {
    name: '6.3 an encoded surrogate',
    bytes: [peer.frame(TEXT, concatBytes([utf8Word, fromHex('eda080'), utf8Encode('edited')]))],
    events: ['error:WS_TEXT_INVALID'],
    sent: ['8:1007'],
  },
  {
    name: '6.4.1 an impossible byte is found before the message is whole',
    bytes: [peer.frame(TEXT, utf8Word, notFinal), peer.frame(0, fromHex('f4908080'), notFinal)],
    events: ['error:WS_TEXT_INVALID'],
    sent: ['8:1007'],
  },
  {
    name: '6.4.3 an impossible byte is found before its frame is whole',
    // The frame announces 100 bytes and has sent 4 of them.
    bytes: [peer.frame(TEXT, concatBytes([fromHex('f4908080'), new Uint8Array(96)])).subarray(0, 6 + peer.keyBytes)],
    events: ['error:WS_TEXT_INVALID'],
  },
  ...['c280', 'e0a080', 'f0908080', '00', '7f', 'dfbf', 'efbfbf', 'f48fbfbf', 'ed9fbf', 'ee8080', 'efbfbd', 'efbfbe', 'f09fbfbf'].map(
    (hex) => ({
      name: `valid ${hex}`,
      bytes: [peer.frame(TEXT, fromHex(hex))],
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
    'fdbfbfbfbfbf',
    // 6.19: NUL in more bytes than it has.
    'c080',
    'e08080',
    'f0808080',
    'f880808080',
    'fc8080808080',
    // 6.21: surrogates in pairs.
    'eda080edb080',
    'eda080edbfbf',
    'edadbfedb080',
    'edadbfedbfbf',
    'edae80edb080',
    'edae80edbfbf',
    'edafbfedb080',
    'edafbfedbfbf',
  ].map((hex) => ({
    name: `invalid ${hex}`,
    bytes: [peer.frame(TEXT, fromHex(hex))],
    events: ['error:WS_TEXT_INVALID'],
    sent: ['8:1007'],
  })),
]);

run('class 7, the closing handshake (RFC 6455 §5.5.1, §7)', (peer) => [
  {
    name: '7.1.1 a message, then a Close',
    bytes: [peer.frame(TEXT, 'a'), peer.frame(CLOSE, closePayload(1000))],
    events: ['text:a', 'close:1000:'],
    sent: ['8:1000'],
  },
  {
    name: '7.1.2 a second Close is not looked at',
    bytes: [peer.frame(CLOSE, closePayload(1000)), peer.frame(CLOSE, closePayload(1001))],
    events: ['close:1000:'],
    sent: ['8:1000'],
  },
  {
    name: '7.1.5 a Close between two fragments, of which the second is not looked at',
    bytes: [peer.frame(TEXT, 'a', notFinal), peer.frame(CLOSE, closePayload(1000)), peer.frame(0, 'b')],
    events: ['close:1000:'],
    sent: ['8:1000'],
  },
  { name: '7.3.1 a Close without a code', bytes: [peer.frame(CLOSE)], events: ['close:1005:'], sent: ['8:'] },
  { name: '7.3.2 a Close of one byte', bytes: [peer.frame(CLOSE, 'a')], events: ['error:WS_CLOSE_PAYLOAD_INVALID'], sent: ['8:1002'] },
  {
    name: '7.3.4 a Close with a reason',
    bytes: [peer.frame(CLOSE, closePayload(1000, 'Hello'))],
    events: ['close:1000:Hello'],
    sent: ['8:1000'],
  },
  {
    name: '7.3.5 a Close with a reason of 123 bytes',
    bytes: [peer.frame(CLOSE, closePayload(1000, '*'.repeat(123)))],
    events: [`close:1000:${'*'.repeat(123)}`],
  },
  {
    name: '7.3.6 a Close with a reason of 124 bytes',
    bytes: [peer.raw(0x88, 0x7e)],
    events: ['error:WS_CONTROL_TOO_LONG'],
    sent: ['8:1002'],
  },
  {
    name: '7.5.1 a reason that is not UTF-8',
    bytes: [peer.frame(CLOSE, closePayload(1000, fromHex('cebae1bdb9cf83cebcceb5eda080')))],
    events: ['error:WS_CLOSE_REASON_INVALID'],
    sent: ['8:1007'],
  },
  ...[1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999].map((code) => ({
    name: `7.7 code ${code} is echoed`,
    bytes: [peer.frame(CLOSE, closePayload(code))],
    events: [`close:${code}:`],
    sent: [`8:${code}`],
  })),
  ...[0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535].map((code) => ({
    name: `7.9 code ${code} may not stand on the wire`,
    bytes: [peer.frame(CLOSE, closePayload(code))],
    events: ['error:WS_CLOSE_CODE_INVALID'],
    sent: ['8:1002'],
  })),
]);

for (const [who, peer] of PEERS) {
  test(`class 7: bytes behind a Close are not looked at (RFC 6455 §1.4); ${who}`, () => {
    const driven = drive(peer.role, concatBytes([peer.frame(CLOSE, closePayload(1000)), peer.frame(PING), Uint8Array.of(0xff, 0xff)]));
    assert.deepEqual(driven.events, ['close:1000:']);
    assert.deepEqual(driven.sent, ['8:1000']);
    // A client leaves the end of the connection to the server (§7.1.1).
    assert.equal(driven.connection.shouldClose, peer.role === Role.server);
  });
}

/** Sums of what is told, where writing it down would take longer than all else. */
function weigh(peer: Peer, bytes: Uint8Array, size = Number.POSITIVE_INFINITY): { readonly messages: number; readonly bytes: number } {
  const connection = new WebSocketConnection(peer.role, 0);
  const told = { messages: 0, bytes: 0 };
  for (let at = 0; at < bytes.length; at += size) {
    connection.receive(bytes.subarray(at, Math.min(bytes.length, at + size)), 0);
    while (connection.nextEvent(0)) {
      if (connection.event === WebSocketEvent.messageEnd) told.messages++;
      else if (connection.event === WebSocketEvent.data) told.bytes += connection.data.length;
    }
  }
  return told;
}

for (const [who, peer] of PEERS) {
  describe(`class 9, large messages; ${who}`, () => {
    const kibibyte = 1_024;
    for (const opcode of [TEXT, BINARY]) {
      const word = opcode === TEXT ? 'text' : 'binary';
      for (const kibibytes of [64, 256, 1_024, 4_096, 8_192, 16_384]) {
        test(`9.1, 9.2 ${word} of ${kibibytes} KiB in one frame`, () => {
          const payload = new Uint8Array(kibibytes * kibibyte).fill(0x2a);
          assert.deepEqual(weigh(peer, peer.frame(opcode, payload)), { messages: 1, bytes: payload.length });
        });
      }

      for (const fragment of [64, 256, 4_096, 65_536, 1_048_576, 4_194_304]) {
        test(`9.3, 9.4 ${word} of 4 MiB in fragments of ${fragment} bytes`, () => {
          const length = 4_194_304;
          const payload = new Uint8Array(fragment).fill(0x2a);
          const frames: Uint8Array[] = [];
          for (let at = 0; at < length; at += fragment) {
            frames.push(peer.frame(at === 0 ? opcode : 0, payload, { isFinal: at + fragment === length }));
          }
          assert.deepEqual(weigh(peer, concatBytes(frames)), { messages: 1, bytes: length });
        });
      }

      for (const chop of [64, 2_048]) {
        test(`9.5, 9.6 ${word} of 1 MiB that comes in pieces of ${chop} bytes`, () => {
          const payload = new Uint8Array(1_048_576).fill(0x2a);
          assert.deepEqual(weigh(peer, peer.frame(opcode, payload), chop), { messages: 1, bytes: payload.length });
        });
      }

      test(`9.7, 9.8 1 000 messages of ${word}, of 0 to 4 096 bytes`, () => {
        for (const size of [0, 16, 256, 4_096]) {
          const messages = concatBytes(new Array<Uint8Array>(1_000).fill(peer.frame(opcode, new Uint8Array(size))));
          assert.deepEqual(weigh(peer, messages, 65_536), { messages: 1_000, bytes: 1_000 * size });
        }
      });

      test(`${word} of a byte more than 16 MiB is 1009`, () => {
        // Its header says enough.
        const start = peer.frame(opcode, new Uint8Array(16 * 1_048_576 + 1)).subarray(0, 100);
        const { events, sent } = drive(peer.role, start);
        assert.deepEqual([events, sent], [['error:WS_MESSAGE_TOO_LARGE'], ['8:1009']]);
      });
    }
  });
}

for (const [who, peer] of PEERS) {
  test(`class 10: a message in automatic fragments of 1 300 bytes; ${who}`, () => {
    const text = '*'.repeat(65_536);
    const script: Uint8Array[] = [];
    for (let at = 0; at < text.length; at += 1_300)
      script.push(peer.frame(at === 0 ? TEXT : 0, text.slice(at, at + 1_300), { isFinal: at + 1_300 >= text.length }));
    assert.deepEqual(drive(peer.role, concatBytes(script), { size: 997 }).events, [`text:${text}`]);
  });
}
