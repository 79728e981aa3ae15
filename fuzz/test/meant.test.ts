import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BodyLength } from '@ferrata/http1';
import { checkRequestsMeant, checkResponsesMeant, type MeantMessage } from '../oracles/meant.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));

function meant(change: Partial<MeantMessage> = {}): MeantMessage {
  return {
    start: 'POST',
    rest: '/a',
    fields: [
      ['Host', 'a'],
      ['X', 'y'],
    ],
    bodyLength: 2,
    body: 'hi',
    trailers: [],
    isEnded: true,
    isBroken: false,
    ...change,
  };
}

const REQUEST = 'POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 2\r\n\r\nhi';
const RESPONSE = 'HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nhi';
const response = (change: Partial<MeantMessage> = {}): MeantMessage => meant({ start: '200', rest: 'OK', fields: [['X', 'y']], ...change });

describe('what was written', () => {
  test('is what was meant, framing and connection aside', () => {
    checkRequestsMeant(bytes(REQUEST), [meant()]);
    checkRequestsMeant(bytes(REQUEST), [
      meant({
        fields: [
          ['Host', 'a'],
          ['Content-Length', '9'],
          ['X', 'y'],
          ['Connection', 'x'],
        ],
      }),
    ]);
    checkResponsesMeant(bytes(RESPONSE + RESPONSE), [response(), response()], ['GET', 'GET']);
  });

  test('may say what no request should say, if it is one message', () => {
    checkRequestsMeant(bytes('GET a HTTP/1.1\r\n\r\n'), [meant({ start: 'GET', rest: 'a', fields: [], bodyLength: 0, body: '' })]);
  });

  const wrong: readonly (readonly [law: string, meant: readonly MeantMessage[], text: string])[] = [
    ['the start line is the one meant', [meant({ rest: '/b' })], REQUEST],
    ['the fields are those meant', [meant({ fields: [['Host', 'a']] })], REQUEST],
    ['the body is the one meant', [meant({ body: 'ho' })], REQUEST],
    ['nobody reads more messages than were meant', [meant()], REQUEST + REQUEST],
    ['what was ended is whole', [meant()], REQUEST.slice(0, -1)],
    ['what is written is accepted', [meant()], REQUEST.replace('X: y', 'X: y\0')],
    [
      'only what was ended is whole',
      [meant({ isEnded: false, bodyLength: BodyLength.chunked, body: '' })],
      'POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'the trailers are those meant',
      [meant({ bodyLength: BodyLength.chunked, body: '', trailers: [['T', '1']] })],
      'POST /a HTTP/1.1\r\nHost: a\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nT: 2\r\n\r\n',
    ],
  ];
  for (const [law, messages, text] of wrong) {
    test(`is something else where this does not hold: ${law}`, () => {
      assert.throws(() => checkRequestsMeant(bytes(text), messages), { law });
    });
  }

  test('is something else where a reason phrase brought a response of its own (response splitting)', () => {
    const split = RESPONSE.replace('OK', 'OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK');
    const said = response({ rest: 'OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK' });
    assert.throws(() => checkResponsesMeant(bytes(split), [said], ['GET', 'GET']), { law: 'nobody reads more messages than were meant' });
  });
});
