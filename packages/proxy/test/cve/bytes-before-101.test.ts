/**
 * CVE-2026-2833 (Pingora before 0.8): bytes behind a request with Upgrade were passed to the origin before it had answered 101. An origin that
 * answers 200 instead reads them as another request, which no filter has seen. Also CVE-2026-58055 (nghttpx) and CVE-2026-73548 (Envoy): Upgrade
 * with a body, forwarded on a connection that is used again.
 *
 * Here: before the origin's 101 nothing that follows the request leaves the proxy. If the origin answers something else, what follows is what
 * HTTP/1.1 says it is, the next request: it is parsed, filtered and sent on another connection (RFC 9110 §7.8). An upgrade has an upstream
 * connection of its own, before and after. `upgrade.test.ts` has the tunnel itself.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Rig, settle, type Wire, when } from '../rig.ts';
import { attack, cuts, ReadingOrigin, responsesOf, smuggled, statusesOf, tell } from './attack.ts';

const upgrade = 'GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
const accepted = 'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

describe('CVE-2026-2833: what follows a request with Upgrade does not pass before the origin has said 101', () => {
  for (const [what, answer] of Object.entries({
    '200': tell('no'),
    '403': 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n',
    '426 that names protocols': 'HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: other\r\nContent-Length: 0\r\n\r\n',
    '200 after interim responses': `HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n${tell('no')}`,
    '200 up to its close': 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nno',
  })) {
    for (const [cut, pieces] of Object.entries(cuts)) {
      test(`${what}, ${cut}: it is the next request, seen by every filter, on another connection`, async () => {
        const seen: string[] = [];
        const origin = new ReadingOrigin((request, wire) => {
          if (request.start[1] !== '/chat') return tell('next');
          if (what.endsWith('close')) queueMicrotask(() => wire.end());
          return answer;
        });
        const rig = new Rig({ origin: origin.serve, hooks: { earlyRequestFilter: ({ request }) => void seen.push(request.target) } });
        const client = await attack(rig, pieces(upgrade + smuggled));
        await settle();
        assert.deepEqual(seen, ['/chat', '/smuggled']);
        assert.deepEqual(origin.problems, []);
        assert.equal(rig.origins.length, 2);
        assert.doesNotMatch(rig.origins[0]?.text ?? '', /smuggled/, 'the connection of the upgrade carries nothing else');
        assert.deepEqual(statusesOf(client), [Number(answer.match(/(?<=HTTP\/1.1 )[2-9]\d\d/)?.[0]), 200]);
        await rig.finish(client);
      });
    }
  }

  test('a filter that refuses what follows is obeyed: nothing of it leaves the proxy', async () => {
    const rig = new Rig({
      hooks: {
        requestFilter: (session) => {
          if (session.request.target !== '/smuggled') return false;
          session.respond(403);
          return true;
        },
      },
    });
    const client = await attack(rig, [upgrade + smuggled]);
    assert.deepEqual(statusesOf(client), [200, 403]);
    assert.equal(rig.origins.length, 1);
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /smuggled/);
    await rig.finish(client);
  });

  test('an origin that never answers never gets it, and reading stops at the look-ahead limit', async () => {
    const rig = new Rig({ origin: () => {}, server: { maxLookAheadBytes: 1_000 } });
    const client = await attack(rig, [upgrade, ...Array.from({ length: 50 }, () => smuggled.repeat(4))]);
    assert.doesNotMatch(rig.origins[0]?.text ?? '', /smuggled/);
    assert.ok(client.stream.bufferedBytes > smuggled.length * 170, 'most of it waits at the client');
    await rig.finish(client);
  });

  for (let at = upgrade.length - 3; at <= upgrade.length + 9; at++) {
    test(`101: it passes after that, whole and once, cut at ${at - upgrade.length}`, async () => {
      const rig = new Rig({ origin: () => {} });
      const input = `${upgrade}raw bytes`;
      const client = await attack(rig, [input.slice(0, at), input.slice(at)]);
      const origin = rig.origins[0] as Wire;
      assert.doesNotMatch(origin.text, /raw/, 'not before the 101');
      // The 101 itself comes in two pieces too, with the first bytes of the new protocol behind it.
      origin.send(`${accepted}hello`.slice(0, at)).send(`${accepted}hello`.slice(at));
      await settle();
      assert.ok(origin.text.endsWith('\r\n\r\nraw bytes'));
      assert.equal(origin.text.split('raw').length, 2);
      assert.ok(client.text.endsWith('\r\n\r\nhello'));
      await rig.finish(client);
    });
  }

  test('101 that is followed by HTTP stays a tunnel: nothing in it is parsed, or answered by us', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '/chat', () => wire.send(accepted)) });
    const client = await attack(rig, [upgrade + smuggled, smuggled]);
    assert.ok(rig.origins[0]?.text.endsWith(smuggled + smuggled));
    assert.ok(client.text.endsWith('\r\n\r\n'));
    assert.equal(rig.begun, 1);
    await rig.finish(client);
  });
});

describe('CVE-2026-58055, CVE-2026-73548: Upgrade with a body, or where it does not count, asks for nothing', () => {
  const body = smuggled;
  for (const [what, head] of Object.entries({
    'a body by length': `POST /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    'a chunked body':
      'POST /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n' +
      `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    'not nominated in Connection': 'GET /chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n',
    'HTTP/1.0': 'GET /chat HTTP/1.0\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n',
  })) {
    test(`${what}: no Upgrade goes upstream, and 101 is no answer to it`, async () => {
      const plain = new ReadingOrigin();
      const rig = new Rig({ origin: plain.serve });
      const client = await attack(rig, [head + smuggled]);
      assert.deepEqual(plain.targets, ['/chat', '/smuggled']);
      assert.doesNotMatch(rig.origins[0]?.text ?? '', /upgrade/i);
      assert.deepEqual(
        responsesOf(client).map((response) => response.body),
        ['/chat', '/smuggled'],
      );
      await rig.finish(client);

      const switching = new ReadingOrigin(() => `${accepted}secret`);
      const other = new Rig({ origin: switching.serve });
      const victim = await attack(other, [head + smuggled]);
      assert.equal(statusesOf(victim)[0], 502);
      assert.doesNotMatch(victim.text, /secret/);
      assert.ok(victim.hasEnded);
      await other.finish(victim);
    });
  }
});
