/**
 * CVE-2025-4366 (Pingora before 0.5): a response that did not come from the origin, there a cache hit, was sent without reading the request's
 * body, and what the attacker had put into that body was then read as the next request of the connection.
 *
 * Here: a connection carries another request only after the one before it was read whole. A body that nobody wants is read and thrown away up to
 * `maxDrainBytes`; beyond that the connection ends (RFC 9112 §9.3, §9.6).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { applicationError } from '@ferrata/error';
import type { ProxyHooks } from '@ferrata/proxy';
import { Rig, settle } from '../rig.ts';
import { attack, cuts, ReadingOrigin, smuggled, statusesOf } from './attack.ts';

/** All ways in which a response can come from somewhere else than the origin. */
const answers: Readonly<Record<string, Partial<ProxyHooks<string[]>>>> = {
  'requestFilter, at once': {
    requestFilter: (session) => {
      session.respond(200, { body: 'hit' });
      return true;
    },
  },
  'requestFilter, later': {
    requestFilter: async (session) => {
      await settle();
      session.respond(200, { body: 'hit' });
      return true;
    },
  },
  'a refusal by earlyRequestFilter, which closes': {
    earlyRequestFilter: () => {
      throw applicationError('NO', 'no', { wire: { status: 403 } });
    },
  },
  'failToProxy, when upstreamPeer fails': {
    upstreamPeer: () => {
      throw applicationError('NO', 'no', { wire: { status: 503 } });
    },
    failToProxy: (session) => session.respond(200, { body: 'hit' }),
  },
};

const framings: Readonly<Record<string, (body: string) => string>> = {
  'Content-Length': (body) => `Content-Length: ${body.length}\r\n\r\n${body}`,
  chunked: (body) => `Transfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
};

describe('CVE-2025-4366: an answer that is not the origin’s leaves no byte of the body to be read as a request', () => {
  for (const [how, hooks] of Object.entries(answers)) {
    for (const [framing, frame] of Object.entries(framings)) {
      for (const [cut, pieces] of Object.entries(cuts)) {
        test(`${how}; ${framing}; ${cut}`, async () => {
          const origin = new ReadingOrigin();
          const rig = new Rig({ origin: origin.serve, hooks });
          const client = await attack(rig, pieces(`POST /hit HTTP/1.1\r\nHost: h\r\n${frame(smuggled.repeat(5))}`));
          const seen = rig.logged.map(({ session }) => session.request.target);
          assert.deepEqual(seen, ['/hit']);
          assert.deepEqual(origin.begunTargets, []);
          assert.equal(statusesOf(client).length, 1);
          // The connection goes on with the next request, or it has ended: never with what lay in the body.
          client.send('GET /next HTTP/1.1\r\nHost: h\r\n\r\n');
          await settle();
          await settle();
          const after = rig.logged.slice(1).map(({ session }) => session.request.target);
          assert.deepEqual(after, client.hasEnded ? [] : ['/next']);
          await rig.finish(client);
        });
      }
    }
  }

  for (const [framing, frame] of Object.entries(framings)) {
    for (const isLate of [false, true]) {
      test(`a body beyond maxDrainBytes (${framing}) ends the connection, ${isLate ? 'when it comes' : 'when it is there already'}`, async () => {
        const origin = new ReadingOrigin();
        const rig = new Rig({
          origin: origin.serve,
          hooks: answers['requestFilter, at once'] ?? {},
          server: { connection: { maxDrainBytes: 100 } },
        });
        const input = `POST /hit HTTP/1.1\r\nHost: h\r\n${frame(smuggled.repeat(5))}`;
        const at = isLate ? input.indexOf('\r\n\r\n') + 4 : input.length;
        const client = await attack(
          rig,
          [input.slice(0, at), input.slice(at), smuggled].filter((piece) => piece !== ''),
        );
        assert.deepEqual(statusesOf(client), [200]);
        assert.ok(client.hasEnded);
        assert.deepEqual(
          rig.logged.map(({ session }) => session.request.target),
          ['/hit'],
        );
        await rig.finish(client);
      });
    }
  }

  test('a body that was announced with Expect and may never come ends the connection: the next bytes could be either', async () => {
    const rig = new Rig({ hooks: answers['requestFilter, at once'] ?? {} });
    const client = await attack(rig, [
      `POST /hit HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: ${smuggled.length}\r\n\r\n`,
      smuggled,
      smuggled,
    ]);
    assert.deepEqual(statusesOf(client), [200]);
    assert.ok(client.hasEnded);
    assert.equal(rig.logged.length, 1);
    await rig.finish(client);
  });

  test('an answer of responseFilter in the upstream’s place, before the body has come, is no different', async () => {
    const origin = new ReadingOrigin();
    const rig = new Rig({
      origin: (wire) => {
        wire.onText = () =>
          wire.text.includes('\r\n\r\n') && !wire.text.includes('x') && wire.send('HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n');
      },
      hooks: { responseFilter: (session) => session.respond(200, { body: 'hit' }) },
    });
    const client = await attack(rig, [`POST /hit HTTP/1.1\r\nHost: h\r\nContent-Length: ${smuggled.length}\r\n\r\n`, smuggled]);
    assert.deepEqual(statusesOf(client), [200]);
    assert.deepEqual(origin.begunTargets, []);
    assert.equal(rig.logged.length, 1);
    assert.equal(rig.proxy.connector.connectionCount, 0, 'half a request was sent: the connection is not used again');
    await rig.finish(client);
  });
});
