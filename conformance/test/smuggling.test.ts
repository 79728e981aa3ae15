import assert from 'node:assert/strict';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { readCases, type SmugglingCase } from '../http1-smuggling/cases.ts';
import { observeDecoder } from '../http1-smuggling/decoder-level.ts';
import { observeProxy } from '../http1-smuggling/proxy-level.ts';
import { NAMED_HERE } from '../http1-smuggling/statuses.ts';
import { judge, type Observation } from '../http1-smuggling/verdict.ts';
import { exchange } from '../rig/raw-client.ts';
import { RecordingOrigin } from '../rig/recording-origin.ts';
import { readKnownFailures } from '../runner.ts';
import { refusingWith } from './refusing-decoder.ts';
import { startRefusingRelay } from './refusing-relay.ts';

const cases = readCases();

function caseOf(id: string): SmugglingCase {
  const found = cases.find((one) => one.id === id);
  assert.ok(found !== undefined, id);
  return found;
}

const nothing: Observation = { requests: [], targets: [], statuses: [], isClosed: false, isWaiting: false, malformed: [] };
const get = { method: 'GET', target: '/', body: '', host: 'localhost', fieldNames: ['host'] };

describe('the cases', () => {
  test('are all there, each with a verdict that can be judged', () => {
    assert.equal(cases.length, 153);
    assert.equal(new Set(cases.map(({ id }) => id)).size, 153);
    for (const one of cases) {
      assert.ok(one.raw.length > 0, one.id);
      if (one.verdict === 'accept') assert.ok((one.sees[0] ?? []).length > 0, one.id);
    }
  });

  test('are expanded from parts', () => {
    assert.equal(caseOf('rl-target-1m').raw.length, 1_048_576 + 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'.length);
    assert.match(caseOf('lim-50000-headers').raw.toString('latin1'), /X-0: y\r\nX-1: y\r\n[^]*X-49999: y\r\n\r\n$/);
  });
});

describe('the judge', () => {
  const accepted: Observation = { ...nothing, requests: [get], targets: ['/'], statuses: [200] };

  test('wants 400 and a close of what is to be rejected', () => {
    const one = caseOf('name-only-colon');
    assert.equal(judge(one, { ...nothing, statuses: [400], isClosed: true }), null);
    assert.match(judge(one, { ...nothing, isClosed: true }) ?? '', /no status came; 400 is demanded/);
    assert.match(judge(one, { ...nothing, statuses: [503], isClosed: true }) ?? '', /answered 503; 400 is demanded/);
    assert.match(judge(one, { ...nothing, statuses: [400] }) ?? '', /left the connection open/);
    assert.match(judge(one, { ...nothing, isWaiting: true }) ?? '', /neither refused nor closed/);
    assert.match(judge(one, accepted) ?? '', /the origin saw/);
    assert.match(judge(one, { ...nothing, statuses: [200], isClosed: true }) ?? '', /answered 200/);
    assert.match(judge(one, { ...nothing, statuses: [400, 200], isClosed: true }) ?? '', /answered 400, 200/);
  });

  test('wants the status that the RFC names', () => {
    const one = caseOf('host-missing');
    assert.equal(judge(one, { ...nothing, statuses: [400], isClosed: true }), null);
    assert.match(judge(one, { ...nothing, statuses: [500], isClosed: true }) ?? '', /400 is demanded/);
    assert.match(judge(one, { ...nothing, isClosed: true }) ?? '', /no status came/);
  });

  test('wants another status where one is due, and names one for no case that the fixtures give one or accept', () => {
    for (const [id, status] of [
      ['te-x-chunked', 501],
      ['rl-v-2', 505],
      ['rl-target-1m', 414],
      ['lim-50000-headers', 431],
      ['ext-many-chunks', 413],
    ] as const) {
      assert.equal(judge(caseOf(id), { ...nothing, statuses: [status], isClosed: true }), null, id);
      assert.match(judge(caseOf(id), { ...nothing, statuses: [400], isClosed: true }) ?? '', /answered 400/, id);
    }
    for (const id of NAMED_HERE) assert.deepEqual([caseOf(id).verdict, caseOf(id).status], ['reject', null], id);
  });

  test('lets a client wait, or go without a status, only where that is right', () => {
    assert.equal(judge(caseOf('cl-overflow-2p32'), { ...nothing, isWaiting: true, targets: ['/'] }), null);
    assert.equal(judge(caseOf('cl-overflow-2p32'), { ...nothing, isClosed: true, targets: ['/'] }), null);
    assert.equal(judge(caseOf('chunk-no-final-crlf-fin'), { ...nothing, isClosed: true, targets: ['/'] }), null);
    assert.match(judge(caseOf('chunk-no-final-crlf-fin'), { ...nothing, isWaiting: true, targets: ['/'] }) ?? '', /neither refused/);
    const silent = cases.filter((one) => one.verdict === 'reject' && judge(one, { ...nothing, isClosed: true }) === null);
    assert.deepEqual(
      silent.map(({ id }) => id),
      ['cl-overflow-2p32', 'cl-100-digits', 'chunk-max-64', 'chunk-no-final-crlf-fin', 'cr-only'],
    );
  });

  test('never lets a smuggled target through, not even unfinished', () => {
    const one = caseOf('te-xchunked');
    assert.match(
      judge(one, { ...nothing, statuses: [400], isClosed: true, targets: ['/smuggled'] }) ?? '',
      /\/smuggled reached the origin/,
    );
  });

  test('wants what is served before the bad request to be served', () => {
    const one = caseOf('pipe-good-then-bad');
    const first = { ...get, target: '/a' };
    assert.equal(judge(one, { ...nothing, requests: [first], targets: ['/a'], statuses: [200, 400], isClosed: true }), null);
    assert.match(judge(one, { ...nothing, statuses: [400], isClosed: true }) ?? '', /the origin saw nothing/);
  });

  test('wants exactly the requests of an accepted case, each answered', () => {
    const one = caseOf('ok-get');
    assert.equal(judge(one, accepted), null);
    assert.match(judge(one, { ...accepted, requests: [get, get], statuses: [200, 200] }) ?? '', /the origin saw/);
    assert.match(judge(one, { ...accepted, requests: [{ ...get, body: 'x' }] }) ?? '', /the origin saw/);
    assert.match(judge(one, { ...accepted, statuses: [] }) ?? '', /answered nothing/);
    assert.match(judge(one, { ...accepted, malformed: ['chunk line'] }) ?? '', /cannot parse: chunk line/);
  });

  test('takes each list that is as good, compares Host, and looks for a close and for fields that must not be forwarded', () => {
    const absolute = { ...get, target: 'http://localhost/p?q' };
    assert.equal(judge(caseOf('abs-plain'), { ...accepted, requests: [absolute] }), null);
    assert.match(judge(caseOf('abs-plain'), { ...accepted, requests: [{ ...absolute, host: 'evil' }] }) ?? '', /the origin saw/);
    assert.match(
      judge(caseOf('conn-hop-by-hop'), { ...accepted, requests: [{ ...get, fieldNames: ['host', 'keep-alive'] }] }) ?? '',
      /the origin saw keep-alive/,
    );
    assert.match(judge(caseOf('conn-close-then-more'), accepted) ?? '', /stayed open/);
  });
});

describe('the decoder level', () => {
  test('gives each case its verdict, whole and byte by byte, but for known failures', () => {
    const known = readKnownFailures(new URL('../http1-smuggling/known-failures.txt', import.meta.url));
    for (const one of cases) {
      if (one.proxyOnly || known.has(`decoder/${one.id}`)) continue;
      assert.equal(judge(one, observeDecoder(one, Number.POSITIVE_INFINITY)), null, one.id);
      assert.equal(judge(one, observeDecoder(one, 1)), null, `${one.id}, byte by byte`);
    }
  });

  test('sees the same whole and in pieces', () => {
    for (const id of ['pipe-2', 'trailer-plain', 'te-xchunked', 'chunk-no-final-crlf-fin']) {
      const one = caseOf(id);
      assert.deepEqual(observeDecoder(one, 1), observeDecoder(one, Number.POSITIVE_INFINITY), id);
    }
  });
});

describe('a decoder that refuses with another status', () => {
  for (const status of [500, 503]) {
    test(`as ${status}, is found by every case that is refused`, () => {
      for (const one of cases) {
        if (one.proxyOnly || one.verdict === 'accept' || one.hangOk) continue;
        const seen = observeDecoder(one, Number.POSITIVE_INFINITY, refusingWith(status));
        assert.match(judge(one, seen) ?? 'passes', new RegExp(`answered (?:200, )*${status}; \\d+ is demanded`), one.id);
      }
    });
  }
});

const closing: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function startOrigin(): Promise<RecordingOrigin> {
  const origin = await RecordingOrigin.listen(0);
  closing.push(() => origin.close());
  return origin;
}

async function listen(onSocket: (socket: Socket) => void): Promise<number> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closing.push(() => void server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

async function send(port: number, text: string, responses = 1): Promise<number[]> {
  const raw = Buffer.from(text, 'latin1');
  const answer = await exchange({ port, raw, halfClose: false, responses, untilClose: false, quietMs: 2000, closeMs: 2000 });
  return [...answer.statuses];
}

describe('the recording origin', () => {
  test('records requests in any framing, with their trailers read', async () => {
    const origin = await startOrigin();
    const chunked = 'POST /2 HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\nT: u\r\n\r\n';
    assert.deepEqual(await send(origin.port, `PUT /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok${chunked}`, 2), [200, 200]);
    const { requests, targets, malformed } = origin.take();
    assert.deepEqual(
      requests.map(({ method, target, body, host }) => [method, target, body, host]),
      [
        ['PUT', '/1', 'ok', 'a'],
        ['POST', '/2', 'hi', 'b'],
      ],
    );
    assert.deepEqual([targets, malformed, origin.take().requests], [['/1', '/2'], [], []]);
  });

  const malformedRequests: Readonly<Record<string, string>> = {
    'ambiguous framing': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    '0 Host fields': 'GET / HTTP/1.1\r\n\r\n',
    'field line': 'GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n',
    'request line': 'GET  / HTTP/1.1\r\nHost: a\r\n\r\n',
    'Content-Length: +5': 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello',
    'Transfer-Encoding: x': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x\r\n\r\n',
    'chunk line': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello',
    'no CRLF after a chunk': 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhiXX',
  };
  for (const [problem, text] of Object.entries(malformedRequests)) {
    test(`calls malformed what two readers could take differently: ${problem}`, async () => {
      const origin = await startOrigin();
      assert.deepEqual(await send(origin.port, text), []);
      assert.match(origin.take().malformed.join(), new RegExp(problem.replace('+', '\\+')));
    });
  }
});

describe('the proxy level', () => {
  test('passes no proxy that closes every connection: nothing is served any more', async () => {
    const origin = await startOrigin();
    const port = await listen((socket) => socket.destroy());
    assert.match(judge(caseOf('ok-get'), await observeProxy(caseOf('ok-get'), port, origin)) ?? '', /no longer serves/);
  });

  test('finds that a relay of bytes forwards what it should refuse, and serves what it should', async () => {
    const origin = await startOrigin();
    const port = await listen((client) => {
      const upstream = connect({ port: origin.port, host: '127.0.0.1' });
      upstream.on('error', () => undefined);
      client.pipe(upstream).pipe(client);
    });
    assert.equal(judge(caseOf('ok-get'), await observeProxy(caseOf('ok-get'), port, origin)), null);
    assert.equal(judge(caseOf('pipe-chunked-get'), await observeProxy(caseOf('pipe-chunked-get'), port, origin)), null);
    for (const [id, problem] of [
      ['clte-classic', /cannot parse: ambiguous framing/],
      ['name-space-colon', /cannot parse: field line/],
      ['host-at', /the origin saw .*user@a/],
      ['conn-hop-by-hop', /the origin saw keep-alive, proxy-connection/],
      ['rl-http-1-2', /cannot parse: request line/],
    ] as const) {
      assert.match(judge(caseOf(id), await observeProxy(caseOf(id), port, origin)) ?? 'passes', problem, id);
    }
  });

  for (const [name, changed, problem] of [
    ['finds nothing where a proxy refuses with what is due', null, null],
    ['finds that a proxy refuses with 503', 503, /answered 503; 400 is demanded/],
    ['finds that a proxy refuses with 500', 500, /answered 500; 400 is demanded/],
    ['finds that a proxy closes without a status', 'close', /no status came; 400 is demanded/],
    ['finds that a proxy refuses twice', 'twice', /answered 400, 400 to what it refused/],
  ] as const) {
    test(name, async () => {
      const origin = await startOrigin();
      const relay = await startRefusingRelay(origin.port, changed);
      closing.push(() => relay.close());
      assert.equal(judge(caseOf('ok-get'), await observeProxy(caseOf('ok-get'), relay.port, origin)), null);
      for (const id of ['clte-classic', 'name-only-colon', 'pipe-good-then-bad', 'chunk-g', 'host-missing']) {
        const found = judge(caseOf(id), await observeProxy(caseOf(id), relay.port, origin));
        if (problem === null) assert.equal(found, null, id);
        else assert.match(found ?? 'passes', problem, id);
      }
    });
  }
});
