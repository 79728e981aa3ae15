/** `Trailer` over HTTP/2, which has a place for trailers behind any body, of known length or not (RFC 9110 §6.6.2, RFC 9113 §8.1). */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Field, type H2Wire, requestFields, valueOf } from './h2-wire.ts';
import { answering, Rig, type RigOptions, settle } from './rig.ts';

/** An origin that answers with a length, a digest behind the body, and the field that announces it. */
function digesting(wire: H2Wire): void {
  wire.onMessage = ({ id }) => {
    wire.headers(
      id,
      [
        [':status', '200'],
        ['content-length', '2'],
        ['trailer', 'x-sum'],
      ],
      { isEnd: false },
    );
    wire.data(id, 'ok').headers(id, [['x-sum', '2']]);
  };
}

async function ask(rig: Rig, fields: readonly Field[] = requestFields()) {
  const client = rig.connectH2();
  const id = client.request(fields);
  await settle();
  const message = client.message(id);
  assert.ok(message?.isEnded);
  return { client, message };
}

describe('Trailer in a response to an HTTP/2 client', () => {
  test('stays where the length is known, and the trailers come', async () => {
    const rig = new Rig({ h2Origin: digesting });
    const { client, message } = await ask(rig);
    assert.equal(valueOf(message.fields, 'content-length'), '2');
    assert.equal(valueOf(message.fields, 'trailer'), 'x-sum');
    assert.deepEqual([message.body, message.trailers], ['ok', [['x-sum', '2']]]);
    await rig.finish(client);
  });

  test('goes for an HTTP/1 client, which has a place for them in chunks only (RFC 9112 §7.1.2)', async () => {
    const rig = new Rig({ h2Origin: digesting });
    const client = await rig.ask('GET / HTTP/1.1\r\nHost: h\r\n\r\n');
    assert.match(client.text, /^content-length: 2\r$/im);
    assert.doesNotMatch(client.text, /trailer|x-sum/i);
    assert.match(client.text, /\r\n\r\nok$/);
    await rig.finish(client);
  });

  const length = (status: string, more = ''): RigOptions => ({
    origin: answering(`HTTP/1.1 ${status}\r\nTrailer: X-Sum\r\n${more}\r\n`),
  });
  for (const [what, method, options] of [
    ['an empty body', 'GET', length('200 OK', 'Content-Length: 0\r\n')],
    ['204', 'GET', length('204 No Content')],
    ['304', 'GET', length('304 Not Modified', 'Content-Length: 2\r\n')],
    ['HEAD with a length', 'HEAD', length('200 OK', 'Content-Length: 2\r\n')],
  ] as const) {
    test(`goes where nothing can follow: ${what}`, async () => {
      const rig = new Rig(options);
      const { client, message } = await ask(rig, requestFields(method));
      assert.equal(valueOf(message.fields, 'trailer'), undefined);
      assert.equal(message.trailers, null);
      await rig.finish(client);
    });
  }
});

describe('Trailer in a request to an HTTP/2 origin', () => {
  test('stays where the length is known, and the trailers come', async () => {
    const rig = new Rig({ h2Origin: (wire) => void (wire.onMessage = ({ id }) => void wire.respond(id, 204)) });
    const client = rig.connectH2();
    const id = client.request(requestFields('POST', '/', ['content-length', '2'], ['trailer', 'x-sum']), { isEnd: false });
    client.data(id, 'ab').headers(id, [['x-sum', '2']]);
    await settle();
    const [message] = rig.h2Origins[0]?.messages ?? [];
    assert.ok(message);
    assert.equal(valueOf(message.fields, 'content-length'), '2');
    assert.equal(valueOf(message.fields, 'trailer'), 'x-sum');
    assert.deepEqual([message.body, message.trailers], ['ab', [['x-sum', '2']]]);
    await rig.finish(client);
  });

  test('goes where there is no body, and on the way to an HTTP/1 origin where the length is known', async () => {
    const bodyless = new Rig({ h2Origin: (wire) => void (wire.onMessage = ({ id }) => void wire.respond(id, 204)) });
    const first = bodyless.connectH2();
    first.request(requestFields('GET', '/', ['trailer', 'x-sum']));
    await settle();
    assert.equal(valueOf(bodyless.h2Origins[0]?.messages[0]?.fields ?? [], 'trailer'), undefined);
    await bodyless.finish(first);
    const known = new Rig();
    const second = known.connectH2();
    const id = second.request(requestFields('POST', '/', ['content-length', '2'], ['trailer', 'x-sum']), { isEnd: false });
    second.data(id, 'ab').headers(id, [['x-sum', '2']]);
    await settle();
    assert.match(known.origins[0]?.text ?? '', /^content-length: 2\r$/im);
    assert.doesNotMatch(known.origins[0]?.text ?? '', /trailer|x-sum/i);
    await known.finish(second);
  });
});
