/** Requests that a subrequest answers: where that may be said, whose the client's body is by then, and what a failure meanwhile means. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { CollectedResponse } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { get, ok, origin, Rig, readResponse, settle, when } from './rig.ts';

const gone = peer('10.0.0.9:80');
const upload = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab';
const chunkedUpload = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n';

describe('failToProxy that answers by a subrequest', () => {
  test('has the client’s body for it, if nothing of that was read', async () => {
    const rig = new Rig({
      unreachable: gone,
      hooks: {
        upstreamPeer: (session) => (session.isSubrequest ? origin : gone),
        failToProxy: async (session) => {
          if (session.isSubrequest) return;
          const { isAnswered } = await session.respondBy({ request: { target: '/instead' }, body: 'inherit' });
          assert.ok(isAnswered);
        },
      },
      origin: (wire) => when(wire, 'abcd', () => wire.send(ok)),
    });
    const client = await rig.ask(upload);
    client.send('cd');
    await settle();
    assert.match(rig.origins[0]?.text ?? '', /^POST \/instead HTTP\/1\.1\r\n/);
    assert.equal(readResponse(client.text).status, 200);
    assert.equal(rig.last.error?.reason, 'CONNECT_REFUSED');
    await rig.finish(client);
  });

  for (const [what, message] of [
    ['known', upload],
    ['unknown', chunkedUpload],
  ] as const) {
    test(`has no body of ${what} length of which some has been sent on: a TypeError, and no other half of it`, async () => {
      const thrown: unknown[] = [];
      const rig = new Rig({
        proxy: { maxRetries: 0 },
        hooks: {
          failToProxy: async (session) => {
            if (session.isSubrequest) return;
            try {
              await session.respondBy({ request: { target: '/instead' }, body: 'inherit' });
            } catch (error) {
              thrown.push(error);
            }
          },
        },
        origin: (wire) => when(wire, 'ab', () => wire.reset()),
      });
      const client = await rig.ask(message);
      client.send(what === 'known' ? 'cd' : '2\r\ncd\r\n0\r\n\r\n');
      await settle();
      assert.equal(rig.origins.length, 1);
      assert.ok(thrown[0] instanceof TypeError);
      assert.equal(readResponse(client.text).status, 502);
      await rig.finish(client);
    });
  }
});

test('proxyUpstreamFilter may leave the answer to a subrequest, as requestFilter may', async () => {
  const rig = new Rig({
    hooks: {
      proxyUpstreamFilter: (session) => {
        if (session.isSubrequest) return true;
        void session.respondBy({ request: { target: '/other' } });
        return false;
      },
    },
  });
  const client = await rig.ask(get);
  assert.equal(readResponse(client.text).status, 200);
  assert.equal(readResponse(client.text).body, 'ok');
  assert.match(rig.origins[0]?.text ?? '', /^GET \/other /);
  await rig.finish(client);
});

describe('a failure while a subrequest is to answer', () => {
  test('is the end: what the subrequest answers while failToProxy takes its time goes nowhere', async () => {
    const decided = Promise.withResolvers<void>();
    const rig = new Rig({
      proxy: { requestTimeoutMs: 1_000 },
      hooks: {
        requestFilter: (session) => {
          if (!session.isSubrequest) void session.respondBy({ request: { target: '/slow' } });
          return !session.isSubrequest;
        },
        failToProxy: (session) => (session.isSubrequest ? undefined : decided.promise.then(() => ({ status: 503 }))),
      },
      origin: () => {},
    });
    const client = await rig.ask(get);
    await rig.pass(1_000);
    rig.origins[0]?.send(ok);
    await settle();
    assert.equal(client.text, '');
    decided.resolve();
    await settle();
    assert.equal(readResponse(client.text).status, 503);
    await rig.finish(client);
  });

  test('leaves failToProxy free to answer by another one', async () => {
    const rig = new Rig({
      proxy: { requestTimeoutMs: 1_000 },
      hooks: {
        requestFilter: (session) => {
          if (!session.isSubrequest) void session.respondBy({ request: { target: '/slow' } });
          return !session.isSubrequest;
        },
        failToProxy: async (session) => {
          if (!session.isSubrequest) await session.respondBy({ request: { target: '/fast' } });
        },
      },
      origin: (wire) => when(wire, '/fast', () => wire.send(ok)),
    });
    const client = await rig.ask(get);
    await rig.pass(1_000);
    assert.equal(readResponse(client.text).status, 200);
    await rig.finish(client);
  });
});

test('when a request has ended nothing is begun for its answer any more, also if nothing was before', async () => {
  const results: Promise<CollectedResponse>[] = [];
  const rig = new Rig({
    hooks: {
      logging: (session) => {
        const made = session.isSubrequest ? undefined : session.subrequests?.collect({ request: { target: '/late' }, maxBodyBytes: 10 });
        if (made !== undefined) results.push(made);
      },
    },
  });
  const client = await rig.ask(get);
  await settle();
  const [result] = await Promise.all(results);
  assert.equal(result?.error?.reason, 'SUBREQUEST_PARENT_ENDED');
  assert.doesNotMatch(rig.origins.map((wire) => wire.text).join(''), /late/);
  await rig.finish(client);
});
