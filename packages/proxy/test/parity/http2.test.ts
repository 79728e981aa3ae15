/** Behaviours 211 to 228 of Pingora's tests, as far as a proxy shows them: bodies over HTTP/2, clients that give no window, and what a Host becomes. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SettingId } from '@ferrata/http2-framing';
import type { AnswerableSession } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { requestFields, valueOf } from '../h2-wire.ts';
import { answering, get, ok, Rig, readResponse, settle, type Wire, when } from '../rig.ts';

describe('a request over HTTP/2', () => {
  test('#211 with 16 bytes and an answer of 16 and trailers: counted, kept to be sent again, answered once', async () => {
    const answer = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nresponse of 16 b\r\n0\r\nX-Sum: 7\r\n\r\n';
    const rig = new Rig({
      // The first connection dies with the whole request.
      origin: (wire, index) => {
        wire.onText = () => {
          if (!wire.text.endsWith('0\r\n\r\n')) return;
          if (index === 0) wire.reset();
          else wire.send(answer);
        };
      },
      hooks: {
        responseBodyFilter: (session, chunk) => {
          if (chunk !== null) assert.throws(() => (session as AnswerableSession).respond(200), TypeError);
          return chunk;
        },
      },
    });
    const client = rig.connectH2();
    const id = client.request(requestFields('GET'), { isEnd: false });
    client.data(id, 'request of 16 by', true);
    await settle();
    assert.equal(rig.origins.length, 2);
    for (const origin of rig.origins) assert.match(origin.text, /\r\n\r\n10\r\nrequest of 16 by\r\n0\r\n\r\n$/);
    const message = client.message(id);
    assert.deepEqual([message?.body, message?.trailers, message?.isEnded], ['response of 16 b', [['x-sum', '7']], true]);
    assert.deepEqual([rig.last.session.requestBytes, rig.last.session.responseBytes, rig.last.error], [16, 16, null]);
    await rig.finish(client);
  });

  test('#212 with a length of 0, and no end with its head: it has no body, and its client is watched until it is done', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = rig.connectH2();
    const id = client.request(requestFields('POST', '/', ['content-length', '0']), { isEnd: false });
    await settle();
    const [origin] = rig.origins;
    assert.match(origin?.text ?? '', /^content-length: 0\r$/im);
    assert.doesNotMatch(origin?.text ?? '', /transfer-encoding/i);
    assert.equal(rig.logged.length, 0);
    client.resetStream(id);
    await settle();
    assert.deepEqual([rig.last.outcome, rig.last.error?.source], ['client_abort', 'downstream']);
    assert.ok(origin?.wasReset);
    await rig.finish(client);
  });

  test('#213 with an end of its own: it is empty when that comes, and not before', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = rig.connectH2();
    const id = client.request(requestFields('POST'), { isEnd: false });
    await settle();
    const origin = rig.origins[0] as Wire;
    assert.match(origin.text, /^transfer-encoding: chunked\r$/im);
    assert.ok(origin.text.endsWith('\r\n\r\n') && !origin.text.endsWith('0\r\n\r\n'));
    client.data(id, '', true);
    await settle();
    assert.ok(origin.text.endsWith('\r\n\r\n0\r\n\r\n'));
    origin.send(ok);
    await settle();
    assert.deepEqual([client.message(id)?.body, rig.last.session.requestBytes], ['ok', 0]);
    await rig.finish(client);
  });

  test('#220 in several DATA frames: their bytes add up', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '0\r\n\r\n', () => void wire.send(ok)) });
    const client = rig.connectH2();
    const id = client.request(requestFields('POST'), { isEnd: false });
    client.data(id, 'a').data(id, 'bc');
    await settle();
    client.data(id, 'def', true);
    await settle();
    assert.equal(rig.last.session.requestBytes, 6);
    await rig.finish(client);
  });
});

describe('windows that stay shut', () => {
  test('#214 a client that opens one byte and no more is given up in the time of a write', async () => {
    const rig = new Rig({
      origin: answering(`HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n${'x'.repeat(500_000)}`),
      hooks: { earlyRequestFilter: (session) => session.adjust({ writeTimeoutMs: 100 }) },
    });
    const client = rig.connectH2({ settings: [[SettingId.initialWindowSize, 1]], isAutoWindow: false });
    const id = client.request(requestFields());
    await settle();
    assert.equal(client.message(id)?.body, 'x');
    await rig.pass(2_000);
    assert.equal(client.message(id)?.isEnded, false);
    assert.notEqual(client.message(id)?.resetCode, null);
    assert.deepEqual([rig.last.outcome, rig.last.error?.type, rig.last.error?.source], ['timeout', 'timeout', 'downstream']);
    await rig.finish(client);
  });
});

describe('windows of our own', () => {
  test('#227 are those that were asked for, from the handshake on', async () => {
    const connection = { initialWindowBytes: 1_000_000, maxWindowBytes: 2_000_000, connectionWindowBytes: 2_000_000 };
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => void wire.respond(id, 200, 'ok');
      },
      peer: peer('10.0.0.1:80', { protocol: 'http2', http2: { connection } }),
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).body, 'ok');
    const [origin] = rig.h2Origins;
    // A stream that nobody has used has the window of SETTINGS; that of the connection began with 65 535 bytes, of which two are gone.
    assert.equal(origin?.windowOf(3), 1_000_000);
    assert.ok((origin?.windowOf(0) ?? 0) > 1_900_000, String(origin?.windowOf(0)));
    await rig.finish(client);
  });
});

describe('what a Host becomes', () => {
  test('#120 a request without one, where missingHost lets it in, is sent on with that of its peer', async () => {
    const server = { connection: { decoder: { leniency: { missingHost: true } } } };
    for (const protocol of ['http1', 'http2'] as const) {
      const rig = new Rig({
        server,
        origin: answering(ok),
        h2Origin: (wire) => {
          wire.onMessage = ({ id }) => void wire.respond(id, 200, 'ok');
        },
        peer: peer('10.0.0.1:80', { protocol }),
      });
      const client = await rig.ask('GET / HTTP/1.1\r\n\r\n');
      assert.equal(readResponse(client.text).body, 'ok');
      if (protocol === 'http1') assert.match(rig.origins[0]?.text ?? '', /^host: 10\.0\.0\.1\r$/im);
      else assert.equal(valueOf(rig.h2Origins[0]?.messages[0]?.fields ?? [], ':authority'), '10.0.0.1');
      await rig.finish(client);
    }
    const strict = new Rig();
    const client = await strict.ask('GET / HTTP/1.1\r\n\r\n');
    assert.equal(readResponse(client.text).status, 400);
    await strict.finish(client);
  });

  test('#228 :authority is the Host as it came: with a port, in brackets, with a trailing colon; another colon is refused', async () => {
    const rig = new Rig({
      h2Origin: (wire) => {
        wire.onMessage = ({ id }) => void wire.respond(id, 200, 'ok');
      },
    });
    const hosts = ['example.org', 'example.org:8080', 'example.org:', '[::1]', '[::1]:8080'];
    for (const host of hosts) {
      const client = await rig.ask(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      assert.equal(readResponse(client.text).status, 200, host);
      client.reset();
    }
    const heads = rig.h2Origins[0]?.messages.map(({ fields }) => [valueOf(fields, ':authority'), valueOf(fields, ':scheme')]);
    assert.deepEqual(
      heads,
      hosts.map((host) => [host, 'http']),
    );
    const twice = await rig.ask('GET / HTTP/1.1\r\nHost: example.org:80:81\r\n\r\n');
    assert.equal(readResponse(twice.text).status, 400);
    await rig.finish(twice);
  });
});
