/** The laws with every leniency on; and that none of them changes anything for input that is accepted without. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ByteWriter } from '@ferrata/bytes';
import { requestHead, responseHead } from '@ferrata/headers';
import fc from 'fast-check';
import {
  RequestDecoder,
  type RequestDecoderOptions,
  ResponseDecoder,
  type ResponseDecoderOptions,
  writeRequestHead,
  writeResponseHead,
} from '../src/index.ts';
import { cuts, damaged, methods, pipeline, plainFields, responses } from './arbitraries.ts';
import {
  bytesOf,
  cutAt,
  type Decoded,
  type DecodedRequest,
  type DecodedResponse,
  decodeRequests,
  decodeResponses,
  everyByte,
} from './decoding.ts';

const LENIENT_REQUESTS: RequestDecoderOptions = {
  leniency: { bareLineFeed: true, missingHost: true, nonAsciiTarget: true, repeatedEqualContentLength: true },
};

const LENIENT_RESPONSES: ResponseDecoderOptions = {
  leniency: {
    bareLineFeed: true,
    blankAfterChunkSize: true,
    blankBeforeColon: true,
    contentLengthWithTransferEncoding: true,
    emptyLinesBeforeResponse: true,
    foldedFields: true,
    invalidContentLength: true,
    repeatedEqualContentLength: true,
  },
};

/** The same text, with line ends and field lines loosened in places; the places are drawn, so most results use several leniencies at once. */
function loosened(text: fc.Arbitrary<string>): fc.Arbitrary<string> {
  return fc.tuple(text, fc.array(fc.nat({ max: 15 }), { minLength: 1, maxLength: 12 })).map(([whole, choices]) => {
    let turn = 0;
    const choice = (): number => choices[turn++ % choices.length] as number;
    return whole.replace(/\r\n|: ?|(?<=[a-z]) (?=[a-z])|\/(?= )/g, (place) => {
      const chosen = choice();
      if (chosen > 7) return place;
      if (place === '\r\n') return ['\n', '\r\n ', '\r\nContent-Length: 0, 0\r\n', ' \r\n', '\n\t'][chosen] ?? place;
      if (place === ' ') return ['\r\n ', ' \n\t'][chosen] ?? place;
      if (place === '/') return chosen < 4 ? '/\xe9' : place;
      return [' : ', '\t:'][chosen] ?? place;
    });
  });
}

const looseRequests = fc.oneof(pipeline, loosened(pipeline), damaged(loosened(pipeline)));
const looseResponses = fc.oneof(responses, loosened(responses), damaged(loosened(responses)));

function outcome<Message>(run: Decoded<Message>): unknown {
  return run.reason === null ? run : { ...run, consumed: 0 };
}

function whole<Message extends { readonly isComplete: boolean }>(run: Decoded<Message>): Message[] {
  return run.messages.filter(({ isComplete }) => isComplete);
}

describe('with every leniency on, any cutting gives the same events and the same error', () => {
  it('of requests', () => {
    let accepted = 0;
    fc.assert(
      fc.property(looseRequests, cuts, fc.boolean(), (text, offsets, ends) => {
        const bytes = bytesOf(text);
        const run = { options: LENIENT_REQUESTS, ends };
        const expected = outcome(decodeRequests([bytes], run));
        assert.deepEqual(outcome(decodeRequests(cutAt(bytes, offsets), run)), expected);
        assert.deepEqual(outcome(decodeRequests(everyByte(bytes), run)), expected);
        if (decodeRequests([bytes]).reason !== null && decodeRequests([bytes], run).messages.length > 0) accepted++;
      }),
      { numRuns: 1500, seed: 1 },
    );
    assert.ok(accepted > 100, `only ${accepted} runs took what strict decoders refuse`);
  });

  it('of responses', () => {
    let accepted = 0;
    fc.assert(
      fc.property(looseResponses, cuts, methods, fc.boolean(), (text, offsets, asked, ends) => {
        const bytes = bytesOf(text);
        const run = { methods: asked, ends, options: LENIENT_RESPONSES };
        const expected = outcome(decodeResponses([bytes], run));
        assert.deepEqual(outcome(decodeResponses(cutAt(bytes, offsets), run)), expected);
        assert.deepEqual(outcome(decodeResponses(everyByte(bytes), run)), expected);
        if (decodeResponses([bytes], { methods: asked }).messages.length < decodeResponses([bytes], run).messages.length) accepted++;
      }),
      { numRuns: 1500, seed: 1 },
    );
    assert.ok(accepted > 100, `only ${accepted} runs took what strict decoders refuse`);
  });
});

describe('what is accepted strictly means the same with every leniency on, and so do the messages before an error', () => {
  it('of requests', () => {
    fc.assert(
      fc.property(looseRequests, fc.boolean(), (text, ends) => {
        const strict = decodeRequests(text, { ends });
        const lenient = decodeRequests(text, { ends, options: LENIENT_REQUESTS });
        if (strict.reason === null) assert.deepEqual(lenient, strict);
        else assert.deepEqual(whole<DecodedRequest>(lenient).slice(0, whole(strict).length), whole<DecodedRequest>(strict));
      }),
      { numRuns: 1500 },
    );
  });

  it('of responses', () => {
    fc.assert(
      fc.property(looseResponses, methods, fc.boolean(), (text, asked, ends) => {
        const strict = decodeResponses(text, { methods: asked, ends });
        const lenient = decodeResponses(text, { methods: asked, ends, options: LENIENT_RESPONSES });
        if (strict.reason === null) assert.deepEqual(lenient, strict);
        else assert.deepEqual(whole<DecodedResponse>(lenient).slice(0, whole(strict).length), whole<DecodedResponse>(strict));
      }),
      { numRuns: 1500 },
    );
  });
});

describe('what is let in can be written: no line end, no raw byte of a target, no second length gets through', () => {
  it('requests', () => {
    fc.assert(
      fc.property(looseRequests, (text) => {
        for (const { method, target, headers } of decodeRequests(text, { options: LENIENT_REQUESTS }).messages) {
          writeRequestHead(new ByteWriter(), requestHead(method, target, { headers }), 0);
          assert.ok(headers.filter(([name]) => name.toLowerCase() === 'content-length').length <= 1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('responses', () => {
    fc.assert(
      fc.property(looseResponses, methods, (text, asked) => {
        for (const { status, reason, headers, isTunnel } of decodeResponses(text, { methods: asked, options: LENIENT_RESPONSES })
          .messages) {
          if (!isTunnel && status >= 200) writeResponseHead(new ByteWriter(), responseHead(status, { reason, headers }), { bodyLength: 0 });
          const names = headers.map(([name]) => name.toLowerCase());
          assert.ok(names.filter((name) => name === 'content-length' || name === 'transfer-encoding').length <= 1);
          assert.ok(headers.every(([, value]) => !/[\r\n\0]/.test(value)));
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('conservation with every leniency on: consumed + buffered = fed, at every moment', () => {
  it('of requests and responses', () => {
    fc.assert(
      fc.property(fc.oneof(looseRequests, looseResponses), cuts, (text, offsets) => {
        for (const decoder of [new RequestDecoder(LENIENT_REQUESTS), new ResponseDecoder(LENIENT_RESPONSES)]) {
          if (decoder instanceof ResponseDecoder) decoder.expect('GET');
          let fed = 0;
          for (const chunk of cutAt(bytesOf(text), offsets)) {
            decoder.feed(chunk);
            fed += chunk.length;
            try {
              do assert.equal(decoder.consumedBytes + decoder.bufferedBytes, fed);
              while (decoder.next());
            } catch (error) {
              if (error instanceof assert.AssertionError) throw error;
            }
            assert.equal(decoder.consumedBytes + decoder.bufferedBytes, fed);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe('each leniency reads the loose spelling as the tight one', () => {
  const fold = fc.constantFrom(' ', '\r\n ', '\r\n\t \t', ' \r\n  ', '\n ', '\r\n \r\n ');
  const words = fc.array(fc.stringMatching(/^[!-~\x80-\xff]{1,6}$/), { minLength: 1, maxLength: 4 });
  const lineEnd = fc.constantFrom('\r\n', '\n');
  const looseField = fc.tuple(
    fc.stringMatching(/^X-[a-zA-Z]{1,8}$/),
    words,
    fc.array(fold, { minLength: 4, maxLength: 4 }),
    fc.constantFrom('', ' ', '\t '),
    lineEnd,
  );

  it('responses: folds, blanks before colons, LF, empty lines and repeated lengths', () => {
    fc.assert(
      fc.property(
        fc.array(looseField, { maxLength: 5 }),
        fc.array(lineEnd, { maxLength: 4 }),
        fc.stringMatching(/^[\x00-\xff]{0,30}$/),
        fc.constantFrom(': 0', ', 0'),
        (fields, emptyLines, body, repetition) => {
          const end = fields[0]?.[4] ?? '\n';
          const lines = fields.map(([name, parts, folds, blank, eol]) => {
            const value = parts.map((part, i) => (i === 0 ? part : `${folds[i] ?? ' '}${part}`)).join('');
            return `${name}${blank}: ${value}${eol}`;
          });
          const length = `${body.length}${repetition.startsWith(',') ? `, ${body.length}` : `${end}Content-Length: ${body.length}`}`;
          const text = `${emptyLines.join('')}HTTP/1.1 200 OK${end}${lines.join('')}Content-Length: ${length}${end}${end}${body}`;
          const { messages, reason } = decodeResponses(text, { options: LENIENT_RESPONSES });
          assert.equal(reason, null);
          assert.deepEqual(messages[0]?.headers, [
            ...fields.map(([name, parts]) => [name, parts.join(' ')]),
            ['Content-Length', String(body.length)],
          ]);
          assert.equal(messages[0]?.body, body);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('requests: LF and bytes over 0x7F in targets', () => {
    fc.assert(
      fc.property(
        plainFields,
        fc.uint8Array({ maxLength: 20 }),
        fc.array(lineEnd, { maxLength: 4 }),
        lineEnd,
        (fields, path, empty, end) => {
          const raw = `/${String.fromCharCode(...path.map((byte) => byte | 0x80))}`;
          const lines = fields.map(([name, value]) => `${name}: ${value}${end}`).join('');
          const text = `${empty.join('')}GET ${raw} HTTP/1.1${end}Host: a${end}${lines}${end}`;
          const expected = decodeRequests(
            `GET ${raw.replace(/[\x80-\xff]/g, percent)} HTTP/1.1\r\nHost: a\r\n${lines.replaceAll(end, '\r\n')}\r\n`,
          );
          const { messages, reason } = decodeRequests(text, { options: LENIENT_REQUESTS });
          assert.equal(reason, expected.reason);
          assert.deepEqual(messages, expected.messages);
        },
      ),
      { numRuns: 500 },
    );
  });
});

function percent(byte: string): string {
  return `%${byte.charCodeAt(0).toString(16).toUpperCase()}`;
}
