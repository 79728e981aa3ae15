/** The field lists of HTTP/2 that the kit draws, checked by rules written down a second time (RFC 9113 §8.2, §8.3). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type FieldLine,
  http2MalformedRequestFields,
  http2MalformedResponseFields,
  http2RequestFields,
  http2ResponseFields,
  naiveHpackBlock,
} from '../../src/index.ts';

const connectionFields = new Set(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade']);

function isWellFormed(fields: readonly FieldLine[], kind: 'request' | 'response'): boolean {
  const pseudo = new Map(fields.filter(([name]) => name.startsWith(':')));
  const others = fields.slice(fields.findLastIndex(([name]) => name.startsWith(':')) + 1);
  const [known, needed] = kind === 'response' ? [[':status'], [':status']] : requestPseudo(pseudo.get(':method'));
  return (
    pseudo.size + others.length === fields.length &&
    [...pseudo.keys()].every((name) => known.includes(name)) &&
    needed.every((name) => pseudo.has(name)) &&
    /^[!#$%&'*+.^_`|~\w-]+$/.test(pseudo.get(':method') ?? 'GET') &&
    /^\d{3}$/.test(pseudo.get(':status') ?? '200') &&
    others.every(([name, value]) => isFieldLine(name, value))
  );
}

function requestPseudo(method: string | undefined): [known: string[], needed: string[]] {
  if (method === 'CONNECT') return [[':method', ':authority'], [':authority']];
  return [
    [':method', ':scheme', ':authority', ':path'],
    [':method', ':scheme', ':path'],
  ];
}

function isFieldLine(name: string, value: string): boolean {
  if (!/^[!#$%&'*+.^_`|~\da-z-]+$/.test(name) || connectionFields.has(name)) return false;
  if (name === 'te' && value !== 'trailers') return false;
  return !/[\r\n\0]/.test(value) && !/^[ \t]|[ \t]$/.test(value);
}

describe('field lists of HTTP/2', () => {
  test('requests and responses are well-formed, what is malformed is not, and each reason is met (RFC 9113 §8.1.1)', () => {
    const met = new Set<string>();
    fc.assert(
      fc.property(
        fc.record({
          request: http2RequestFields(),
          response: http2ResponseFields(),
          badRequest: http2MalformedRequestFields(),
          badResponse: http2MalformedResponseFields(),
        }),
        ({ request, response, badRequest, badResponse }) => {
          assert.ok(isWellFormed(request, 'request'));
          assert.ok(isWellFormed(response, 'response'));
          assert.ok(!isWellFormed(badRequest.fields, 'request'), badRequest.why);
          assert.ok(!isWellFormed(badResponse.fields, 'response'), badResponse.why);
          met.add(badRequest.why).add(badResponse.why);
        },
      ),
      { numRuns: 500 },
    );
    assert.equal(met.size, 16);
  });

  test('a block of literals has the bytes of RFC 7541 §6.2.2', () => {
    assert.deepEqual(naiveHpackBlock([['a', 'bc']]), Uint8Array.of(0, 1, 0x61, 2, 0x62, 0x63));
    assert.deepEqual(naiveHpackBlock([['', 'x'.repeat(127 + 300)]]).subarray(0, 5), Uint8Array.of(0, 0, 127, 0xac, 2));
    assert.equal(naiveHpackBlock([]).byteLength, 0);
  });
});
