/** Many idle connections. Ten thousand, and what each costs, are in the bench; here it is the rules. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Program, startFerrata, within } from './support/command.ts';
import { httpOrigin, RawClient } from './support/peers.ts';

const origin = await httpOrigin((_request, response) => response.end('ok'));
const get = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

function answers(client: RawClient): number {
  return client.received.split('HTTP/1.1 200').length - 1;
}

test('C9: three hundred idle connections are each served again, need few connections to the origin, and end in order', async () => {
  let connections = 0;
  origin.server.on('connection', () => connections++);
  // Idle connections are given half of the grace for a request that is on its way.
  const ferrata = await startFerrata([origin.port], ['--grace', '2s']);
  const clients = Array.from({ length: 300 }, () => new RawClient(ferrata.port));
  for (const client of clients) {
    client.send(get);
    await client.until('ok');
  }
  assert.ok(connections < 10, `${connections} connections to the origin`);
  await Promise.all(
    clients.map(async (client) => {
      client.received = '';
      client.send(get);
      await client.until('ok');
    }),
  );
  ferrata.child.kill('SIGTERM');
  await Promise.all(clients.map((client) => client.untilEnd()));
  assert.equal((await within('the end of the command', ferrata.ended)).code, 0);
  assert.ok(clients.every((client) => client.error === null));
});

test('C9: where descriptors are few the longest-standing idle connection makes room for a new one', {
  skip: process.platform !== 'linux' && 'reads /proc',
}, async (t) => {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));
  // 300 descriptors: (300 - 256) / 2 = 22 clients.
  const limited = new Program(fileURLToPath(new URL('./support/limited.ts', import.meta.url)), [
    main,
    '300',
    'reverse',
    '--listen',
    'http://127.0.0.1:0',
    '--to',
    `http://127.0.0.1:${origin.port}`,
  ]);
  t.after(async () => {
    // SIGTERM, so that it can take its own child along.
    limited.child.kill('SIGTERM');
    await limited.ended;
  });
  const url = await limited.until('ready', () => /^ready (.*)$/m.exec(limited.stdout)?.[1]);
  const port = Number(new URL(url).port);
  const clients: RawClient[] = [];
  for (let i = 0; i < 30; i++) {
    const client = new RawClient(port).send(get);
    clients.push(client);
    await client.until('ok');
  }
  await Promise.all(clients.slice(0, 8).map((client) => client.untilEnd()));
  for (const client of clients.slice(8)) {
    client.send(get);
    await client.until(/ok[^]*ok/);
    assert.equal(answers(client), 2);
    client.socket.destroy();
  }
});
