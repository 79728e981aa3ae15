/** gRPC over HTTP/2: what fails here is said in its own words, and what passes is not touched. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Field, requestFields, valueOf } from './h2-wire.ts';
import { get, Rig, readResponse, settle, type Wire, when } from './rig.ts';

const call = requestFields(
  'POST',
  '/pkg.Service/Method',
  ['content-type', 'application/grpc+proto'],
  ['te', 'trailers'],
  ['grpc-timeout', '5S'],
);
const message = '\0\0\0\0\x02hi';

describe('a gRPC request that fails here', () => {
  const failures: readonly (readonly [what: string, rig: ConstructorParameters<typeof Rig>[0], status: string])[] = [
    ['an upstream that dies', { proxy: { maxRetries: 0 }, origin: (wire: Wire) => when(wire, '\r\n\r\n', () => wire.reset()) }, '14'],
    ['an upstream that is too slow', { proxy: { requestTimeoutMs: 1_000 }, origin: () => {} }, '4'],
    [
      'a hook that throws',
      {
        hooks: {
          requestFilter: () => {
            throw new Error('boom');
          },
        },
      },
      '2',
    ],
    [
      'a hook that says 403',
      {
        hooks: {
          proxyUpstreamFilter: () => {
            throw new Error('boom');
          },
          failToProxy: () => ({ status: 403 }),
        },
      },
      '7',
    ],
  ];
  for (const [what, options, status] of failures) {
    test(`${what}: grpc-status ${status} in a response of trailers only`, async () => {
      const rig = new Rig(options);
      const client = rig.connectH2();
      const id = client.request(call, { isEnd: false });
      client.data(id, message, true);
      await settle();
      await rig.pass(2_000);
      const answer = client.message(id);
      assert.equal(valueOf(answer?.fields ?? [], ':status'), '200');
      assert.equal(valueOf(answer?.fields ?? [], 'content-type'), 'application/grpc');
      assert.equal(valueOf(answer?.fields ?? [], 'grpc-status'), status);
      assert.match(valueOf(answer?.fields ?? [], 'grpc-message') ?? '', /^[\x20-\x7e]+$/);
      assert.equal(answer?.isEnded, true);
      assert.equal(answer?.body, '');
      await rig.finish(client);
    });
  }

  test('gRPC-Web, JSON that only looks like it, and gRPC over HTTP/1 get an ordinary status', async () => {
    for (const type of ['application/grpc-web', 'application/grpcish', 'text/plain']) {
      const rig = new Rig({ proxy: { maxRetries: 0 }, origin: (wire) => when(wire, '\r\n\r\n', () => wire.reset()) });
      const client = rig.connectH2();
      const id = client.request(requestFields('GET', '/', ['content-type', type]));
      await settle();
      assert.equal(valueOf(client.message(id)?.fields ?? [], ':status'), '502', type);
      await rig.finish(client);
    }
    const rig = new Rig({ proxy: { maxRetries: 0 }, origin: (wire) => when(wire, '\r\n\r\n', () => wire.reset()) });
    const plain = await rig.ask(get.replace('\r\n\r\n', '\r\nContent-Type: application/grpc\r\n\r\n'));
    assert.equal(readResponse(plain.text).status, 502);
    await rig.finish(plain);
  });
});

describe('a gRPC call that passes', () => {
  test('keeps its deadline, its frames and its trailers; a client that gives up cancels it', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onHead = ({ id, fields, isEnded }) => {
          if (isEnded || valueOf(fields, ':method') === undefined) return;
          wire.headers(
            id,
            [
              [':status', '200'],
              ['content-type', 'application/grpc+proto'],
            ],
            { isEnd: false },
          );
          wire.data(id, message);
        };
        wire.onMessage = ({ id }) =>
          void wire.headers(id, [
            ['grpc-status', '0'],
            ['grpc-message', 'fine'],
          ]);
      },
    });
    const client = rig.connectH2();
    const id = client.request(call, { isEnd: false });
    await settle();
    assert.equal(client.message(id)?.body, message, 'an answer comes before the request is whole');
    client.data(id, message, true);
    await settle();
    const asked = rig.h2Origins[0]?.messages[0];
    assert.equal(valueOf(asked?.fields ?? [], 'grpc-timeout'), '5S');
    assert.equal(valueOf(asked?.fields ?? [], 'te'), 'trailers');
    assert.equal(asked?.body, message);
    const expected: Field[] = [
      ['grpc-status', '0'],
      ['grpc-message', 'fine'],
    ];
    assert.deepEqual(client.message(id)?.trailers, expected);

    const other = client.request(call, { isEnd: false });
    await settle();
    client.resetStream(other);
    await settle();
    assert.equal(rig.h2Origins[0]?.messages[1]?.resetCode, 8, 'CANCEL (RFC 9113 §7)');
    await rig.finish(client);
  });
});
