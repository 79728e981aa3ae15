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

/** What an upstream says by RST_STREAM, and what becomes of it: a status if nothing was answered (PROTOCOL-HTTP2, Errors), and the code where an answer is cut. */
const resets: readonly (readonly [name: string, code: number, status: string, cutBy: number])[] = [
  ['NO_ERROR', 0x00, '13', 0x02],
  ['PROTOCOL_ERROR', 0x01, '13', 0x02],
  ['INTERNAL_ERROR', 0x02, '13', 0x02],
  ['FLOW_CONTROL_ERROR', 0x03, '13', 0x02],
  // Where it is believed, whatever it was is sent again: not behind the head of an answer.
  ['REFUSED_STREAM', 0x07, '14', 0x02],
  ['CANCEL', 0x08, '1', 0x08],
  ['CONNECT_ERROR', 0x0a, '13', 0x02],
  ['ENHANCE_YOUR_CALM', 0x0b, '8', 0x0b],
  ['INADEQUATE_SECURITY', 0x0c, '7', 0x02],
];

describe('a gRPC call that the upstream resets', () => {
  for (const [name, code, status, cutBy] of resets) {
    test(`by ${name} before it has answered: grpc-status ${status}; behind the head: RST_STREAM ${cutBy}`, async () => {
      const rig = new Rig({
        proxy: { maxRetries: 0, maxRefusals: 0 },
        h2Origin: (wire) => {
          wire.onHead = ({ id, fields }) => {
            if (valueOf(fields, ':path') === '/pkg.Service/Stream')
              wire.headers(
                id,
                [
                  [':status', '200'],
                  ['content-type', 'application/grpc+proto'],
                ],
                { isEnd: false },
              );
            wire.resetStream(id, code);
          };
        },
      });
      const client = rig.connectH2();
      const id = client.request(call, { isEnd: false });
      await settle();
      assert.equal(valueOf(client.message(id)?.fields ?? [], 'grpc-status'), status);
      const streamed = call.map(([field, value]) => [field, field === ':path' ? '/pkg.Service/Stream' : value] as const);
      const other = client.request(streamed, { isEnd: false });
      await settle();
      assert.equal(valueOf(client.message(other)?.fields ?? [], ':status'), '200');
      assert.equal(client.message(other)?.resetCode, cutBy);
      assert.equal(rig.last.error?.reason, 'H2_STREAM_RESET');
      assert.equal(rig.last.outcome, 'upstream_error');
      await rig.finish(client);
    });
  }

  test('by CANCEL is passed on to gRPC alone: to others INTERNAL_ERROR, as some take what a CANCEL has cut for whole', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onHead = ({ id }) => {
          wire.headers(id, [[':status', '200']], { isEnd: false });
          wire.data(id, 'half');
          wire.resetStream(id, 0x08);
        };
      },
    });
    const client = rig.connectH2();
    const id = client.request(requestFields());
    await settle();
    assert.deepEqual([client.message(id)?.body, client.message(id)?.resetCode], ['half', 0x02]);
    assert.equal(rig.last.error?.reason, 'H2_STREAM_RESET');
    await rig.finish(client);
  });

  test('a status of failToProxy’s own choice counts more than the code', async () => {
    const rig = new Rig({
      proxy: { maxRetries: 0 },
      hooks: { failToProxy: () => ({ status: 403 }) },
      h2Origin: (wire) => {
        wire.onHead = ({ id }) => void wire.resetStream(id, 0x0b);
      },
    });
    const client = rig.connectH2();
    const id = client.request(call, { isEnd: false });
    await settle();
    assert.equal(valueOf(client.message(id)?.fields ?? [], 'grpc-status'), '7');
    await rig.finish(client);
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
