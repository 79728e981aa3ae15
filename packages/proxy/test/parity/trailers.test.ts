/** Behaviour 202 of Pingora's tests, with its limit: trailers of a request, wherever they are cut, up to 64 KiB. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { get, ok, Rig, type RigOptions, readResponse, settle, type Wire } from '../rig.ts';

const HEAD = 'POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n';
const LIMIT = 65_536;
/** Answers each request when it is whole: one in chunks, perhaps one without a body behind it. */
function whole(wire: Wire): void {
  let answered = 0;
  wire.onText = () => {
    const ends = wire.text.match(/\r\n0\r\n(?:[^\r]+\r\n)*\r\n|GET [^\r]+\r\n(?:[^\r]+\r\n)*\r\n/g)?.length ?? 0;
    for (; answered < ends; answered++) wire.send(ok);
  };
}

const options: RigOptions = {
  origin: whole,
  server: { connection: { decoder: { maxTrailerBytes: LIMIT, maxTrailerFields: 1_000 } } },
};

describe('trailers of a request that nobody looks at', () => {
  test('#202 three lines, cut anywhere, are no part of the body, and the next request is answered', async () => {
    const section = '0\r\na: 1\r\nbc: 2\r\nd: 345\r\n\r\n';
    for (let at = 0; at <= section.length; at++) {
      const rig = new Rig(options);
      const client = await rig.ask(HEAD + section.slice(0, at));
      client.send(section.slice(at));
      await settle();
      assert.equal(rig.last.session.requestBytes, 1, `cut at ${at}`);
      client.text = '';
      client.send(get);
      await settle();
      assert.equal(readResponse(client.text).body, 'ok', `cut at ${at}`);
      await rig.finish(client);
    }
  });

  test('#202 wrong ends, and more than 64 KiB where that is the limit, are errors; less is none', async () => {
    const lines = (bytes: number): string =>
      'a: '
        .padEnd(998, 'x')
        .concat('\r\n')
        .repeat(bytes / 1_000);
    for (const [section, reason] of [
      ['0\r\na: 1\rb: 2\r\n\r\n', 'H1_BARE_CR'],
      ['0\r\na: 1\r\nxx\r\n', 'H1_FIELD_COLON_MISSING'],
      [`0\r\n${lines(66_000)}\r\n`, 'H1_TRAILERS_TOO_LARGE'],
      [`0\r\n${lines(65_000)}\r\n`, undefined],
    ] as const) {
      const rig = new Rig(options);
      const client = await rig.ask(HEAD + section);
      assert.equal(rig.last.error?.reason, reason, section.slice(0, 20));
      if (reason === undefined) assert.equal(readResponse(client.text).body, 'ok');
      await rig.finish(client);
    }
    const rig = new Rig({ ...options, origin: () => {} });
    const client = await rig.ask(`${HEAD}0\r\na: 1\r\n`);
    client.end();
    await settle();
    await rig.pass(3_000);
    assert.notEqual(rig.last.error, null);
    await rig.finish(client);
  });
});
