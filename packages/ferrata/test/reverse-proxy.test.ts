/** The reverse proxy as a function, in the thread of the test. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { parseAddress } from '@ferrata/net';
import { outcomeOf } from '@ferrata/proxy';
import { startReverseProxy } from '../src/index.ts';
import { within } from './support/command.ts';
import { httpOrigin, RawClient } from './support/peers.ts';

test('a stop without time cuts at once what another stop waits for, and what was cut has been told of by then', async () => {
  const origin = await httpOrigin((_request, response) => response.writeHead(200, { 'Content-Length': 10 }).write('first'));
  const told: string[] = [];
  const proxy = await startReverseProxy({
    listen: [parseAddress('127.0.0.1:0')],
    to: [parseAddress(`127.0.0.1:${origin.port}`)],
    onSession: ({ request, status }, error) => told.push(`${request.target} ${status} ${outcomeOf(error)}`),
  });
  after(() => proxy.stop(0));
  const address = proxy.listeners[0]?.address;
  assert.ok(address?.kind === 'ip');
  const client = new RawClient(address.port).send('GET /cut HTTP/1.1\r\nHost: a\r\n\r\n');
  await client.until('first');
  const inOrder = proxy.stop(3_600_000);
  assert.equal(await within('the end', proxy.stop(0)), 1);
  assert.deepEqual(told, ['/cut 200 failed']);
  assert.equal(await within('the end of the other', inOrder), 0);
  await client.untilEnd();
  assert.ok(client.received.endsWith('first'));
});
