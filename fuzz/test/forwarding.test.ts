import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { checkDownstream, checkUpstream } from '../oracles/forwarding.ts';
import { type Answer, type ProxyPlan, type ProxyRun, runProxy, type UpstreamRecord } from '../oracles/proxy-run.ts';
import { wholeChunk } from '../oracles/transcript.ts';

const bytes = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'latin1'));
const text = (data: Uint8Array): string => Buffer.from(data).toString('latin1');

const CLIENT = 'POST /p HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 2\r\n\r\nhiGET /g HTTP/1.1\r\nHost: a\r\n\r\n';
const FIRST = 'POST /p HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 2\r\n\r\nhi';
const SECOND = 'GET /g HTTP/1.1\r\nHost: a\r\n\r\n';
const ONE = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none';
const TWO = 'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo';
const OWN = 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nCache-Control: private, no-store\r\nConnection: close\r\n\r\n';

function answer(said: string, afterwards: Answer['afterwards'] = 'stay'): Answer {
  return { bytes: bytes(said), isEarly: false, afterwards };
}

function upstream(sent: string, completed: number, change: Partial<UpstreamRecord> = {}): UpstreamRecord {
  return { bytes: bytes(sent), completed, behindUpgrade: new Uint8Array(0), isGivenUp: false, ...change };
}

function runOf(change: Partial<ProxyRun> = {}): ProxyRun {
  return {
    downstream: bytes(ONE + TWO),
    downstreamEnd: 'ended',
    upstreams: [upstream(FIRST + SECOND, 2)],
    attempts: [
      { connection: 0, answer: answer(ONE) },
      { connection: 0, answer: answer(TWO) },
    ],
    ...change,
  };
}

function check(run: ProxyRun, client = CLIENT): void {
  checkDownstream(run, checkUpstream(bytes(client), run));
}

describe('what a proxy has forwarded', () => {
  test('is right where both sides got what the other one said', () => {
    check(runOf());
  });

  test('may be sent again if the method is idempotent (RFC 9110 §9.2.2)', () => {
    const attempts = [0, 1, 2].map((connection) => ({ connection, answer: answer(connection === 0 ? ONE : TWO) }));
    check(runOf({ upstreams: [upstream(FIRST, 1), upstream(SECOND, 1), upstream(SECOND, 1)], attempts }));
    const twice = runOf({ upstreams: [upstream(FIRST, 1), upstream(FIRST, 1), upstream(SECOND, 1)], attempts });
    assert.throws(() => check(twice), { law: 'an origin gets the requests that were accepted' });
  });

  test('may lose the announcement of trailers that cannot come, and no other (RFC 9110 §6.6.2)', () => {
    const announced = CLIENT.replace('X: y', 'X: y\r\nTrailer: X-Sum');
    check(runOf(), announced);
    const chunked = 'POST /p HTTP/1.1\r\nHost: a\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    const run = (sent: string): ProxyRun =>
      runOf({ downstream: bytes(ONE), upstreams: [upstream(sent, 1)], attempts: [{ connection: 0, answer: answer(ONE) }] });
    check(run(chunked), chunked);
    const lost = run(chunked.replace('Trailer: X-Sum\r\n', ''));
    assert.throws(() => check(lost, chunked), { law: 'trailers are announced as they were (RFC 9110 §6.6.2)' });
  });

  for (const upgrade of ['h2c', 'H2C', 'x, h2c', 'h2c/1', 'h2c-14', 'x,TLS/1.0', 'HTTP/2.0']) {
    test(`is wrong where Upgrade: ${upgrade} went upstream (RFC 9113 §3.1)`, () => {
      const asked = (value: string): string => `GET /u HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: ${value}\r\n\r\n`;
      const run = (value: string): ProxyRun =>
        runOf({ downstream: bytes(ONE), upstreams: [upstream(asked(value), 1)], attempts: [{ connection: 0, answer: answer(ONE) }] });
      check(run('x-h2c'), asked('x-h2c'));
      assert.throws(() => check(run(upgrade), asked(upgrade)), { law: 'h2c is never passed on' });
    });
  }

  test('may stop with an error page of its own', () => {
    check(runOf({ downstream: bytes(ONE + OWN) }));
  });

  const wrong: Readonly<Record<string, Partial<ProxyRun>>> = {
    'an origin gets the requests that were accepted': { upstreams: [upstream(FIRST.replace('X: y', 'X: z') + SECOND, 2)] },
    'each reader finds the same requests': { upstreams: [upstream(FIRST + SECOND, 3)] },
    'what is sent upstream can be read': { upstreams: [upstream(`${FIRST}\0${SECOND}`, 2)] },
    'a request that is not whole is given up with its connection': { upstreams: [upstream(FIRST + SECOND.slice(0, -2), 1)] },
    'a proxy sends its own version (RFC 9110 §6.2)': {
      upstreams: [upstream(FIRST + SECOND.replace('1.1\r\n', '1.0\r\nConnection: keep-alive\r\n'), 2)],
    },
    'Trailer only with chunks (RFC 9112 §7.1.2)': { downstream: bytes(ONE.replace('OK\r\n', 'OK\r\nTrailer: X-Sum\r\n') + TWO) },
    'h2c is never switched to': {
      downstream: bytes(`${ONE}HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n`),
    },
    'TE is nominated (RFC 9110 §10.1.4)': { upstreams: [upstream(FIRST.replace('X: y', 'X: y\r\nTE: trailers') + SECOND, 2)] },
    'an answer is that of an origin, or our own': { downstream: bytes(TWO + ONE) },
    'what the client gets can be read': { downstream: bytes(`${ONE}${TWO}\0`) },
    'every request is answered, or the end is announced': { downstream: bytes(ONE) },
    'nothing follows the last answer': { downstream: bytes(`${ONE.replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')}${TWO}`) },
    'what is cut short ends the connection': { downstream: bytes(ONE.slice(0, -1)), downstreamEnd: 'open' },
    'bytes pass into a tunnel only after 101 (RFC 9110 §7.8)': {
      upstreams: [upstream(FIRST + SECOND, 2, { behindUpgrade: bytes('x') })],
    },
  };
  for (const [law, change] of Object.entries(wrong)) {
    test(`is wrong where this does not hold: ${law}`, () => {
      assert.throws(() => check(runOf(change)), { law });
    });
  }

  test('is wrong where a body of a request that the proxy answered went to an origin as a request (CVE-2025-4366)', () => {
    const hidden = 'GET /x HTTP/1.1\r\nHost: a\r\n\r\n';
    const client = `POST /hit HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}`;
    const run = runOf({ upstreams: [upstream(hidden, 1)], attempts: [{ connection: 0, answer: answer(ONE) }] });
    assert.throws(() => check(run, client), { law: 'an origin gets the requests that were accepted' });
  });

  test('is wrong where HTTP/1.0 got chunks (RFC 9112 §6.1)', () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    const run = runOf({
      downstream: bytes(chunked),
      upstreams: [upstream(SECOND, 1)],
      attempts: [{ connection: 0, answer: answer(chunked) }],
    });
    assert.throws(() => check(run, 'GET /g HTTP/1.0\r\nHost: a\r\n\r\n'), { law: 'nothing chunked to HTTP/1.0 (RFC 9112 §6.1)' });
  });
});

describe('the proxy of the targets', () => {
  const plan = (client: string, change: Partial<ProxyPlan> = {}): ProxyPlan => ({
    client: bytes(client),
    endsAtOnce: false,
    filters: 'none',
    answers: [],
    chunkSizeAt: wholeChunk,
    ...change,
  });

  test('is the real one: requests go upstream, answers come back, in order', async () => {
    const run = await runProxy(plan(CLIENT, { answers: [answer(ONE), answer(TWO)] }));
    assert.deepEqual(
      run.upstreams.map((one) => text(one.bytes)),
      [FIRST + SECOND],
    );
    assert.match(text(run.downstream), /^HTTP\/1\.1 200 OK\r\n.*one.*two$/s);
    assert.equal(run.downstreamEnd, 'ended');
    check(run);
  });

  test('does the same however it is cut, and with filters', async () => {
    for (const filters of ['none', 'sync', 'async'] as const) {
      const run = await runProxy(plan(CLIENT, { answers: [answer(ONE), answer(TWO)], chunkSizeAt: () => 1, endsAtOnce: true, filters }));
      assert.equal(run.attempts.length, 2);
      check(run);
    }
  });

  test('waits for no origin that never answers, and leaves nothing behind', async () => {
    const run = await runProxy(plan(SECOND, { answers: [answer('')] }));
    assert.match(text(run.downstream), /^(?:HTTP\/1\.1 504 |$)/);
    check(run, SECOND);
  });

  test('hands a tunnel over after 101, byte for byte', async () => {
    const asked = 'GET /u HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
    const switched = 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n';
    const run = await runProxy(plan(`${asked}up`, { answers: [answer(`${switched}down`, 'end')] }));
    assert.equal(text(run.upstreams[0]?.behindUpgrade ?? new Uint8Array(0)), 'up');
    assert.match(text(run.downstream), /^HTTP\/1\.1 101 .*\r\n\r\ndown$/s);
    check(run, `${asked}up`);
  });
});
