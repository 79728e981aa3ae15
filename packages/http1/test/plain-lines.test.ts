/** Lines are read by words where they are whole and plain, and by bytes otherwise: both must see the same, wherever in a word a byte lies. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { MessageEvent, RequestDecoder, ResponseDecoder } from '../src/index.ts';

const START = 'GET / HTTP/1.1\r\nHost: a\r\n';
const END = '\r\nX-After: 1\r\n\r\n';

/** What one request is read as: its fields, or the reason why it is none. */
function read(chunks: readonly Uint8Array[], decoder = new RequestDecoder()): string {
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      while (decoder.next()) if (decoder.event === MessageEvent.head) return JSON.stringify(decoder.head.headers);
    }
    return 'incomplete';
  } catch (error) {
    if (!isWireError(error)) throw error;
    return error.reason;
  }
}

function everyByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

describe('plain lines', () => {
  test('any byte at any place of a name or a value means the same, whole and a byte at a time (RFC 9110 §5.1, §5.5)', () => {
    let accepted = 0;
    for (const [before, after] of [
      ['', 'bcdefghi: v'],
      ['ab', 'cdefgh: v'],
      ['abcdefg', ': value'],
      ['abcdefgh', 'i:v'],
      ['n: ', ''],
      ['n: a', 'z'],
      ['nam: value of', ' some length'],
      ['name: value of so', 'me length'],
      ['name: value of ', 'a'],
    ] as const) {
      for (let byte = 0; byte < 256; byte++) {
        const bytes = concatBytes([latin1Encode(START + before), Uint8Array.of(byte), latin1Encode(after + END)]);
        const whole = read([bytes]);
        assert.equal(whole, read(everyByte(bytes)), `byte ${byte} between "${before}" and "${after}"`);
        if (whole.startsWith('[')) accepted++;
      }
    }
    // 77 token bytes and the colon; 224 bytes of a value, less what stands elsewhere for it. Neither all nor none.
    assert.ok(accepted > 9 * 60 && accepted < 9 * 240, `${accepted}`);
  });

  test('a control byte behind bytes above 0x7f or HTAB in the same word is found (RFC 9110 §5.5)', () => {
    for (const place of [0, 1, 2, 3, 4, 5, 6, 7]) {
      for (const usual of ['\xff', '\x80', '\t']) {
        for (const [wrong, reason] of [
          ['\0', 'H1_CONTROL_BYTE'],
          ['\x1f', 'H1_CONTROL_BYTE'],
          ['\x7f', 'H1_CONTROL_BYTE'],
          ['\n', 'H1_BARE_LF'],
          ['\rx', 'H1_BARE_CR'],
        ] as const) {
          const bytes = latin1Encode(`${START}N: ${'x'.repeat(place)}${usual}${wrong}yz${END}`);
          assert.equal(read([bytes]), reason, JSON.stringify([place, usual, wrong]));
        }
      }
    }
  });

  test('names and values of every length up to 40 are kept whole', () => {
    for (let name = 1; name <= 40; name++) {
      for (let value = 0; value <= 40; value++) {
        const pair = ['N'.repeat(name), 'v'.repeat(value)] as const;
        const expected = JSON.stringify([['Host', 'a'], pair, ['X-After', '1']]);
        assert.equal(read([latin1Encode(`${START}${pair[0]}: ${pair[1]}${END}`)]), expected);
      }
    }
  });

  test('bytes of one head never show in a later one that is cut, of the same decoder or of another', () => {
    const long = latin1Encode(`${START}X-Secret: ${'s'.repeat(200)}\r\nX-Secret: ${'t'.repeat(200)}\r\n\r\n`);
    const short = latin1Encode(`${START}X-Open: value${END}`);
    const expected = read([short]);
    for (let cut = 1; cut < short.length; cut++) {
      const decoder = new RequestDecoder();
      read([long]);
      read([long], decoder);
      while (decoder.next());
      assert.equal(read([short.slice(0, cut)], decoder), 'incomplete', `cut at ${cut}`);
      read([long]);
      assert.equal(read([short.slice(cut)], decoder), expected, `cut at ${cut}`);
    }
  });

  test('two decoders that are read in turns keep apart', () => {
    const request = new RequestDecoder();
    const response = new ResponseDecoder();
    response.expect('GET');
    const requestBytes = latin1Encode(`${START}X-Mine: request${END}`);
    const responseBytes = latin1Encode('HTTP/1.1 204 No Content\r\nX-Mine: response\r\n\r\n');
    for (let at = 0; at < requestBytes.length; at += 10) {
      request.feed(requestBytes.slice(at, at + 10));
      response.feed(responseBytes.slice(at, at + 10));
      while (request.next());
      while (response.next());
    }
    assert.equal(request.head.headers.get('x-mine'), 'request');
    assert.equal(response.head.headers.get('x-mine'), 'response');
  });

  test('a head longer than what is read at once is found, wherever the cut falls', () => {
    for (let filler = 4060; filler <= 4110; filler++) {
      const bytes = latin1Encode(`${START}X: ${'x'.repeat(filler - START.length)}\r\nX-Last: yes\r\n\r\nrest`);
      const decoder = new RequestDecoder();
      assert.match(read([bytes], decoder), /"X-Last","yes"\]\]$/, `filler ${filler}`);
      assert.equal(decoder.headBytes, bytes.length - 4);
    }
  });

  test('a status line means the same, whole and a byte at a time (RFC 9112 §4)', () => {
    const readResponse = (chunks: readonly Uint8Array[]): string => {
      const decoder = new ResponseDecoder();
      decoder.expect('GET');
      try {
        for (const chunk of chunks) {
          decoder.feed(chunk);
          if (decoder.next()) return JSON.stringify([decoder.head.status, decoder.head.reason, decoder.head.version]);
        }
        return 'incomplete';
      } catch (error) {
        if (!isWireError(error)) throw error;
        return error.reason;
      }
    };
    const line = 'HTTP/1.1 200 OK\r\n\r\n';
    const seen = new Set<string>();
    for (let at = 0; at < line.length; at++) {
      for (let byte = 0; byte < 256; byte++) {
        const bytes = latin1Encode(line);
        bytes[at] = byte;
        const whole = readResponse([bytes]);
        assert.equal(whole, readResponse(everyByte(bytes)), `byte ${byte} at ${at}`);
        seen.add(whole);
      }
    }
    for (const one of ['[900,"OK",11]', '[200,"\\tK",11]', '[200,"OK",10]', 'H1_STATUS_INVALID', 'H1_VERSION_UNSUPPORTED', 'H1_BARE_CR'])
      assert.ok(seen.has(one), one);
  });
});
