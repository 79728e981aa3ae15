import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type ErrorType, fromNodeError, ioError, type Retry } from '../src/index.ts';

function withCode(code: unknown, message = 'it failed'): Error {
  return Object.assign(new Error(message), { code });
}

const table: readonly (readonly [code: string, ErrorType, reason: string, Retry, status: number])[] = [
  ['ECONNREFUSED', 'connect', 'CONNECT_REFUSED', 'always', 502],
  ['ENOENT', 'connect', 'CONNECT_NO_SOCKET', 'always', 502],
  ['EACCES', 'connect', 'CONNECT_NOT_PERMITTED', 'never', 502],
  ['EPERM', 'connect', 'CONNECT_NOT_PERMITTED', 'never', 502],
  ['EHOSTUNREACH', 'connect', 'CONNECT_NO_ROUTE', 'always', 502],
  ['ENETUNREACH', 'connect', 'CONNECT_NO_ROUTE', 'always', 502],
  ['EHOSTDOWN', 'connect', 'CONNECT_NO_ROUTE', 'always', 502],
  ['EADDRNOTAVAIL', 'connect', 'CONNECT_NO_LOCAL_ADDRESS', 'always', 502],
  ['EMFILE', 'connect', 'DESCRIPTORS_EXHAUSTED', 'never', 503],
  ['ENFILE', 'connect', 'DESCRIPTORS_EXHAUSTED', 'never', 503],
  ['ENOTFOUND', 'connect', 'DNS_NOT_FOUND', 'always', 502],
  ['EAI_AGAIN', 'connect', 'DNS_TEMPORARY_FAILURE', 'always', 502],
  ['ESERVFAIL', 'connect', 'DNS_SERVER_FAILURE', 'always', 502],
  ['ETIMEDOUT', 'timeout', 'CONNECT_TIMEOUT', 'always', 504],
  ['ERR_SOCKET_CONNECTION_TIMEOUT', 'timeout', 'CONNECT_TIMEOUT', 'always', 504],
  ['ECONNRESET', 'io', 'CONNECTION_RESET', 'ifReused', 502],
  ['ECONNABORTED', 'io', 'CONNECTION_ABORTED', 'ifReused', 502],
  ['EPIPE', 'io', 'CONNECTION_BROKEN_PIPE', 'ifReused', 502],
  ['ERR_STREAM_PREMATURE_CLOSE', 'io', 'CONNECTION_CLOSED_EARLY', 'ifReused', 502],
  ['ERR_STREAM_WRITE_AFTER_END', 'io', 'CONNECTION_BROKEN_PIPE', 'ifReused', 502],
  ['ERR_STREAM_DESTROYED', 'io', 'CONNECTION_BROKEN_PIPE', 'ifReused', 502],
  ['EADDRINUSE', 'io', 'ADDRESS_IN_USE', 'never', 500],
];

for (const [code, type, reason, retry, status] of table) {
  test(`${code} becomes ${type} ${reason}, retry ${retry}`, () => {
    const thrown = withCode(code);
    const error = fromNodeError(thrown);
    assert.deepEqual(
      { type: error.type, reason: error.reason, retry: error.retry, status: error.status, cause: error.cause, message: error.message },
      { type, reason, retry, status, cause: thrown, message: `${type} ${reason}: it failed` },
    );
  });
}

test('a code that is not in the table becomes IO_FAILED, with the code as context', () => {
  const error = fromNodeError(withCode('EUNHEARDOF'));
  assert.deepEqual([error.type, error.reason, error.retry, error.context], ['io', 'IO_FAILED', 'never', 'EUNHEARDOF']);
});

test('codes of TLS become TLS_FAILED', () => {
  for (const code of ['ERR_TLS_CERT_ALTNAME_INVALID', 'ERR_SSL_WRONG_VERSION_NUMBER']) {
    const error = fromNodeError(withCode(code));
    assert.deepEqual([error.type, error.reason, error.context], ['tls', 'TLS_FAILED', code]);
  }
});

test('values without a code become IO_FAILED without context', () => {
  for (const thrown of [withCode(17), new Error('no code'), 'text', undefined, null]) {
    const error = fromNodeError(thrown);
    assert.deepEqual([error.type, error.reason, error.context], ['io', 'IO_FAILED', undefined]);
  }
});

test('the first known member of an AggregateError speaks for all', () => {
  const several = new AggregateError([withCode('EUNHEARDOF'), withCode('EHOSTUNREACH'), withCode('ECONNREFUSED')], 'all failed');
  assert.equal(fromNodeError(several).reason, 'CONNECT_NO_ROUTE');
  assert.equal(fromNodeError(new AggregateError([new Error('x')], 'all failed')).reason, 'IO_FAILED');
});

test('a WireError passes through unchanged, and details override the table', () => {
  const error = ioError('R');
  assert.equal(fromNodeError(error), error);
  const sided = fromNodeError(withCode('ECONNRESET'), { source: 'upstream', context: '10.0.0.1:80', retry: 'never' });
  assert.deepEqual([sided.source, sided.context, sided.retry], ['upstream', '10.0.0.1:80', 'never']);
});

test('what Node itself reports for a socket file that is not there is in the table', async () => {
  const thrown = await new Promise<Error>((resolve) => {
    connect({ path: '/nonexistent/ferrata.sock' }).on('error', resolve);
  });
  assert.equal(fromNodeError(thrown).reason, 'CONNECT_NO_SOCKET');
});

test('an error of OpenSSL is told in words, without file names and line breaks', () => {
  const thrown = Object.assign(new Error('4051:error:0A000119:SSL routines::bad record mac:../ssl/record/rec_layer_s3.c:918:\n'), {
    code: 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC',
    reason: 'decryption failed or bad record mac',
  });
  const error = fromNodeError(thrown);
  assert.equal(error.reason, 'TLS_FAILED');
  assert.match(error.message, /decryption failed or bad record mac/);
  assert.doesNotMatch(error.message, /rec_layer|\n/);
});
