/** Any cut of any pipelined requests gives the same exchanges, and answers in their order. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { MessageEvent, ResponseDecoder, ServerConnection } from '@ferrata/http1';
import fc from 'fast-check';
import { bytes, response, text } from './machines.ts';

interface Sent {
  readonly method: string;
  readonly body: string;
  readonly isChunked: boolean;
  /** Bytes of the body that are read before the answer; the rest is left to be drained, if its length is known. */
  readonly answerAfter: number;
  readonly answer: string;
}

const sent: fc.Arbitrary<Sent> = fc
  .record({
    method: fc.constantFrom('GET', 'POST', 'HEAD', 'PUT'),
    body: fc.string({ maxLength: 20 }).map((body) => body.replace(/[^\x20-\x7e]/g, 'x')),
    isChunked: fc.boolean(),
    answerAfter: fc.nat({ max: 30 }),
    answer: fc.constantFrom('', 'a', 'GET / HTTP/1.1\r\n\r\n', 'x'.repeat(40)),
  })
  // An early answer to a request in chunks is the last one.
  .map((one) => (one.isChunked ? { ...one, answerAfter: Number.POSITIVE_INFINITY } : one));

function wire({ method, body, isChunked }: Sent, at: number): string {
  const head = `${method} /${at} HTTP/1.1\r\nHost: a\r\n`;
  if (!isChunked) return `${head}Content-Length: ${body.length}\r\n\r\n${body}`;
  const chunks = body
    .split('')
    .map((character) => `1\r\n${character}\r\n`)
    .join('');
  return `${head}Transfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`;
}

function cut(input: string, cuts: readonly number[]): Uint8Array[] {
  const places = [...new Set(cuts.map((place) => place % (input.length + 1)))].toSorted((a, b) => a - b);
  const pieces: Uint8Array[] = [];
  let from = 0;
  for (const place of [...places, input.length]) {
    if (place > from) pieces.push(bytes(input.slice(from, place)));
    from = place;
  }
  return pieces;
}

interface Exchange {
  target: string;
  body: string;
}

/** Serves every request as its script says. @returns what was read, and what was sent */
function serve(script: readonly Sent[], pieces: readonly Uint8Array[]): { readonly read: Exchange[]; readonly sent: Uint8Array } {
  const machine = new ServerConnection(0);
  const read: Exchange[] = [];
  const output: Uint8Array[] = [];
  let isAnswered = true;
  const answer = (): void => {
    const { answer: body } = script[read.length - 1] as Sent;
    machine.sendHead(response(200, { 'X-For': (read.at(-1) as Exchange).target }), body.length);
    machine.sendData(bytes(body));
    machine.sendEnd();
    isAnswered = true;
  };
  for (const piece of pieces) {
    machine.receive(piece, 0);
    while (machine.nextEvent(0)) {
      if (machine.event === MessageEvent.head) {
        assert.ok(isAnswered, 'a request before the answer to the one before it');
        isAnswered = false;
        read.push({ target: machine.request.target, body: '' });
        if ((script[read.length - 1] as Sent).answerAfter === 0) answer();
      } else if (machine.event === MessageEvent.data) {
        const exchange = read.at(-1) as Exchange;
        exchange.body += text(machine.data);
        if (exchange.body.length >= (script[read.length - 1] as Sent).answerAfter) answer();
      } else {
        answer();
      }
    }
    output.push(...machine.takeOutput());
  }
  assert.equal(machine.isIdle, true);
  assert.equal(machine.bufferedBytes, 0);
  return { read, sent: concatBytes(output) };
}

it('any chunking of pipelined requests gives the same exchanges, answered in order (RFC 9112 §9.3.2)', () => {
  fc.assert(
    fc.property(
      fc.array(sent, { minLength: 1, maxLength: 6 }),
      fc.array(fc.nat(), { maxLength: 12 }),
      fc.boolean(),
      (script, cuts, bytewise) => {
        const input = script.map(wire).join('');
        const pieces = bytewise ? input.split('').map(bytes) : cut(input, cuts);
        const { read, sent: output } = serve(script, pieces);
        assert.deepEqual(
          read.map(({ target }) => target),
          script.map((_, at) => `/${at}`),
        );
        for (const [at, { body }] of read.entries()) {
          const { body: whole, answerAfter } = script[at] as Sent;
          assert.ok(whole.startsWith(body));
          if (answerAfter > whole.length) assert.equal(body, whole);
        }
        const decoder = new ResponseDecoder();
        for (const { method } of script) decoder.expect(method);
        decoder.feed(output);
        let at = -1;
        let body = '';
        while (decoder.next()) {
          if (decoder.event === MessageEvent.head) {
            at++;
            body = '';
            assert.equal(decoder.head.headers.get('x-for'), `/${at}`);
          } else if (decoder.event === MessageEvent.data) {
            body += text(decoder.data);
          } else {
            const { method, answer } = script[at] as Sent;
            assert.equal(body, method === 'HEAD' ? '' : answer);
          }
        }
        assert.equal(at, script.length - 1);
        assert.equal(decoder.bufferedBytes, 0);
      },
    ),
  );
});
