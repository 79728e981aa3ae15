/**
 * `Expect: 100-continue` in all its timings (RFC 9110 §10.1.1). The proxy passes the expectation on and answers it with nothing of its own: the
 * 100 is the origin's, and so is every final status that comes instead. After one of those, only a close is unambiguous while the client may
 * still hold its body back.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { peer } from '@ferrata/upstream';
import { attack, ReadingOrigin, responsesOf, smuggled, statusesOf, tell } from './cve/attack.ts';
import { get, Rig, readResponse, settle, when } from './rig.ts';

const head = 'PUT /up HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n';
const chunkedHead = 'PUT /up HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n';
const proceed = 'HTTP/1.1 100 Continue\r\n\r\n';

describe('Expect: 100-continue', () => {
  for (const [framing, start, body] of [
    ['by length', head, 'hello'],
    ['in chunks', chunkedHead, '5\r\nhello\r\n0\r\n\r\n'],
  ] as const) {
    for (const when100 of ['at the head', 'after the body', 'twice', 'never'] as const) {
      for (const whenBody of ['with the head', 'without waiting', 'after the 100'] as const) {
        if (whenBody === 'after the 100' && (when100 === 'after the body' || when100 === 'never')) continue;
        test(`a body ${framing}, sent ${whenBody}; the origin says 100 ${when100}`, async () => {
          const origin = new ReadingOrigin((request) => (when100 === 'after the body' ? proceed : '') + tell(request.body));
          const rig = new Rig({
            origin: (wire) => {
              origin.serve(wire);
              if (when100 === 'at the head' || when100 === 'twice')
                when(wire, '\r\n\r\n', () => wire.send(proceed.repeat(when100 === 'twice' ? 2 : 1)));
            },
          });
          const client = rig.connect();
          client.send(whenBody === 'with the head' ? start + body : start);
          if (whenBody === 'after the 100') await settle();
          if (whenBody === 'after the 100') assert.match(client.text, /^HTTP\/1\.1 100 Continue\r\n\r\n/);
          if (whenBody !== 'with the head') client.send(body);
          client.send(get);
          await settle();
          await settle();
          assert.deepEqual(
            responsesOf(client).map((response) => response.body),
            ['hello', ''],
          );
          const continues = client.text.split('100 Continue').length - 1;
          // The second request gets its own, where the origin says it after everything.
          assert.equal(continues, { 'at the head': 1, 'after the body': 2, twice: 2, never: 0 }[when100]);
          assert.match(rig.origins[0]?.text ?? '', /^expect: 100-continue\r$/im);
          assert.equal(rig.origins.length, 1);
          await rig.finish(client);
        });
      }
    }
  }

  for (const status of ['200 OK', '401 Unauthorized', '417 Expectation Failed', '500 No']) {
    for (const [what, pieces, isClosed] of [
      ['before the body, which never comes', [head], true],
      ['before the body, which comes all the same', [head, 'hello', smuggled], true],
      ['with the body on its way', [`${head}he`, 'llo', get.replace('/', '/next')], false],
    ] as const) {
      test(`${status} ${what}`, async () => {
        const origin = new ReadingOrigin();
        const rig = new Rig({
          origin: (wire, index) => {
            if (index > 0) origin.serve(wire);
            else when(wire, '\r\n\r\n', () => wire.send(`HTTP/1.1 ${status}\r\nContent-Length: 2\r\n\r\nno`));
          },
        });
        const client = rig.connect();
        for (const piece of pieces) {
          client.send(piece);
          await settle();
        }
        assert.equal(responsesOf(client)[0]?.body, 'no');
        assert.equal(client.hasEnded, isClosed);
        assert.deepEqual(origin.targets, isClosed ? [] : ['/next']);
        assert.ok(rig.origins[0]?.isOver, 'the connection with half a request is not used again');
        await rig.finish(client);
      });
    }
  }

  test('a final status after interim ones, and after the body, is an ordinary response', async () => {
    const rig = new Rig({ origin: new ReadingOrigin(() => `HTTP/1.1 102 P\r\n\r\n${proceed}HTTP/1.1 103 E\r\n\r\n${tell('ok')}`).serve });
    const client = await rig.ask(`${head}hello`);
    assert.deepEqual(client.text.match(/(?<=HTTP\/1\.1 )\d+/g), ['102', '100', '103', '200']);
    assert.ok(!client.hasEnded);
    await rig.finish(client);
  });

  test('neither side says anything: 408 at the time-out of bodies, and the origin sees the end', async () => {
    const rig = new Rig({ origin: () => {} });
    const client = await rig.ask(head);
    await rig.pass(29_000);
    assert.equal(client.text, '');
    await rig.pass(2_000);
    assert.deepEqual(statusesOf(client), [408]);
    assert.ok(client.hasEnded);
    assert.ok(rig.origins[0]?.isOver);
    await rig.finish(client);
  });

  test('the time-outs of the origin wait for the body: who ignores an expectation is silent until then (RFC 9110 §10.1.1)', async () => {
    const impatient = peer('10.0.0.1:80', { connection: { firstByteTimeoutMs: 1_000, readTimeoutMs: 1_000 } });
    const origin = new ReadingOrigin((request) => (request.body === 'hello' ? tell('ok') : ''));
    const rig = new Rig({ origin: origin.serve, hooks: { upstreamPeer: () => impatient } });
    const patient = await rig.ask(head);
    await rig.pass(5_000);
    assert.equal(patient.text, '');
    patient.send('hello');
    await settle();
    assert.equal(responsesOf(patient)[0]?.body, 'ok');
    const other = await rig.ask(head);
    await rig.pass(5_000);
    other.send('jello');
    await rig.pass(2_000);
    assert.deepEqual(statusesOf(other), [504], 'from the end of the body on they run');
    await rig.finish(patient, other);
  });

  test('the origin says 100 and nothing more: 504 when the body is out', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, '\r\n\r\n', () => wire.send(proceed)) });
    const client = await rig.ask(head);
    client.send('hello');
    await rig.pass(61_000);
    assert.match(client.text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 504 /);
    await rig.finish(client);
  });

  for (const [what, answered, body, isRetried] of [
    ['lost before the 100, is asked again, and the body is sent once', '', '', true],
    ['lost before the 100, with the body out, repeats both', '', 'hello', true],
    ['lost after the 100 is not: an answer had begun', proceed, '', false],
  ] as const) {
    test(`a request that is ${what}`, async () => {
      const origin = new ReadingOrigin((request) => tell(request.body));
      const rig = new Rig({
        origin: (wire, index) => {
          if (index === 0) return;
          origin.serve(wire);
          when(wire, '\r\n\r\n', () => wire.send(proceed));
        },
      });
      const client = await rig.ask(head + body);
      rig.origins[0]?.send(answered);
      await settle();
      rig.origins[0]?.reset();
      await settle();
      if (body === '') client.send('hello');
      await settle();
      const [response] = responsesOf(client);
      if (isRetried) assert.equal(response?.body, 'hello');
      else assert.equal(statusesOf(client)[0], 502);
      assert.equal(rig.origins.length, isRetried ? 2 : 1);
      if (isRetried) assert.match(rig.origins[1]?.text ?? '', /^expect: 100-continue\r$/im);
      await rig.finish(client);
    });
  }

  for (const [what, ask] of [
    ['no body', 'GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n'],
    ['a body of no bytes', 'PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 0\r\n\r\n'],
    ['no body, as a list', 'GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue,\t100-Continue\r\n\r\n'],
    ['no body, on two lines', 'GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nExpect: 100-CONTINUE\r\n\r\n'],
  ] as const) {
    test(`with ${what} is not sent on: nothing can be waited for (RFC 9110 §10.1.1)`, async () => {
      const origin = new ReadingOrigin();
      const rig = new Rig({ origin: origin.serve });
      const client = await attack(rig, [ask + get]);
      assert.deepEqual(statusesOf(client), [200, 200]);
      assert.doesNotMatch(rig.origins[0]?.text ?? '', /expect/i);
      assert.equal(rig.origins.length, 1);
      await rig.finish(client);
    });
  }

  test('other expectations, alone or beside it, are the origin’s to judge', async () => {
    for (const value of ['tea', '100-continue, tea', '200-ok', '100-continue;q=1', '"x, 100-continue', '100-continue, "100-continue"']) {
      const origin = new ReadingOrigin(() => 'HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n');
      const rig = new Rig({ origin: origin.serve });
      const client = await rig.ask(`GET / HTTP/1.1\r\nHost: h\r\nExpect: ${value}\r\n\r\n`);
      assert.equal(readResponse(client.text).status, 417);
      assert.ok(rig.origins[0]?.text.includes(`Expect: ${value}\r\n`));
      assert.ok(!client.hasEnded);
      await rig.finish(client);
    }
  });
});
