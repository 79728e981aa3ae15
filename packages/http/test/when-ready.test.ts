/** Waiting for what a server of HTTP/2 takes (RFC 8441 §3). */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Http2ClientSession, HttpEnvironment, HttpServer, resolveHttp2ClientOptions } from '@ferrata/http';
import { memoryPair } from '@ferrata/stream';

const owner = { onSessionIdle() {}, onSessionClose() {} };
const turn = async (): Promise<void> => {
  for (let count = 0; count < 5; count++) await new Promise((resolve) => void setImmediate(resolve));
};

test('whenReady calls back when the SETTINGS have come, and at once behind that', async () => {
  const environment = new HttpEnvironment();
  const server = new HttpServer({ onRequest: () => assert.fail('no request') }, { environment, http2: { extendedConnect: true } });
  const { a, b } = memoryPair();
  const session = new Http2ClientSession(a, environment, resolveHttp2ClientOptions(), owner);
  const told: boolean[] = [];
  session.whenReady(() => told.push(session.takesExtendedConnect));
  session.whenReady(() => {
    throw new Error('of its caller alone');
  });
  session.start();
  assert.equal(told.length, 0);
  server.accept(b);
  await turn();
  assert.deepEqual(told, [true]);
  session.whenReady(() => told.push(true));
  assert.deepEqual(told, [true, true]);
  session.close();
  server.close();
});

test('whenReady calls back when the connection is lost before', async () => {
  const { a, b } = memoryPair();
  const session = new Http2ClientSession(a, new HttpEnvironment(), resolveHttp2ClientOptions(), owner);
  let told = 0;
  session.whenReady(() => told++);
  session.start();
  b.abort();
  await turn();
  assert.equal(told, 1);
  assert.equal(session.takesExtendedConnect, false);
});

test('whenReady calls back when the session is closed before', async () => {
  const { a } = memoryPair();
  const session = new Http2ClientSession(a, new HttpEnvironment(), resolveHttp2ClientOptions(), owner);
  let told = 0;
  session.whenReady(() => told++);
  session.start();
  session.close();
  await turn();
  assert.equal(told, 1);
  session.whenReady(() => told++);
  assert.equal(told, 2);
});
