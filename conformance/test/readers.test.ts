import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { ALLOWANCES, type Allowance, type ExpectedRequest, refusalBy, requestDifference } from '../http1-readers/allowances.ts';
import { requestInputs, responseInputs } from '../http1-readers/inputs.ts';
import { ReaderFolder, type ReaderName } from '../http1-readers/reader-program.ts';
import { type LaneOptions, RequestLane } from '../http1-readers/request-lane.ts';
import { ResponseLane } from '../http1-readers/response-lane.ts';
import { readRequests, readResponse } from '../http1-readers/understanding.ts';
import type { RecordedRequest } from '../rig/recording-origin.ts';

const strict: LaneOptions = { reader: 'haproxy', decoders: { request: {}, response: {} }, use: () => undefined };

const cleanUps: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
});

function bytes(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'latin1'));
}

/** A reader of our own making: passes bytes on, changed by `change`. */
async function fakeReader(
  path: string,
  port: number,
  changes: Partial<Record<'toServer' | 'toClient', (text: string) => string>>,
): Promise<void> {
  const sockets = new Set<Socket>();
  const pass = (from: Socket, to: Socket, change: (text: string) => string = (text) => text): void => {
    sockets.add(from);
    from.on('error', () => to.destroy());
    from.on('data', (chunk) => to.write(change(chunk.toString('latin1')), 'latin1'));
    from.on('end', () => to.end());
  };
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    pass(client, upstream, changes.toServer);
    pass(upstream, client, changes.toClient);
  });
  await new Promise<void>((resolve) => void server.listen(path, resolve));
  cleanUps.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => void server.close(resolve));
  });
}

async function checkRequest(text: string, toServer: (text: string) => string = (it) => it): Promise<string | null> {
  const folder = new ReaderFolder('haproxy');
  cleanUps.push(() => folder.remove());
  const lane = await RequestLane.open(strict, folder.socket('forward', 0));
  cleanUps.push(() => lane.close());
  await fakeReader(folder.socket('forward', 0), lane.originPort, { toServer });
  return await lane.check({ id: 'x', bytes: bytes(text) });
}

async function checkResponse(text: string, toClient: (text: string) => string = (it) => it): Promise<string | null> {
  const folder = new ReaderFolder('haproxy');
  cleanUps.push(() => folder.remove());
  const lane = await ResponseLane.open(strict);
  cleanUps.push(() => lane.close());
  const path = folder.socket('fetch', 0);
  await fakeReader(path, lane.proxyPort, { toClient });
  return await lane.check({ id: 'x', method: 'GET', bytes: bytes(text) }, path);
}

const chunked = 'POST /a HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n';

describe('the lane of requests', () => {
  test('finds nothing wrong with a reader that changes nothing, whatever the input', async () => {
    for (const text of [
      chunked,
      `${chunked}GET http://b/c HTTP/1.1\r\nHost: d\r\n\r\n`,
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhell',
      'GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost : a\r\n\r\n',
      'CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n',
      '\0',
    ]) {
      assert.equal(await checkRequest(text), null, text);
    }
  });

  for (const [what, change, problem] of [
    ['another method', (text: string) => text.replace('POST /a', 'PUT /a'), /of "POST \/a" the reader made method "PUT"/],
    ['another target', (text: string) => text.replace('POST /a', 'POST /b'), /the reader made target "\/b"/],
    ['another body', (text: string) => text.replace('hello', 'jello'), /the reader made body "jello" of "hello"/],
    ['another field', (text: string) => text.replace('X-A: 1', 'X-A: 2'), /the reader made fields .*"x-a","2"/],
    ['another Host', (text: string) => text.replace('Host: a', 'Host: b'), /the reader made fields .*"host","b"/],
    ['other trailers', (text: string) => text.replace('X-Sum: 1', 'X-Sum: 2'), /the reader made trailers/],
    [
      'one request more',
      (text: string) => text.replace('POST /a', 'GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\nPOST /a'),
      /the reader made method "GET"|got .* as its answer/,
    ],
    [
      'a framing of its own',
      (text: string) => text.replace('Transfer-Encoding: chunked', 'Content-Length: 0'),
      /the origin was sent what it cannot parse|got .* as its answer/,
    ],
  ] as const) {
    test(`finds a reader that makes of it ${what}`, async () => {
      assert.match((await checkRequest(chunked, change)) ?? 'passes', problem);
    });
  }
});

describe('the lane of responses', () => {
  const response = 'HTTP/1.1 200 Fine\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n';

  test('finds nothing wrong with a reader that changes nothing, whatever the input', async () => {
    for (const text of [
      response,
      `${response}HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad`,
      'HTTP/1.1 200 OK\r\n\r\nup to the close',
      'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
      '',
    ]) {
      assert.equal(await checkResponse(text), null, text);
    }
  });

  for (const [what, change, problem] of [
    ['another status', (text: string) => text.replace('200 Fine', '201 Fine'), /made status 201/],
    ['another reason', (text: string) => text.replace('200 Fine', '200 Fain'), /made reason "Fain"/],
    ['another body', (text: string) => text.replace('hello', 'jello'), /made body "jello"/],
    ['another field', (text: string) => text.replace('X-A: 1', 'X-A: 2'), /made fields/],
    ['other trailers', (text: string) => text.replace('X-Sum: 1', 'X-Sum: 2'), /made trailers/],
    [
      'two of one',
      (text: string) => text.replace('HTTP/1.1 200 Fine', 'HTTP/1.1 204 No\r\n\r\nHTTP/1.1 200 Fine'),
      /bytes that nobody asked for/,
    ],
    ['one with bytes behind it', (text: string) => text.replace('X-Sum: 1\r\n\r\n', '$&more'), /bytes behind the response: "more"/],
  ] as const) {
    test(`finds a reader that makes of it ${what}`, async () => {
      assert.match((await checkResponse(response, change)) ?? 'passes', problem);
    });
  }

  test('finds a reader that makes a whole response of one that is cut short', async () => {
    const cut = 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhell';
    assert.match(
      (await checkResponse(cut, (text) => text.replace('Content-Length: 9', 'Content-Length: 4'))) ?? 'passes',
      /a whole response/,
    );
  });
});

describe('an allowance', () => {
  const plain: ExpectedRequest = { method: 'GET', target: '/', fields: [['host', 'a']], asked: [['host', 'a']], body: '', trailers: [] };
  const seen: RecordedRequest = { ...plain, host: 'a', fieldNames: ['host'] };

  test('is made for what the rule names, by the reader that is known for it, and for nothing else', () => {
    const refuses = (reader: ReaderName, change: Partial<ExpectedRequest>): boolean => refusalBy(reader, { ...plain, ...change }) !== null;
    assert.equal(refuses('nginx', {}), false);
    assert.equal(refuses('nginx', { method: 'get' }), true);
    assert.equal(refuses('haproxy', { method: 'get' }), false);
    assert.equal(refuses('haproxy', { method: 'PRI' }), true);
    assert.deepEqual(
      ['/%', '/%zz', '/%00', '/%20', '/?%', '/..', '/a/..', '/a/%2e%2E/../b'].map((target) => refuses('nginx', { target })),
      [true, true, true, false, false, true, false, true],
    );
  });

  test('for trailers is told of, and only nginx has it', () => {
    const used: Allowance[] = [];
    const sent: ExpectedRequest = { ...plain, trailers: [['x-sum', '1']] };
    assert.equal(
      requestDifference('nginx', sent, seen, (allowance) => used.push(allowance)),
      null,
    );
    assert.deepEqual(
      used.map(({ reader }) => reader),
      ['nginx'],
    );
    assert.match(requestDifference('haproxy', sent, seen, () => undefined) ?? '', /trailers \[\]/);
    assert.match(requestDifference('nginx', plain, { ...seen, trailers: [['x', '1']] }, () => undefined) ?? '', /trailers/);
  });

  test('has a reason of its own', () => {
    assert.equal(new Set(ALLOWANCES.map(({ reader, reason }) => `${reader} ${reason}`)).size, ALLOWANCES.length);
  });
});

describe('the inputs', () => {
  test('are the same for the same seed, each under an id of its own', () => {
    const counts = { drawn: 20, mutated: 50 };
    for (const inputs of [requestInputs, responseInputs]) {
      const [one, again, other] = [inputs(1, counts), inputs(1, counts), inputs(2, counts)];
      assert.deepEqual(again, one);
      assert.notDeepEqual(other, one);
      assert.equal(new Set(one.map(({ id }) => id)).size, one.length);
    }
  });

  test('hold many requests and responses that are accepted, and many that are refused', () => {
    const counts = { drawn: 100, mutated: 300 };
    const requests = requestInputs(1, counts).map((input) => readRequests(input.bytes));
    const refused = requests.filter(({ refusal }) => refusal !== null).length;
    const accepted = requests.filter((reading) => reading.requests.some(({ isComplete }) => isComplete)).length;
    assert.ok(refused > 200 && accepted > 200, `${refused} refused, ${accepted} accepted`);
    const responses = responseInputs(1, counts).map((input) => readResponse(input.bytes, { method: input.method, isEnded: true }).response);
    const whole = responses.filter((response) => response?.isComplete === true).length;
    assert.ok(whole > 150 && whole < responses.length - 50, `${whole} of ${responses.length} whole`);
  });
});
