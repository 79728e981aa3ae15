import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runInNewContext } from 'node:vm';
import {
  addContext,
  applicationError,
  connectError,
  type ErrorType,
  internalError,
  ioError,
  isWireError,
  limitError,
  mayRetry,
  protocolError,
  rootCause,
  timeoutError,
  tlsError,
  toWireError,
  unreachable,
  WireError,
  withSource,
} from '../src/index.ts';

test('the message begins with type and reason, then says what and where', () => {
  assert.equal(protocolError('H1_BAD_VERSION').message, 'protocol H1_BAD_VERSION');
  assert.equal(protocolError('H1_BAD_VERSION', 'the version is 3.0').message, 'protocol H1_BAD_VERSION: the version is 3.0');
  const located = protocolError('H1_BAD_VERSION', 'the version is 3.0', { context: 'peer 10.0.0.1' });
  assert.equal(located.message, 'protocol H1_BAD_VERSION: the version is 3.0 (peer 10.0.0.1)');
  assert.match(String(located.stack), /^WireError: protocol H1_BAD_VERSION/);
});

test('each maker sets its type, and the defaults of that type', () => {
  const table: readonly [WireError, ErrorType, number, string, string][] = [
    [connectError('R'), 'connect', 502, 'remote', 'always'],
    [tlsError('R'), 'tls', 502, 'remote', 'never'],
    [protocolError('R'), 'protocol', 400, 'remote', 'never'],
    [ioError('R'), 'io', 502, 'remote', 'never'],
    [limitError('R'), 'limit', 431, 'remote', 'never'],
    [timeoutError('R'), 'timeout', 504, 'remote', 'never'],
    [applicationError('R'), 'application', 500, 'local', 'never'],
    [internalError('R'), 'internal', 500, 'local', 'never'],
  ];
  for (const [error, type, status, fault, retry] of table) {
    assert.deepEqual(
      { type: error.type, status: error.status, fault: error.fault, retry: error.retry, source: error.source, reason: error.reason },
      { type, status, fault, retry, source: 'unset', reason: 'R' },
    );
  }
});

test('details replace the defaults', () => {
  const error = limitError('H1_TARGET_TOO_LONG', undefined, {
    wire: { status: 414 },
    fault: 'local',
    retry: 'ifReused',
    source: 'downstream',
    context: 'x',
  });
  assert.deepEqual(
    { status: error.status, fault: error.fault, retry: error.retry, source: error.source, context: error.context },
    { status: 414, fault: 'local', retry: 'ifReused', source: 'downstream', context: 'x' },
  );
});

test('a wire hint without a status falls back to the status of the type, and status 0 stays 0', () => {
  assert.equal(protocolError('H2_BAD_FRAME', undefined, { wire: { http2Code: 1 } }).status, 400);
  assert.equal(protocolError('H1_GARBAGE', undefined, { wire: { status: 0 } }).status, 0);
});

test('retry is inherited from a cause that is a WireError, unless it is given', () => {
  const cause = connectError('CONNECT_REFUSED');
  assert.equal(internalError('WRAPPED', undefined, { cause }).retry, 'always');
  assert.equal(internalError('WRAPPED', undefined, { cause, retry: 'never' }).retry, 'never');
  assert.equal(internalError('WRAPPED', undefined, { cause: new Error('plain') }).retry, 'never');
});

test('without a cause there is no cause property, as with Error', () => {
  assert.equal('cause' in ioError('R'), false);
  assert.equal(ioError('R', undefined, { cause: null }).cause, null);
});

test('a WireError of a second copy of the package is recognised', () => {
  const foreign: unknown = runInNewContext(`
    const error = new Error('io R');
    Object.defineProperty(error, Symbol.for('@ferrata/error/WireError'), { value: true });
    error;
  `);
  assert.ok(isWireError(foreign));
  assert.ok(foreign instanceof WireError);
});

test('other values are no WireErrors', () => {
  for (const value of [undefined, null, 0, 'WireError', new Error('x'), { type: 'io', reason: 'R' }]) {
    assert.equal(isWireError(value), false);
    assert.equal(value instanceof WireError, false);
  }
});

test('the source is set once, by the first who knows', () => {
  const error = ioError('R');
  assert.equal(withSource(error, 'upstream'), error);
  withSource(error, 'downstream');
  assert.equal(error.source, 'upstream');
});

test('mayRetry decides by retry and by whether the connection was a reused one', () => {
  const decide = (retry: 'never' | 'always' | 'ifReused'): boolean[] =>
    [false, true].map((reused) => mayRetry(ioError('R', undefined, { retry }), reused));
  assert.deepEqual(decide('never'), [false, false]);
  assert.deepEqual(decide('always'), [true, true]);
  assert.deepEqual(decide('ifReused'), [false, true]);
});

test('context is added outermost first', () => {
  const error = addContext(addContext(ioError('R'), 'byte 17'), 'peer 10.0.0.1');
  assert.equal(error.context, 'peer 10.0.0.1: byte 17');
});

test('rootCause finds the innermost error, and ends on a cycle', () => {
  const root = new Error('root');
  assert.equal(rootCause(internalError('OUTER', undefined, { cause: ioError('INNER', undefined, { cause: root }) })), root);
  assert.equal(rootCause(root), root);
  const a = new Error('a');
  const b = new Error('b', { cause: a });
  a.cause = b;
  assert.ok([a, b].includes(rootCause(a)));
});

test('toWireError keeps a WireError and wraps anything else as internal', () => {
  const error = ioError('R');
  assert.equal(toWireError(error), error);
  const thrown = new TypeError('not a function');
  const wrapped = toWireError(thrown);
  assert.equal(wrapped.cause, thrown);
  assert.equal(wrapped.message, 'internal UNEXPECTED_THROW: not a function');
  assert.equal(toWireError('text', 'FILTER_THREW').message, 'internal FILTER_THREW: text');
});

test('toWireError survives a thrown value that has no text form', () => {
  assert.equal(toWireError(Object.create(null)).message, 'internal UNEXPECTED_THROW: a value without a text form');
  assert.equal(toWireError(Symbol('s')).message, 'internal UNEXPECTED_THROW: Symbol(s)');
});

test('unreachable throws a TypeError that names the value', () => {
  assert.throws(() => unreachable('surprise' as never), new TypeError('unreachable: surprise'));
});
