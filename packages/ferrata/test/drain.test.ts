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

test('M8: without a connection it ends at once', async () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const ferrata = await startFerrata([whole.port]);
    ferrata.child.kill(signal);
    await endedWell(ferrata);
  }
});

test('M8: idle connections stay open for a request that is on its way, which is answered with Connection: close; the others are closed after that', async () => {
  const ferrata = await startFerrata([whole.port]);
  const clients = [1, 2, 3].map(() => new RawClient(ferrata.port).send('GET /a HTTP/1.1\r\nHost: a\r\n\r\n'));
  const [first, ...others] = await Promise.all(
    clients.map(async (client) => {
      assert.doesNotMatch(await client.until('"url":"/a"'), /^connection: close/im);
      return client;
    }),
  );
  assert.ok(first !== undefined);
  const events: string[] = [];
  for (const client of others) client.socket.on('end', () => events.push('an idle one was closed'));
  await signalled(ferrata);
  first.send('GET /b HTTP/1.1\r\nHost: a\r\n\r\n');
  const answer = await first.untilEnd();
  assert.match(answer, /"url":"\/b"/);
  assert.match(answer, /^connection: close\r$/im);
  events.push('the later request was answered');
  for (const client of others) {
    await client.untilEnd();
    assert.equal(client.error, null);
  }
  assert.deepEqual(events, ['the later request was answered', 'an idle one was closed', 'an idle one was closed']);
  await endedWell(ferrata);
});

test('M8: a head that has begun is read to its end and answered', async () => {
  const ferrata = await startFerrata([whole.port]);
  const client = new RawClient(ferrata.port).send('GET /mid-head HTTP/1.1\r\nHo');
  await once(client.socket, 'connect');
  // A second connection answered: the first has been accepted by then.
  await new RawClient(ferrata.port).send('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n').untilEnd();
  await signalled(ferrata);
  client.send('st: a\r\n\r\n');
  const answer = await client.untilEnd();
  assert.match(answer, /"url":"\/mid-head"/);
  assert.match(answer, /^connection: close\r$/im);
  await endedWell(ferrata);
});

test('M8: an upload that has begun is read to its end and answered', async () => {
  const arrived = Promise.withResolvers<void>();
  const origin = await httpOrigin((request, response) => {
    request.once('data', () => arrived.resolve());
    mirror(request, response);
  });
  const ferrata = await startFerrata([origin.port]);
  const client = new RawClient(ferrata.port).send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345');
  await arrived.promise;
  await signalled(ferrata);
  client.send('67890');
  const answer = await client.untilEnd();
  assert.match(answer, /"body":"1234567890"/);
  await endedWell(ferrata);
});

/** An origin that sends half of its answer, and the rest when told. */
async function slowOrigin(): Promise<{ readonly port: number; readonly response: Promise<ServerResponse> }> {
  const begun = Promise.withResolvers<ServerResponse>();
  const { port } = await httpOrigin((_request, response) => {
    response.writeHead(200, { 'Content-Length': 10 }).write('first');
    begun.resolve(response);
  });
  return { port, response: begun.promise };
}

test('M8: a download that has begun is sent to its end', async () => {
  const origin = await slowOrigin();
  const ferrata = await startFerrata([origin.port], ['--access-log']);
  const client = new RawClient(ferrata.port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('first');
  await signalled(ferrata);
  (await origin.response).end('later');
  assert.match(await client.untilEnd(), /firstlater$/);
  await endedWell(ferrata);
  assert.deepEqual(
    ferrata.log.map((line) => [line.status, line.bytesOut, line.outcome]),
    [[200, 10, 'completed']],
  );
});

test('M8: what still runs after --grace is cut, visibly, and said; the exit code is 0', async () => {
  const origin = await slowOrigin();
  const ferrata = await startFerrata([origin.port], ['--grace', '300ms', '--access-log']);
  const client = new RawClient(ferrata.port).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('first');
  ferrata.child.kill('SIGTERM');
  const { code, stderr } = await within('the end of the command', ferrata.ended);
  assert.equal(code, 0);
  assert.match(stderr, /^ferrata: generation 1 \(process \d+\): 1 connection was still busy after the grace and had to be cut\n$/);
  await client.untilEnd();
  assert.ok(client.received.endsWith('first'));
  assert.equal(ferrata.log.length, 1, 'the request that was cut is in the log');
});

test('M8: an open tunnel goes on during the grace, and is cut after it', async () => {
  const origin = await httpOrigin(mirror);
  origin.server.on('upgrade', (_request, socket) => {
    socket.on('error', () => {});
    socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\n\r\n');
    socket.pipe(socket);
  });
  const ferrata = await startFerrata([origin.port], ['--grace', '2s', '--access-log']);
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
  assert.ok(!client.hasEnded && !client.isClosed);
  const { code, signal, stderr } = await within('the end of the command', ferrata.ended);
  assert.deepEqual({ code, signal }, { code: 0, signal: null });
  assert.match(stderr, /^ferrata: generation 1 \(process \d+\): 1 connection was still busy after the grace and had to be cut\n$/);
  assert.ok((await client.untilEnd()).endsWith(`\r\n\r\nbefore;${during}`));
  assert.deepEqual(
    ferrata.log.map((line) => [line.target, line.status, line.bytesIn, line.bytesOut]),
    [['/tunnel', 101, 'before;'.length + during.length, 'before;'.length + during.length]],
  );
});

for (const [signal, code] of [
  ['SIGTERM', 143],
  ['SIGINT', 130],
] as const) {
  test(`M8: a second signal, ${signal}, ends it at once with ${code}, and what ran is in the log`, async () => {
    const origin = await slowOrigin();
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
