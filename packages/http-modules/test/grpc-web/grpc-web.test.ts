import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, utf8Decode, utf8Encode } from '@ferrata/bytes';
import { grpcWeb } from '../../src/index.ts';
import { type DrivenResponse, drive } from '../compression/module-driver.ts';
import { frameOf, readFrames, readText } from './naive-grpc-web.ts';

const ok = { 'Grpc-Status': '0', 'grpc-message': 'fine' };
const OK_LINES = 'grpc-status: 0\r\ngrpc-message: fine\r\n';
const message = frameOf(0, utf8Encode('hello'));

const ask = (type: string, more: Record<string, string> = {}, body: readonly Uint8Array[] = [message]) => ({
  method: 'POST',
  headers: { 'Content-Type': type, ...more },
  body,
});
const answer = (more: Partial<DrivenResponse> = {}): DrivenResponse => ({
  headers: { 'Content-Type': 'application/grpc+proto' },
  body: [message],
  trailers: ok,
  ...more,
});

describe('requests', () => {
  for (const [type, to] of [
    ['application/grpc-web', 'application/grpc'],
    ['application/grpc-web+proto', 'application/grpc+proto'],
    ['Application/gRPC-Web+json; charset=utf-8', 'application/grpc+json; charset=utf-8'],
    ['application/grpc-web;a=b', 'application/grpc;a=b'],
  ] as const)
    test(`${type} becomes ${to}, and the body stays as it is`, async () => {
      const { request, requestBody } = await drive(grpcWeb(), ask(type, { 'X-Grpc-Web': '1', 'Content-Length': '10', TE: 'gzip' }));
      assert.deepEqual(request.headers.toJSON(), [
        ['Content-Type', to],
        ['Content-Length', '10'],
        ['TE', 'trailers'],
      ]);
      assert.deepEqual(requestBody, message);
    });

  test('application/grpc-web-text becomes application/grpc, out of base64', async () => {
    const text = utf8Encode(Buffer.from(message).toString('base64'));
    const { request, requestBody } = await drive(grpcWeb(), ask('application/grpc-web-text+proto', { 'Content-Length': '16' }, [text]));
    assert.deepEqual(request.headers.toJSON(), [
      ['Content-Type', 'application/grpc+proto'],
      ['TE', 'trailers'],
    ]);
    assert.deepEqual(requestBody, message);
  });

  test('lose the digests of their text, and keep those of bytes that stay (RFC 9530 §2)', async () => {
    for (const [type, isKept] of [
      ['application/grpc-web-text', false],
      ['application/grpc-web', true],
    ] as const) {
      const { request } = await drive(grpcWeb(), ask(type, { 'Content-Digest': 'sha-256=:AA==:' }, []));
      assert.equal(request.headers.has('content-digest'), isKept);
    }
  });

  test('in base64 may be several pieces, each with padding of its own, cut anywhere', async () => {
    const text = utf8Encode(['a', 'bc', 'def', ''].map((piece) => Buffer.from(piece).toString('base64')).join(''));
    for (let at = 0; at <= text.length; at++) {
      const { requestBody } = await drive(grpcWeb(), ask('application/grpc-web-text', {}, [text.subarray(0, at), text.subarray(at)]));
      assert.equal(utf8Decode(requestBody), 'abcdef');
    }
  });

  for (const [what, text] of [
    ['a character of another alphabet', 'aG-s'],
    ['a blank', 'aGVs bG8='],
    ['a line break', 'aGVs\r\nbG8='],
    ['a group that is left open', 'aGVsb'],
    ['padding at the beginning of a group', 'aGVs=AAA'],
    ['three characters of padding', 'A==='],
    ['a character behind padding', 'aG=A'],
    ['bits behind the last byte (RFC 4648 §3.5)', 'aGVsbG9='],
    ['a byte above ASCII', 'aGV\u00ff'],
  ] as const)
    test(`with ${what} are refused with 400`, async () => {
      const request = ask('application/grpc-web-text', {}, [Buffer.from(text, 'latin1')]);
      await assert.rejects(drive(grpcWeb(), request), {
        type: 'protocol',
        reason: 'GRPC_WEB_BASE64_INVALID',
        status: 400,
        source: 'downstream',
      });
    });

  for (const type of [
    'application/grpc',
    'application/grpc+proto',
    'application/grpc-webby',
    'application/grpc-web-texts',
    'text/plain',
    '',
  ])
    test(`of type "${type}" take no module`, async () => {
      assert.equal((await drive(grpcWeb(), ask(type))).module, null);
    });

  test('whose Accept has more members than anybody reads are refused with 431', async () => {
    const asked = (members: number): unknown => drive(grpcWeb(), ask('application/grpc-web', { Accept: 'a/b,'.repeat(members) }, []));
    await asked(1_000);
    await assert.rejects(async () => asked(1_001), { reason: 'FIELD_LIST_TOO_LONG', status: 431 });
  });

  test('without a type take no module, nor those that the options turn off', async () => {
    assert.equal((await drive(grpcWeb(), { method: 'POST' })).module, null);
    const kind = grpcWeb({ isEnabled: (request) => request.headers.has('x-yes') });
    assert.equal((await drive(kind, ask('application/grpc-web'))).module, null);
    assert.notEqual((await drive(kind, ask('application/grpc-web', { 'X-Yes': '1' }))).module, null);
    assert.throws(() => grpcWeb({ isEnabled: true as never }), TypeError);
  });
});

describe('responses', () => {
  test('in binary have their trailers as the last frame: 80, length, lines in lower case', async () => {
    const headers = {
      'Content-Type': 'application/grpc+proto',
      'Content-Length': '10',
      'Content-Digest': 'sha-256=:AA==:',
      Trailer: 'Grpc-Status',
    };
    const { response, body, trailers } = await drive(grpcWeb(), ask('application/grpc-web'), answer({ headers }));
    assert.deepEqual(response.headers.toJSON(), [['Content-Type', 'application/grpc-web+proto']]);
    assert.equal(trailers, null);
    const lines = utf8Encode(OK_LINES);
    assert.deepEqual(body, concatBytes([message, Uint8Array.of(0x80, 0, 0, 0, lines.length), lines]));
  });

  test('in text are the same in base64', async () => {
    const { response, body } = await drive(grpcWeb(), ask('application/grpc-web-text', {}, []), answer());
    assert.equal(response.headers.get('content-type'), 'application/grpc-web-text+proto');
    assert.deepEqual(readFrames(readText(body)), [
      { flags: 0, text: 'hello' },
      { flags: 0x80, text: OK_LINES },
    ]);
  });

  test('in text give each message as soon as it is whole', async () => {
    const [one, two] = [frameOf(0, utf8Encode('first')), frameOf(1, utf8Encode('second!!'))];
    const chunks = [one.subarray(0, 4), one.subarray(4), concatBytes([two, one.subarray(0, 1)]), one.subarray(1)];
    const { pieces } = await drive(grpcWeb(), ask('application/grpc-web-text', {}, []), answer({ body: chunks }));
    const texts = pieces.map((piece) => (piece === null ? '' : utf8Decode(piece)));
    assert.equal(texts[0]?.includes('='), false);
    assert.deepEqual(readText(utf8Encode(texts.slice(0, 2).join(''))), one);
    assert.deepEqual(readFrames(readText(utf8Encode(texts.slice(0, 3).join('')))), [
      { flags: 0, text: 'first' },
      { flags: 1, text: 'second!!' },
    ]);
    assert.equal(readFrames(readText(utf8Encode(texts.join('')))).length, 4);
  });

  for (const [type, accept, to] of [
    ['application/grpc-web', 'application/grpc-web-text', 'application/grpc-web-text+proto'],
    ['application/grpc-web-text', 'text/html, application/grpc-web+proto', 'application/grpc-web+proto'],
    ['application/grpc-web-text', 'application/grpc-web-text;q=0.1, application/grpc-web', 'application/grpc-web+proto'],
    ['application/grpc-web', 'application/grpc-web-text;q=0', 'application/grpc-web+proto'],
    ['application/grpc-web-text', '*/*', 'application/grpc-web-text+proto'],
  ] as const)
    test(`to ${type} with Accept ${accept} are ${to}`, async () => {
      const { response, body } = await drive(grpcWeb(), ask(type, { Accept: accept }, []), answer());
      assert.equal(response.headers.get('content-type'), to);
      assert.equal(readFrames(to.includes('text') ? readText(body) : body).length, 2);
    });

  test('keep the order of trailers, and names that come twice', async () => {
    const trailers: [string, string][] = [
      ['Grpc-Status', '5'],
      ['X-A', '1'],
      ['x-b', 'caf\u00e9: \u00ff'],
      ['X-A', '2'],
    ];
    const { body } = await drive(grpcWeb(), ask('application/grpc-web'), answer({ body: [], trailers }));
    assert.deepEqual(readFrames(body), [{ flags: 0x80, text: 'grpc-status: 5\r\nx-a: 1\r\nx-b: caf\u00e9: \u00ff\r\nx-a: 2\r\n' }]);
  });

  test('without trailers have no such frame, as there is nothing to say', async () => {
    const { body } = await drive(grpcWeb(), ask('application/grpc-web'), {
      headers: { 'Content-Type': 'application/grpc' },
      body: [message],
    });
    assert.deepEqual(body, message);
  });

  test('of a head only keep their grpc-status there', async () => {
    const headers = { 'Content-Type': 'application/grpc', 'Grpc-Status': '12', 'grpc-message': 'no' };
    for (const body of [undefined, []] as const) {
      const response = body === undefined ? { headers } : { headers, body };
      const driven = await drive(grpcWeb(), ask('application/grpc-web'), response);
      assert.deepEqual(driven.response.headers.toJSON(), [
        ['Content-Type', 'application/grpc-web'],
        ['Grpc-Status', '12'],
        ['grpc-message', 'no'],
      ]);
      assert.equal(driven.body.length, 0);
    }
  });

  test('that break off within a message give what came of it', async () => {
    const broken = message.subarray(0, 7);
    const { body } = await drive(grpcWeb(), ask('application/grpc-web-text', {}, []), answer({ body: [broken], trailers: ok }));
    assert.deepEqual(readText(body).subarray(0, 7), broken);
  });

  for (const type of ['text/html', 'application/grpc-web+proto', 'application/grpcx', undefined])
    test(`of type ${type ?? 'none'} are left as they are`, async () => {
      const headers = { ...(type === undefined ? {} : { 'Content-Type': type }), 'Content-Length': '10' };
      const driven = await drive(grpcWeb(), ask('application/grpc-web-text', {}, []), answer({ headers }));
      assert.equal(driven.response.headers.get('content-type'), type);
      assert.equal(driven.response.headers.get('content-length'), '10');
      assert.deepEqual([driven.pieces.length, driven.body, driven.trailers?.size], [0, message, 2]);
    });
});
