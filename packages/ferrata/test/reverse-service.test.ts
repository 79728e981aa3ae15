/** The reverse proxy as a service, in the thread of the test. */
import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { after, test } from 'node:test';
import { HttpEnvironment } from '@ferrata/http';
import { TicketKeys } from '@ferrata/net';
import type { Notice, ServiceContext } from '@ferrata/service';
import { parseCommand } from '../src/arguments.ts';
import { loadReverseConfig, type ReverseConfig } from '../src/reverse-config.ts';
import { reverseService } from '../src/reverse-service.ts';
import { ToldMemory } from '../src/told-memory.ts';
import { ask, file } from './support/tls.ts';

/** Watchers of files that are open in this process. */
function watcherCount(): number {
  const { libuv } = process.report.getReport() as { readonly libuv: readonly { readonly type: string; readonly is_active: boolean }[] };
  return libuv.filter(({ type, is_active }) => type === 'fs_event' && is_active).length;
}

function contextOf(config: ReverseConfig, port: number): ServiceContext<ReverseConfig> & { readonly notices: Notice[] } {
  const notices: Notice[] = [];
  const listen = { address: `127.0.0.1:${port}`, label: 'https' };
  return {
    name: 'reverse',
    worker: 1,
    threads: 1,
    snapshot: { version: 1, config },
    sockets: [{ listen, fd: null, address: { kind: 'ip', family: 4, address: '127.0.0.1', port } as never }],
    stopping: new AbortController().signal,
    environment: new HttpEnvironment(),
    notify: (notice) => void notices.push(notice),
    notices,
  };
}

test('a start that fails leaves nothing behind, and may be tried again', async () => {
  const { args } = await file('service', ['localhost', '127.0.0.1']);
  const command = parseCommand(['reverse', '--listen', 'https://127.0.0.1:0', '--to', 'http://127.0.0.1:1', ...args]);
  assert.ok(command.kind === 'reverse');
  const config = loadReverseConfig(command.arguments);
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  after(() => taken.close());
  const { port } = taken.address() as { readonly port: number };
  const service = reverseService({ tickets: new TicketKeys(), told: new ToldMemory() });
  const watchersBefore = watcherCount();
  await assert.rejects(async () => service.start(contextOf(config, port)), /ADDRESS_IN_USE/);
  assert.equal(watcherCount(), watchersBefore);

  await new Promise<void>((resolve) => taken.close(() => resolve()));
  const running = await service.start(contextOf(config, port));
  assert.ok(watcherCount() > watchersBefore, 'files of a service that runs are watched');
  assert.equal((await ask(`https://127.0.0.1:${port}/`)).status, 502);
  assert.equal(running.counts.accepted, 1);
  await running.close();
  assert.equal(watcherCount(), watchersBefore);
});
