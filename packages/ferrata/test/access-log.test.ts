/** The access log and the output below it, without a process around them. */
import assert from 'node:assert/strict';
import { PassThrough, Writable } from 'node:stream';
import { test } from 'node:test';
import { type ErrorSource, ioError, limitError, protocolError, timeoutError, type WireError } from '@ferrata/error';
import { HeaderMap, requestHead } from '@ferrata/headers';
import type { ProxySession } from '@ferrata/proxy';
import type { StreamInfo } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';
import { AccessLog } from '../src/access-log.ts';
import { Output } from '../src/output.ts';

function info(port: number | null): StreamInfo {
  return {
    kind: 'tcp',
    localAddress: { kind: 'unset' },
    remoteAddress: port === null ? { kind: 'unset' } : { kind: 'ip', host: '192.0.2.1', port },
    tls: null,
    timing: { startedAt: 0, establishedAt: 0 },
    below: null,
    extension: undefined,
  };
}

function session(over: Partial<ProxySession> = {}): ProxySession {
  return {
    request: requestHead('GET', '/x', { headers: new HeaderMap() }),
    client: info(5_000),
    upstream: info(80),
    peer: peer('origin.example:8080'),
    response: null,
    attempt: 1,
    refusedCount: 0,
    isUpstreamReused: true,
    isSubrequest: false,
    subrequestContext: undefined,
    hasResponded: true,
    status: 200,
    requestBytes: 3,
    responseBytes: 100,
    upstreamRequestBytes: 4,
    upstreamResponseBytes: 90,
    clientWritePendingMs: 1.23456,
    upstreamWritePendingMs: 0,
    timing: { startedAt: 10, connectedAt: 10.25, respondedAt: 12, endedAt: 12.123456 },
    module: () => null,
    upstreamModule: () => null,
    subrequests: null,
    adjust() {},
    ...over,
  };
}

/** What a log writes for some calls. */
function lines(write: (log: AccessLog) => void, sink: { hasRoom?: boolean } = {}): Record<string, unknown>[] {
  let text = '';
  const log = new AccessLog(Object.assign(sink, { write: (more: string) => (text += more) }), () => Date.UTC(2026, 0, 2, 3, 4, 5, 6));
  write(log);
  log.flush();
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

function outcome(error: WireError | null): unknown {
  return lines((log) => log.logSession(session(), error))[0]?.['outcome'];
}

test('a request has one line with all its facts, times to a thousandth of a millisecond', () => {
  assert.deepEqual(
    lines((log) => log.logSession(session(), null)),
    [
      {
        time: '2026-01-02T03:04:05.006Z',
        client: '192.0.2.1:5000',
        protocol: 'HTTP/1.1',
        method: 'GET',
        target: '/x',
        status: 200,
        bytesIn: 3,
        bytesOut: 100,
        upstream: '192.0.2.1:80',
        upstreamProtocol: 'HTTP/1.1',
        reused: true,
        attempts: 1,
        refusals: 0,
        upstreamBytesOut: 4,
        upstreamBytesIn: 90,
        durationMs: 2.123,
        connectMs: 0.25,
        firstByteMs: 2,
        clientPendingMs: 1.235,
        upstreamPendingMs: 0,
        outcome: 'completed',
        error: null,
      },
    ],
  );
});

test('an upstream that was not reached is named by where it should have been', () => {
  const [tcp] = lines((log) =>
    log.logSession(
      session({ upstream: null, timing: { startedAt: 1, connectedAt: Number.NaN, respondedAt: Number.NaN, endedAt: 2 } }),
      null,
    ),
  );
  assert.deepEqual([tcp?.['upstream'], tcp?.['connectMs'], tcp?.['firstByteMs']], ['origin.example:8080', null, null]);
  const [unix] = lines((log) => log.logSession(session({ upstream: info(null), peer: peer('unix:/run/a.sock') }), null));
  assert.equal(unix?.['upstream'], 'unix:/run/a.sock');
  assert.equal(lines((log) => log.logSession(session({ upstream: null, peer: null }), null))[0]?.['upstream'], null);
});

test('the outcome tells whose fault it was', () => {
  const from = (source: ErrorSource) => ({ source });
  assert.equal(outcome(null), 'completed');
  assert.equal(outcome(timeoutError('A', '', from('upstream'))), 'timeout');
  assert.equal(outcome(ioError('A', '', from('upstream'))), 'upstream_error');
  assert.equal(outcome(ioError('A', '', from('downstream'))), 'client_abort');
  assert.equal(outcome(protocolError('A', '', from('downstream'))), 'rejected');
  assert.equal(outcome(limitError('A', '', from('downstream'))), 'rejected');
  assert.equal(outcome(protocolError('A', '', { source: 'downstream', fault: 'local' })), 'failed');
  assert.equal(outcome(ioError('A', '', from('internal'))), 'failed');
});

test('a refused request has the same fields, those that nobody knows being null', () => {
  const error = protocolError('H1_NO_HOST', 'no Host', { source: 'downstream' });
  const [line = {}] = lines((log) => log.logRefusal({ error, status: 400, info: info(1) }));
  assert.deepEqual([line['status'], line['error'], line['method'], line['outcome']], [400, 'H1_NO_HOST', null, 'rejected']);
  assert.deepEqual(Object.keys(line), Object.keys(lines((log) => log.logSession(session(), null))[0] ?? {}));
});

test('a request whose head took too long is a time-out, of which nobody knows more', () => {
  const error = timeoutError('H1_HEAD_TIMEOUT', 'too slow', { source: 'downstream' });
  const [line = {}] = lines((log) => log.logRefusal({ error, status: 408, info: info(1) }));
  assert.deepEqual([line['status'], line['error'], line['method'], line['outcome']], [408, 'H1_HEAD_TIMEOUT', null, 'timeout']);
});

test('what a peer sends cannot break a line', () => {
  const request = requestHead('GET', '/', { headers: new HeaderMap() });
  request.target = '/"\n{"status":200}\u2028';
  const [line] = lines((log) => log.logSession(session({ request }), null));
  assert.equal(line?.['target'], request.target);
});

test('lines gather for some milliseconds, and are written in one piece', (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const written: string[] = [];
  const log = new AccessLog({ write: (text) => written.push(text) }, () => 0);
  for (let i = 0; i < 3; i++) log.logSession(session(), null);
  context.mock.timers.tick(9);
  assert.equal(written.length, 0);
  context.mock.timers.tick(1);
  assert.equal(written.length, 1);
  assert.equal(written[0]?.split('\n').length, 4);
  for (let i = 0; i < 400; i++) log.logSession(session(), null);
  assert.ok(written.length > 1, 'much is not kept until then');
});

test('while there is no room lines are dropped, and their number is told afterwards', () => {
  const sink = { hasRoom: false };
  const told = lines((log) => {
    log.logSession(session(), null);
    log.logSession(session(), null);
    sink.hasRoom = true;
    log.logSession(session(), null);
  }, sink);
  assert.deepEqual(
    told.map((line) => line['droppedLines'] ?? line['status']),
    [2, 200],
  );
});

test('the number of those that were dropped is told at the end, too, if nobody asks any more', () => {
  const sink = { hasRoom: false };
  const told = lines((log) => {
    log.logSession(session(), null);
    log.flush();
    sink.hasRoom = true;
  }, sink);
  assert.deepEqual(
    told.map((line) => line['droppedLines']),
    [1],
  );
});

test('an output says when too much waits, and when it has room again', async () => {
  const stream = new PassThrough({ highWaterMark: 1 });
  const output = new Output(stream, { maxBacklogBytes: 10 });
  output.write('12345');
  assert.equal(output.hasRoom, true);
  output.write('67890');
  output.write('more');
  assert.equal(output.hasRoom, false);
  const flushed = output.flush(30_000);
  stream.resume();
  await flushed;
  assert.equal(output.hasRoom, true);
});

test('an output whose stream fails says so once, and takes everything without a word', async () => {
  const gone: Error[] = [];
  const stream = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  const output = new Output(stream, { onGone: (error) => gone.push(error) });
  output.write('a');
  await new Promise<void>((resolve) => void stream.once('close', resolve));
  output.write('b');
  await output.flush(30_000);
  assert.equal(output.hasRoom, false);
  assert.deepEqual(
    gone.map(({ message }) => message),
    ['EPIPE'],
  );
});

test('flushing to a reader that has stopped ends after its time', async () => {
  const output = new Output(new Writable({ highWaterMark: 1, write() {} }));
  output.write('never taken');
  await output.flush(1);
  assert.equal(output.hasRoom, true);
});
