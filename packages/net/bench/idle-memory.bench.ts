/**
 * What an idle adapted stream costs in JavaScript heap beyond a bare socket that has a shared `data` and `error` listener: 5 000 accepted
 * connections of each kind, opened by a process of its own. Run with `--expose-gc`; each kind is measured in a process of its own, too.
 */
import { execFileSync, fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { L4Sink } from '@ferrata/stream';
import { listen } from '../src/index.ts';

const kinds = ['bare', 'adapter', 'adapter with info'] as const;
const count = Number(process.env['CONNECTIONS'] ?? 5_000);
const [, , role, argument] = process.argv;

if (role === 'clients') openClients(Number(argument));
else if (role === 'server') await measure(argument as (typeof kinds)[number]);
else report();

function report(): void {
  const bytes = kinds.map((kind) => {
    const args = ['--expose-gc', import.meta.filename, 'server', kind];
    return Number(execFileSync(process.execPath, args, { encoding: 'utf8' }));
  });
  const bare = bytes[0] as number;
  bytes.forEach((each, i) => console.log(`${(kinds[i] ?? '').padEnd(18)} ${each} B a connection, ${each - bare} B more than bare`));
}

function openClients(port: number): void {
  let open = 0;
  const next = (): void => {
    if (open === count) return void process.send?.('open');
    connect(port, '127.0.0.1', () => {
      open++;
      next();
    });
  };
  for (let i = 0; i < 1; i++) next();
}

async function measure(kind: (typeof kinds)[number]): Promise<void> {
  const kept: unknown[] = [];
  const sink: L4Sink = { onData() {}, onDrain() {}, onEnd() {}, onClose() {} };
  const port = kind === 'bare' ? await bareServer(kept) : await adaptedServer(kept, sink, kind === 'adapter with info');
  const gc = globalThis.gc as () => void;
  gc();
  const before = process.memoryUsage().heapUsed;
  const clients = fork(import.meta.filename, ['clients', String(port)]);
  await once(clients, 'message');
  await delay(200);
  gc();
  gc();
  process.stdout.write(String(Math.round((process.memoryUsage().heapUsed - before) / kept.length)));
  clients.kill();
  process.exit(0);
}

async function bareServer(kept: unknown[]): Promise<number> {
  const ignore = (): void => {};
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, (socket) => {
    socket.on('error', ignore);
    socket.on('data', ignore);
    kept.push(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function adaptedServer(kept: unknown[], sink: L4Sink, wantsInfo: boolean): Promise<number> {
  const { address } = await listen('127.0.0.1:0', (stream) => {
    stream.attach(sink);
    kept.push(wantsInfo ? [stream, stream.info.remoteAddress] : stream);
  });
  return address.kind === 'ip' ? address.port : 0;
}
