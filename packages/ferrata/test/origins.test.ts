/** Several origins: turns, fail-over, pooled connections and stale ones. */
import assert from 'node:assert/strict';
import { Agent, createServer, get } from 'node:http';
import { after, test } from 'node:test';
import { type Ferrata, startFerrata, within } from './support/command.ts';
import { closedPort, exchange, httpOrigin, type Origin, rawOrigin, statusOf } from './support/peers.ts';

const agent = new Agent({ keepAlive: true });
after(() => agent.destroy());

/** One GET. @returns `status body` */
async function ask(ferrata: Ferrata): Promise<string> {
  const answered = new Promise<string>((resolve, reject) => {
    get({ port: ferrata.port, agent }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(`${response.statusCode} ${text}`)).on('error', reject);
    }).on('error', reject);
  });
  return await within('an answer', answered);
}

function named(name: string): Promise<Origin> {
  return httpOrigin((_request, response) => response.end(name));
}

test('origins take turns; connections to them are used again, and the log says so', async () => {
  const origins = await Promise.all(['a', 'b', 'c'].map(named));
  let connections = 0;
  for (const { server } of origins) server.on('connection', () => connections++);
  const ferrata = await startFerrata(
    origins.map(({ port }) => port),
    ['--access-log'],
  );
  const answers: string[] = [];
  for (let i = 0; i < 7; i++) answers.push(await ask(ferrata));
  assert.deepEqual(answers, ['200 a', '200 b', '200 c', '200 a', '200 b', '200 c', '200 a']);
  assert.equal(connections, 3);
  await ferrata.until('all lines', () => ferrata.log.length === 7);
  assert.deepEqual(
    ferrata.log.map((line) => line.reused),
    [false, false, false, true, true, true, true],
  );
});

test('an origin that refuses connections is stepped over: no request fails while another one is there; one that comes back is used again', async () => {
  const [dead, alsoDead, alive] = await Promise.all([closedPort(), closedPort(), named('alive')]);
  const ferrata = await startFerrata([dead, alsoDead, alive.port], ['--access-log']);
  const answers = await Promise.all(Array.from({ length: 3 }, () => ask(ferrata)));
  assert.deepEqual(new Set(answers), new Set(['200 alive']));
  for (let i = 0; i < 20; i++) assert.equal(await ask(ferrata), '200 alive');
  await ferrata.until('all lines', () => ferrata.log.length === 23);
  const tried = ferrata.log.filter((line) => line.attempts > 1).length;
  assert.ok(tried <= 6, `a dead origin is passed over for a while, not tried each time its turn comes: ${tried} of 23 requests met one`);

  const back = createServer((_request, response) => response.end('back'));
  await new Promise<void>((resolve) => back.listen(dead, '127.0.0.1', resolve));
  after(() => {
    back.close();
    back.closeAllConnections();
  });
  let answer = '';
  for (let i = 0; i < 100_000 && answer !== '200 back'; i++) answer = await ask(ferrata);
  assert.equal(answer, '200 back');
});

test('a connection that the origin closes while the request is on its way is replaced: an idempotent request is sent again, once', async () => {
  // Each connection answers one request, and is reset by the second.
  const { port, sockets } = await rawOrigin((socket) => {
    let count = 0;
    socket.on('data', () => {
      if (++count === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
      else socket.resetAndDestroy();
    });
  });
  const ferrata = await startFerrata([port], ['--access-log']);
  for (let i = 0; i < 3; i++) assert.equal(await ask(ferrata), '200 ok');
  assert.equal(sockets.length, 3);
  await ferrata.until('all lines', () => ferrata.log.length === 3);
  assert.deepEqual(
    ferrata.log.map((line) => line.attempts),
    [1, 2, 2],
  );
  const answer = await exchange(ferrata.port, 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  assert.equal(statusOf(answer), 502, 'POST might be done twice (RFC 9110 §9.2.2)');
});

test('a request that every origin answers by a reset is sent twice and not more', async () => {
  let requests = 0;
  const origins = await Promise.all(
    [0, 1, 2, 3].map(() =>
      rawOrigin((socket) => {
        socket.on('data', () => {
          requests++;
          socket.resetAndDestroy();
        });
      }),
    ),
  );
  const ferrata = await startFerrata(origins.map(({ port }) => port));
  assert.match(await ask(ferrata), /^502 /);
  assert.equal(requests, 2);
});
