/** Ending in order, and at once: SIGTERM and SIGINT in each state of a connection. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { type Ferrata, startFerrata, within } from './support/command.ts';
import { httpOrigin, mirror, RawClient, statusOf } from './support/peers.ts';

const whole = await httpOrigin(mirror);

/** Sends a signal, and waits until it has been taken: the port refuses connections. */
async function signalled(ferrata: Ferrata, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  ferrata.child.kill(signal);
  const { port } = ferrata;
  const isRefused = async (): Promise<boolean> => {
    const socket = connect(port, '127.0.0.1');
    try {
      await once(socket, 'connect');
      return false;
    } catch {
      return true;
    } finally {
      socket.destroy();
    }
  };
  await within(
    'the port to be closed',
    (async () => {
      while (!(await isRefused()));
    })(),
  );
}

async function endedWell(ferrata: Ferrata): Promise<void> {
  const { code, signal, stderr } = await within('the end of the command', ferrata.ended);
  assert.deepEqual({ code, signal, stderr }, { code: 0, signal: null, stderr: '' });
}

test('M8: without a connection it ends at once, also right behind its ready line', async () => {
  const ends = (['SIGTERM', 'SIGINT'] as const).map(async (signal) => {
    const ferrata = await startFerrata([whole.port]);
    ferrata.child.kill(signal);
    await endedWell(ferrata);
  });
  await Promise.all(ends);
});

test('M8: what has begun goes on to its end: a head, an upload and a download; idle connections stay open for a request that is on its way', async () => {
  const uploading = Promise.withResolvers<void>();
  const downloading = Promise.withResolvers<ServerResponse>();
  const origin = await httpOrigin((request, response) => {
    if (request.url === '/download') {
      response.writeHead(200, { 'Content-Length': 10 }).write('first');
      downloading.resolve(response);
      return;
    }
    if (request.url === '/upload') request.once('data', () => uploading.resolve());
    mirror(request, response);
  });
  const ferrata = await startFerrata([origin.port], ['--access-log']);
  const connected = (): RawClient => new RawClient(ferrata.port);

  const head = connected().send('GET /head HTTP/1.1\r\nHo');
  await once(head.socket, 'connect');
  const upload = connected().send('POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345');
  const download = connected().send('GET /download HTTP/1.1\r\nHost: a\r\n\r\n');
  // An answer on a connection that came later: the one whose head has begun has been accepted by then.
  const idle = [connected(), connected(), connected()] as const;
  for (const client of idle) {
    client.send('GET /before HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.doesNotMatch(await client.until('"url":"/before"'), /^connection: close/im);
  }
  await within('the upload', uploading.promise);
  await download.until('first');
  const events: string[] = [];
  const [asking, ...others] = idle;
  for (const client of others) client.socket.on('end', () => events.push('an idle one was closed'));
  await signalled(ferrata);

  asking.send('GET /after HTTP/1.1\r\nHost: a\r\n\r\n');
  const late = await asking.untilEnd();
  assert.match(late, /"url":"\/after"/);
  assert.match(late, /^connection: close\r$/im);
  events.push('the later request was answered');
  head.send('st: a\r\n\r\n');
  const whenWhole = await head.untilEnd();
  assert.match(whenWhole, /"url":"\/head"/);
  assert.match(whenWhole, /^connection: close\r$/im);
  upload.send('67890');
  assert.match(await upload.untilEnd(), /"body":"1234567890"/);
  // Its head has gone out without Connection: close, so it comes to be idle.
  (await downloading.promise).end('later');
  await download.until('firstlater');
  for (const client of [...others, download]) {
    await client.untilEnd();
    assert.equal(client.error, null);
  }
  assert.deepEqual(events, ['the later request was answered', 'an idle one was closed', 'an idle one was closed']);
  assert.ok(download.received.endsWith('\r\n\r\nfirstlater'));
  await endedWell(ferrata);
  const logged = ferrata.log.find(({ target }) => target === '/download');
  assert.deepEqual([logged?.status, logged?.bytesOut, logged?.outcome], [200, 10, 'completed']);
  assert.equal(ferrata.log.length, 7);
});

test('M8: during the grace an open tunnel and a download go on; after it they are cut, visibly, and that is said; the exit code is 0', async () => {
  const origin = await httpOrigin((_request, response) => response.writeHead(200, { 'Content-Length': 10 }).write('first'));
  origin.server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  const ferrata = await startFerrata([origin.port], ['--grace', '2s', '--access-log']);
  const download = new RawClient(ferrata.port).send('GET /download HTTP/1.1\r\nHost: a\r\n\r\n');
  await download.until('first');
  const client = new RawClient(ferrata.port).send('GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
  assert.equal(statusOf(await client.until('\r\n\r\n')), 101);
  client.send('before;');
  await client.until('before;');
  await signalled(ferrata);
  // There and back a hundred times: more turns of the event loop than a connection that is being cut would live.
  let during = '';
  for (let turn = 0; turn < 100; turn++) {
    const piece = `during ${turn};`;
    during += piece;
    client.send(piece);
    await client.until(piece);
  }
  assert.ok(!client.hasEnded && !client.isClosed && !download.hasEnded && !download.isClosed);
  const { code, signal, stderr } = await within('the end of the command', ferrata.ended);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  assert.match(stderr, /^ferrata: generation 1 \(process \d+\): 2 connections were still busy after the grace and had to be cut\n$/);
  assert.ok((await client.untilEnd()).endsWith(`\r\n\r\nbefore;${during}`));
  assert.ok((await download.untilEnd()).endsWith('first'));
  const lines = new Map(ferrata.log.map((line) => [line.target, [line.status, line.bytesIn, line.bytesOut]]));
  const echoed = 'before;'.length + during.length;
  assert.deepEqual(Object.fromEntries(lines), { '/download': [200, 0, 5], '/tunnel': [101, echoed, echoed] });
});

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`M8: a second signal, ${signal}, ends it at once with ${code}, and what ran is in the log`, async () => {
    const origin = await httpOrigin((_request, response) => response.writeHead(200, { 'Content-Length': 10 }).write('first'));
    const ferrata = await startFerrata([origin.port], ['--access-log']);
    const client = new RawClient(ferrata.port).send('GET /cut HTTP/1.1\r\nHost: a\r\n\r\n');
    assert.equal(statusOf(await client.until('first')), 200);
    await signalled(ferrata);
    ferrata.child.kill(signal);
    assert.equal((await within('the end of the command', ferrata.ended)).code, code);
    // What ran until then has its line.
    assert.deepEqual(
      ferrata.log.map((line) => [line.target, line.status]),
      [['/cut', 200]],
    );
    client.socket.destroy();
  });
}
