/** Faults at every position of a short message, on both sides: what the other side sees, and that the command goes on. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { type Ferrata, startFerrata } from './support/command.ts';
import { exchange, httpOrigin, mirror, RawClient, rawOrigin, statusOf } from './support/peers.ts';

const request = 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;e=1\r\ndefgh\r\n0\r\nX-T: 1\r\n\r\n';
const head = 'HTTP/1.1 200 OK\r\nX-A: 1\r\n';

const responses: readonly (readonly [framing: string, response: string])[] = [
  ['Content-Length', `${head}Content-Length: 8\r\n\r\nabcdefgh`],
  ['chunks', `${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-T: 1\r\n\r\n`],
  // It ends where the connection ends (RFC 9112 §6.3), and a client that speaks HTTP/1.1 gets it in chunks.
  ['no length', `${head}\r\nabcdefgh`],
];

/** Does `check` for each position of `text`, 32 at a time. */
async function atEachPosition(text: string, check: (position: number) => Promise<void>): Promise<void> {
  const positions = Array.from({ length: text.length + 1 }, (_, index) => index);
  await Promise.all(
    Array.from({ length: 32 }, async () => {
      for (let position = positions.shift(); position !== undefined; position = positions.shift()) await check(position);
    }),
  );
}

/** The command still serves, and logs. */
async function servesWell(target: string): Promise<void> {
  const answer = await exchange(ferrata.port, `GET ${target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`);
  assert.equal(statusOf(answer), 200, answer);
  await ferrata.logged((line) => line.target === target);
  assert.equal(ferrata.stderr, '');
}

/** Whether `answer` is a whole HTTP/1.1 message by its own framing. */
function isWhole(answer: string): boolean {
  const end = answer.indexOf('\r\n\r\n');
  if (end < 0) return false;
  const length = /^content-length: (\d+)\r$/im.exec(answer.slice(0, end + 1))?.[1];
  return length === undefined ? /0\r\n(?:[^\r\n]+\r\n)*\r\n$/.test(answer.slice(end + 4)) : answer.length === end + 4 + Number(length);
}

/** The data of a chunked message. */
function chunkData(answer: string): string {
  const lines = answer.slice(answer.indexOf('\r\n\r\n') + 4).split('\r\n');
  return lines.filter((_, index) => index % 2 === 1).join('');
}

const faults: Readonly<Record<string, (socket: Socket) => void>> = {
  'ends its side': (socket) => socket.end(),
  resets: (socket) => socket.resetAndDestroy(),
  stalls: () => {},
};

/** Sends the response that the target `/RESPONSE/HOW` asks for, in the way that it asks for: up to a position with a fault behind it, `FAULT/POSITION`, or `whole`, or `bytewise`. */
const faulty = await rawOrigin((socket) => {
  socket.on('data', async (chunk: Buffer) => {
    const [, index = 0, how = '', position = ''] = /^[A-Z]+ \/(\d)\/([^/ ]+)(?:\/(\d+))? /.exec(chunk.toString('latin1')) ?? [];
    const [framing, response] = responses[Number(index)] as (typeof responses)[number];
    const fault = faults[decodeURIComponent(how)];
    if (fault !== undefined) {
      if (position === '0') fault(socket);
      else socket.write(response.slice(0, Number(position)), 'latin1', () => fault(socket));
      return;
    }
    for (const piece of how === 'bytewise' ? response : [response]) {
      socket.write(piece, 'latin1');
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    // Else it is used again, and a request that may not be sent twice must not meet its end.
    if (framing === 'no length') socket.end();
  });
});
const origin = await httpOrigin(mirror);
const [ferrata, patient, hasty] = await Promise.all([
  startFerrata([origin.port], ['--access-log']),
  startFerrata([faulty.port], ['--access-log']),
  startFerrata([faulty.port], ['--access-log', '--read-timeout', '500ms']),
]);

test('a request that comes one byte at a time is a request like any other', async () => {
  const client = new RawClient(ferrata.port);
  for (const byte of request) {
    client.send(byte);
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
  assert.match(await client.until('"body":"abcdefgh"'), /"trailers":\{"x-t":"1"\}/);
  client.socket.destroy();
});

test('a request cut in two at any position is a request like any other', async () => {
  await atEachPosition(request, async (position) => {
    const client = new RawClient(ferrata.port).send(request.slice(0, position));
    await new Promise<void>((resolve) => setImmediate(resolve));
    client.send(request.slice(position));
    await client.until('"body":"abcdefgh"');
    client.socket.destroy();
  });
});

test('a client that ends its side at any position gets an answer to what is whole and a 400 or a close for what is not', async () => {
  await atEachPosition(request, async (position) => {
    const client = new RawClient(ferrata.port).send(request.slice(0, position));
    client.socket.end();
    const status = statusOf(await client.untilEnd());
    if (position === request.length) assert.equal(status, 200);
    else assert.ok(status === 400 || status === 0, `${status} at ${position}`);
  });
  await servesWell('/after-ends');
});

test('a client that resets at any position takes nothing but its own request along', async () => {
  await atEachPosition(request, async (position) => {
    const client = new RawClient(ferrata.port);
    await new Promise<void>((resolve) => void client.socket.write(request.slice(0, position) || '\r\n', 'latin1', () => resolve()));
    client.reset();
  });
  await servesWell('/after-resets');
});

async function requestOf(proxy: Ferrata, method: 'GET' | 'POST', target: string): Promise<string> {
  return await exchange(proxy.port, `${method} ${target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
}

for (const [index, [framing, response]] of responses.entries()) {
  const headLength = response.indexOf('\r\n\r\n') + 4;
  for (const name of Object.keys(faults)) {
    // The one that stalls is the only one that the time-out is for: to the others a slow machine must not be one.
    const [proxy, status] = name === 'stalls' ? [hasty, 504] : [patient, 502];
    // Only an end in order says that this was all of a message without a length: anything else must not look like it, not even behind the last byte (RFC 9112 §8).
    const isWholeAt = (position: number): boolean => (framing === 'no length' ? name === 'ends its side' : position === response.length);

    test(`an origin that ${name} at any position of a response with ${framing}: ${status} before the head is whole, a message that is visibly cut after, where it is`, async () => {
      const targetOf = (position: number): string => `/${index}/${encodeURIComponent(name)}/${position}`;
      await atEachPosition(response, async (position) => {
        const answer = await requestOf(proxy, 'POST', targetOf(position));
        // A reset may overtake the bytes before it: then no head has come, and 502 is as true.
        if (position < headLength || (name === 'resets' && statusOf(answer) === 502)) {
          assert.equal(statusOf(answer), status, `at ${position}: ${answer}`);
          return;
        }
        assert.equal(statusOf(answer), 200, `at ${position}: ${answer}`);
        // Behind its last byte the reset may or may not be what came first.
        if (name !== 'resets' || framing === 'no length' || position < response.length)
          assert.equal(isWhole(answer), isWholeAt(position), `at ${position}: ${answer}`);
        if (framing !== 'no length') return;
        assert.match(answer, /^transfer-encoding: chunked\r$/im);
        if (isWholeAt(position)) assert.equal(chunkData(answer), response.slice(headLength, position));
      });
      assert.equal(statusOf(await requestOf(proxy, 'GET', `/${index}/whole`)), 200);
      assert.equal(proxy.stderr, '');
      const lines = (): number => proxy.log.filter(({ target }) => target?.startsWith(`/${index}/${encodeURIComponent(name)}/`)).length;
      await proxy.until('a line for each request', () => lines() >= response.length + 1);
      await proxy.logged(({ target }) => target === `/${index}/whole`);
      assert.equal(lines(), response.length + 1);
    });
  }

  test(`a response with ${framing} that comes one byte at a time is a response like any other`, async () => {
    const answer = await requestOf(patient, 'GET', `/${index}/bytewise`);
    assert.equal(statusOf(answer), 200, answer);
    assert.match(answer, /^X-A: 1\r$/m);
    assert.ok(isWhole(answer), answer);
    if (framing === 'Content-Length') assert.ok(answer.endsWith('\r\n\r\nabcdefgh'), answer);
    else assert.ok(chunkData(answer).startsWith('abcdefgh'), answer);
    assert.equal(/^X-T: 1\r$/m.test(answer), framing === 'chunks');
  });
}
