/** Faults at every position of a short message, on both sides: what the other side sees, and that the command goes on. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { type Ferrata, startFerrata } from './support/command.ts';
import { exchange, httpOrigin, mirror, RawClient, rawOrigin, statusOf } from './support/peers.ts';

const request = 'POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5;e=1\r\ndefgh\r\n0\r\nX-T: 1\r\n\r\n';
const head = 'HTTP/1.1 200 OK\r\nX-A: 1\r\n';

const framings: readonly (readonly [name: string, response: string])[] = [
  ['Content-Length', `${head}Content-Length: 8\r\n\r\nabcdefgh`],
  ['chunks', `${head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\ndefgh\r\n0\r\nX-T: 1\r\n\r\n`],
];

/** Without a length: it ends where the connection ends (RFC 9112 §6.3), and a client that speaks HTTP/1.1 gets it in chunks. */
const untilClose = `${head}\r\nabcdefgh`;

/** Does `check` for each position of `text`, sixteen at a time. */
async function atEachPosition(text: string, check: (position: number) => Promise<void>): Promise<void> {
  const positions = Array.from({ length: text.length + 1 }, (_, index) => index);
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      for (let position = positions.shift(); position !== undefined; position = positions.shift()) await check(position);
    }),
  );
}

/** The command still serves. */
async function servesWell(ferrata: Ferrata): Promise<void> {
  const answer = await exchange(ferrata.port, 'GET /after HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.equal(statusOf(answer), 200, answer);
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

const origin = await httpOrigin(mirror);
const ferrata = await startFerrata([origin.port], ['--access-log']);

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
  await servesWell(ferrata);
});

test('a client that resets at any position takes nothing but its own request along', async () => {
  await atEachPosition(request, async (position) => {
    const client = new RawClient(ferrata.port);
    await new Promise<void>((resolve) => void client.socket.write(request.slice(0, position) || '\r\n', 'latin1', () => resolve()));
    client.reset();
  });
  await servesWell(ferrata);
  await ferrata.logged((line) => line.target === '/after');
});

/** Where the faulty origin stops, from the target `/POSITION`. */
function positionOf(received: string): number | null {
  const found = /^[A-Z]+ \/(\d+|after) /.exec(received);
  return found === null || found[1] === 'after' ? null : Number(found[1]);
}

/** An origin that sends its response up to the position that the request asks for, and then does `fault`; `/after` gets all of it, and the end. */
async function faultyOrigin(response: string, fault: (socket: Socket) => void): Promise<number> {
  const { port } = await rawOrigin((socket) => {
    socket.on('data', (chunk: Buffer) => {
      const position = positionOf(chunk.toString('latin1'));
      if (position === null) socket.end(response, 'latin1');
      else if (position === 0) fault(socket);
      else socket.write(response.slice(0, position), 'latin1', () => fault(socket));
    });
  });
  return port;
}

const faults: readonly (readonly [name: string, status: number, fault: (socket: Socket) => void])[] = [
  ['ends its side', 502, (socket) => void socket.end()],
  ['resets', 502, (socket) => void socket.resetAndDestroy()],
  ['stalls', 504, () => {}],
];

for (const [framing, response] of framings) {
  const headLength = response.indexOf('\r\n\r\n') + 4;
  for (const [name, status, fault] of faults) {
    test(`an origin that ${name} at any position of a response with ${framing}: ${status} before the head is whole, a visibly cut message after`, async () => {
      const proxy = await startFerrata([await faultyOrigin(response, fault)], ['--read-timeout', '300ms', '--access-log']);
      await atEachPosition(response, async (position) => {
        const answer = await exchange(
          proxy.port,
          `POST /${position} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
        );
        if (position < headLength) {
          assert.equal(statusOf(answer), status, `at ${position}: ${answer}`);
        } else if (position < response.length) {
          // A reset may overtake the bytes before it: then no head has come, and 502 is as true.
          if (statusOf(answer) === 200) assert.ok(!isWhole(answer), `at ${position} a cut message looks whole: ${answer}`);
          else assert.ok(name === 'resets' && statusOf(answer) === 502, `at ${position}: ${answer}`);
        } else if (name !== 'resets') {
          assert.ok(statusOf(answer) === 200 && isWhole(answer), answer);
        }
      });
      await servesWell(proxy);
      await proxy.until('a line for each request', () => proxy.log.length >= response.length + 2);
      assert.equal(proxy.log.length, response.length + 2);
    });
  }
}

for (const [name, status, fault] of faults) {
  // Only an end in order says that this was all: anything else must not look like it, not even behind the last byte (RFC 9112 §8).
  const isEnd = name === 'ends its side';
  test(`an origin that ${name} at any position of a response without a length: ${status} before the head is whole, a ${isEnd ? 'whole' : 'visibly cut'} message after`, async () => {
    const proxy = await startFerrata([await faultyOrigin(untilClose, fault)], ['--read-timeout', '300ms', '--access-log']);
    const headLength = untilClose.indexOf('\r\n\r\n') + 4;
    await atEachPosition(untilClose, async (position) => {
      const answer = await exchange(proxy.port, `POST /${position} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      if (position < headLength || (name === 'resets' && statusOf(answer) === 502)) {
        assert.equal(statusOf(answer), status, `at ${position}: ${answer}`);
        return;
      }
      assert.equal(statusOf(answer), 200, `at ${position}: ${answer}`);
      assert.match(answer, /^transfer-encoding: chunked\r$/im);
      assert.equal(isWhole(answer), isEnd, `at ${position}: ${answer}`);
      if (isEnd) assert.equal(chunkData(answer), untilClose.slice(headLength, position));
    });
    await servesWell(proxy);
    await proxy.until('a line for each request', () => proxy.log.length >= untilClose.length + 2);
    assert.equal(proxy.log.length, untilClose.length + 2);
  });
}

for (const [framing, response] of [...framings, ['no length', untilClose]] as const) {
  test(`a response with ${framing} that comes one byte at a time is a response like any other`, async () => {
    const { port } = await rawOrigin((socket) => {
      socket.once('data', async () => {
        for (const byte of response) {
          socket.write(byte, 'latin1');
          await new Promise<void>((resolve) => setImmediate(resolve));
        }
        socket.end();
      });
    });
    const proxy = await startFerrata([port]);
    const answer = await exchange(proxy.port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    assert.equal(statusOf(answer), 200, answer);
    assert.match(answer, /^X-A: 1\r$/m);
    assert.ok(isWhole(answer), answer);
    if (framing === 'Content-Length') assert.ok(answer.endsWith('\r\n\r\nabcdefgh'), answer);
    else assert.ok(chunkData(answer).startsWith('abcdefgh'), answer);
    assert.equal(/^X-T: 1\r$/m.test(answer), framing === 'chunks');
  });
}
