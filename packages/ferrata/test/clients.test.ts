/** Real clients and real origins: node:http, undici and curl, on keep-alive connections, with bodies both ways. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { after, test } from 'node:test';
import { promisify } from 'node:util';
import { Client, Agent as UndiciAgent, request as undiciRequest } from 'undici';
import { startFerrata, within } from './support/command.ts';
import { httpOrigin, type Mirrored, mirror, rawOrigin } from './support/peers.ts';

const origin = await httpOrigin((incoming, response) => {
  if (incoming.url === '/echo') {
    response.writeHead(200, { 'Content-Type': incoming.headers['content-type'] ?? 'application/octet-stream' });
    incoming.pipe(response);
  } else if (incoming.url === '/big') {
    Readable.from(pieces(BIG_BYTES)).pipe(response);
  } else if (incoming.url === '/trailers') {
    response.writeHead(200, { Trailer: 'X-Checksum, X-Count' }).write('with ');
    response.addTrailers({ 'X-Checksum': 'abc', 'X-Count': '2' });
    response.end('trailers');
  } else if (incoming.url === '/hash') {
    const hash = createHash('sha256');
    incoming.on('data', (chunk: Buffer) => hash.update(chunk)).on('end', () => response.end(hash.digest('hex')));
  } else {
    mirror(incoming, response);
  }
});
/** What the raw origin does with what comes, as the test that runs says. */
let onRawRequest: (socket: Socket) => void = (socket) => socket.destroy();
const raw = await rawOrigin((socket) => void socket.on('data', () => onRawRequest(socket)));
const [ferrata, inFrontOfRaw] = await Promise.all([startFerrata([origin.port]), startFerrata([raw.port])]);
const agent = new Agent({ keepAlive: true, maxSockets: 4 });
after(() => agent.destroy());

const BIG_BYTES = 24 * 1_048_576;

/** So many bytes, no two kilobytes alike. */
function* pieces(total: number): Generator<Buffer> {
  for (let at = 0; at < total; at += 65_536) {
    const piece = Buffer.alloc(Math.min(65_536, total - at));
    for (let i = 0; i < piece.length; i += 1_024) piece.writeUInt32LE(at + i, i);
    yield piece;
  }
}

function hashOf(total: number): string {
  const hash = createHash('sha256');
  for (const piece of pieces(total)) hash.update(piece);
  return hash.digest('hex');
}

interface Answer {
  readonly response: IncomingMessage;
  readonly body: Buffer;
}

/** One request by node:http. */
async function ask(
  path: string,
  options: {
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: Readable | string;
    readonly isContinued?: boolean;
  } = {},
): Promise<Answer> {
  const { body } = options;
  const answered = new Promise<Answer>((resolve, reject) => {
    const sent = request(
      { port: ferrata.port, path, agent, method: options.method ?? 'GET', headers: { ...options.headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ response, body: Buffer.concat(chunks) })).on('error', reject);
      },
    ).on('error', reject);
    const send = (): void => void (body instanceof Readable ? body.pipe(sent) : sent.end(body));
    if (options.isContinued === true) {
      sent.on('continue', send);
      sent.flushHeaders();
    } else {
      send();
    }
  });
  return await within('an answer', answered);
}

test('node:http with a keep-alive agent: two hundred requests over four connections, bodies and all', async () => {
  const bodies = Array.from({ length: 200 }, (_, index) => 'b'.repeat(index * 37));
  const answers = await Promise.all(bodies.map((body) => ask('/echo', { method: 'POST', body })));
  assert.deepEqual(
    answers.map(({ body }) => body.toString()),
    bodies,
  );
  const sockets = new Set(answers.map(({ response }) => response.socket));
  assert.ok(sockets.size <= 4);
});

test('node:http: Expect: 100-continue, answered by the origin', async () => {
  const { body } = await ask('/', {
    method: 'PUT',
    headers: { Expect: '100-continue', 'Content-Length': '5' },
    body: 'later',
    isContinued: true,
  });
  assert.equal((JSON.parse(body.toString()) as Mirrored).body, 'later');
});

test('a large upload and a large download arrive as they were sent', async () => {
  const [up, down] = await Promise.all([ask('/hash', { method: 'POST', body: Readable.from(pieces(BIG_BYTES)) }), ask('/big')]);
  const expected = hashOf(BIG_BYTES);
  assert.equal(up.body.toString(), expected);
  assert.equal(createHash('sha256').update(down.body).digest('hex'), expected);
});

test('a large body goes both ways at once through one exchange', async () => {
  const { body } = await ask('/echo', { method: 'POST', body: Readable.from(pieces(BIG_BYTES)) });
  assert.equal(createHash('sha256').update(body).digest('hex'), hashOf(BIG_BYTES));
});

const TOTAL_BYTES = 64 * 1_048_576;

/** How many bytes the other side of the proxy has taken, and whether it goes on doing so. */
class Flood {
  writtenBytes = 0;

  /** Writes until all is written. @returns when nothing has moved for a while: everything between is full */
  async untilStopped(into: Writable): Promise<void> {
    const piece = Buffer.alloc(65_536, 0x61);
    const more = (): void => {
      while (this.writtenBytes < TOTAL_BYTES) {
        this.writtenBytes += piece.length;
        if (!into.write(piece)) return;
      }
    };
    into.on('drain', more);
    more();
    let before = -1;
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (this.writtenBytes === before) {
          clearInterval(timer);
          resolve();
        }
        before = this.writtenBytes;
      }, 250);
    });
  }
}

test('a client that reads nothing stops the origin: the proxy holds little, and all arrives in the end', async () => {
  const flood = new Flood();
  const stopped = Promise.withResolvers<void>();
  onRawRequest = (socket) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${TOTAL_BYTES}\r\n\r\n`);
    void flood.untilStopped(socket).then(stopped.resolve);
  };
  const received = new Promise<IncomingMessage>((resolve, reject) => {
    request({ port: inFrontOfRaw.port, agent: false }, resolve).on('error', reject).end();
  });
  const response = await within('a response', received);
  response.pause();
  await within('the origin to be stopped', stopped.promise);
  // Kernel buffers on four sockets and 64 KiB marks, not the whole body.
  assert.ok(flood.writtenBytes < TOTAL_BYTES / 2, `${flood.writtenBytes} bytes were taken from the origin`);
  let length = 0;
  await within(
    'the rest',
    new Promise<void>((resolve, reject) => {
      response
        .on('data', (chunk: Buffer) => (length += chunk.length))
        .on('end', resolve)
        .on('error', reject);
      response.resume();
    }),
  );
  assert.equal(length, TOTAL_BYTES);
});

test('an origin that reads nothing stops the client', async () => {
  const arrived = Promise.withResolvers<void>();
  onRawRequest = (socket) => {
    socket.pause();
    arrived.resolve();
  };
  const flood = new Flood();
  const upload = request({ port: inFrontOfRaw.port, agent: false, method: 'POST' }).on('error', () => {});
  await within('the client to be stopped', flood.untilStopped(upload));
  assert.ok(flood.writtenBytes < TOTAL_BYTES / 2, `${flood.writtenBytes} bytes were taken from the client`);
  await within('the request at the origin', arrived.promise);
  upload.destroy();
});

test('undici: requests, streams and trailers on few connections', async () => {
  const dispatcher = new UndiciAgent({ connections: 2 });
  try {
    const answers = await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const { statusCode, body } = await undiciRequest(`${ferrata.url}/echo`, { method: 'PUT', body: `body ${index}`, dispatcher });
        return `${statusCode} ${await body.text()}`;
      }),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 50 }, (_, index) => `200 body ${index}`),
    );
    const { body } = await undiciRequest(`${ferrata.url}/hash`, { method: 'POST', body: Readable.from(pieces(1_000_000)), dispatcher });
    assert.equal(await body.text(), hashOf(1_000_000));
    const trailed = await undiciRequest(`${ferrata.url}/trailers`, { dispatcher });
    assert.equal(await trailed.body.text(), 'with trailers');
    assert.deepEqual({ ...trailed.trailers }, { 'x-checksum': 'abc', 'x-count': '2' });
  } finally {
    await dispatcher.close();
  }
});

test('undici: pipelined requests are answered in order', async () => {
  const client = new Client(ferrata.url, { pipelining: 10 });
  try {
    const answers = await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        const { body } = await client.request({ method: 'GET', path: `/n${index}` });
        return ((await body.json()) as Mirrored).url;
      }),
    );
    assert.deepEqual(
      answers,
      Array.from({ length: 30 }, (_, index) => `/n${index}`),
    );
  } finally {
    await client.close();
  }
});

test('undici may be cancelled in the middle of a download, and the proxy goes on', async () => {
  const dispatcher = new UndiciAgent();
  for (let i = 0; i < 5; i++) {
    const abort = new AbortController();
    const { body } = await undiciRequest(`${ferrata.url}/big`, { dispatcher, signal: abort.signal });
    abort.abort();
    await assert.rejects(body.text());
  }
  await dispatcher.close();
  assert.equal((await ask('/')).response.statusCode, 200);
});

const hasCurl = spawnSync('curl', ['--version']).status === 0;
const curlTest = { skip: !hasCurl && 'curl is not installed' };
const folder = mkdtempSync(join(tmpdir(), 'ferrata-'));
after(() => rmSync(folder, { recursive: true, force: true }));

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)('curl', ['--silent', '--show-error', '--max-time', '30', '--noproxy', '*', ...args], {
    maxBuffer: 64 * 1_048_576,
  });
  return stdout;
}

test('curl: a POST, a chunked upload, HEAD, HTTP/1.0 and several requests on one connection', curlTest, async () => {
  const file = join(folder, 'body');
  writeFileSync(file, 'chunked upload');
  assert.equal(await curl('--data', 'hello', `${ferrata.url}/echo`), 'hello');
  assert.equal(await curl('--header', 'Transfer-Encoding: chunked', '--upload-file', file, `${ferrata.url}/echo`), 'chunked upload');
  assert.match(await curl('--head', `${ferrata.url}/`), /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal((JSON.parse(await curl('--http1.0', `${ferrata.url}/old`)) as Mirrored).url, '/old');
  assert.equal(
    await curl('--write-out', '%{num_connects} ', '--output', '/dev/null', `${ferrata.url}/1`, '--output', '/dev/null', `${ferrata.url}/2`),
    '1 0 ',
  );
});

test('curl: Expect: 100-continue does not wait for its own time-out', curlTest, async () => {
  const file = join(folder, 'large');
  writeFileSync(file, Buffer.alloc(2_000_000, 0x62));
  const text = await curl('--expect100-timeout', '25', '--header', 'Expect: 100-continue', '--upload-file', file, `${ferrata.url}/hash`);
  assert.equal(text, createHash('sha256').update(Buffer.alloc(2_000_000, 0x62)).digest('hex'));
});

test('curl: a 502 is an answer, with a body that says so', curlTest, async () => {
  onRawRequest = (socket) => socket.destroy();
  assert.match(await curl('--include', inFrontOfRaw.url), /^HTTP\/1\.1 502 Bad Gateway\r\n[^]*\r\n\r\n502 Bad Gateway\n$/);
});

test('fetch reads a large download as a stream', async () => {
  const answer = await fetch(`${ferrata.url}/big`);
  const hash = createHash('sha256');
  for await (const chunk of answer.body ?? []) hash.update(chunk as Uint8Array);
  assert.equal(hash.digest('hex'), hashOf(BIG_BYTES));
});
