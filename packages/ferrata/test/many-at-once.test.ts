/** An origin of HTTP/1 gets a connection for each request at once, however many: nobody waits behind those who hold theirs. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, get, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { parseCommand } from '../src/arguments.ts';
import { startReverseProxy } from '../src/index.ts';

/** More than are usual for HTTP/2, and few enough for a process with few descriptors. */
const COUNT = 150;

test('150 requests that are all held at the origin all reach it', async () => {
  const held: ServerResponse[] = [];
  const origin = createServer((_request, response) => {
    held.push(response);
    // Nobody is answered before everybody has come: one that waits for a place would wait for ever.
    if (held.length === COUNT) for (const one of held) one.end('ok');
  }).listen(0, '127.0.0.1');
  await once(origin, 'listening');
  const { port } = origin.address() as AddressInfo;
  const command = parseCommand(['reverse', '--listen', 'http://127.0.0.1:0', '--to', `http://127.0.0.1:${port}`]);
  assert.ok(command.kind === 'reverse');
  const { listen, to, upstreamConnections, upstreamStreams } = command.arguments;
  const bound = upstreamConnections === undefined ? {} : { upstreamConnections };
  const proxy = await startReverseProxy({ listen, to, upstreamStreams, ...bound });
  const address = proxy.listeners[0]?.address;
  assert.ok(address?.kind === 'ip');
  const agent = new Agent({ maxSockets: COUNT });
  try {
    const statuses = await Promise.all(
      Array.from({ length: COUNT }, async () => {
        const [response] = (await once(get({ host: '127.0.0.1', port: address.port, agent }), 'response')) as [IncomingMessage];
        response.resume();
        await once(response, 'end');
        return response.statusCode;
      }),
    );
    assert.deepEqual(new Set(statuses), new Set([200]));
  } finally {
    agent.destroy();
    await proxy.stop(0);
    origin.closeAllConnections();
    origin.close();
  }
});
