/**
 * Reading a connector's socket by `onread` into one buffer shared by all, with a copy for the owner, against plain `data`: CPU µs of this process per
 * message of 128 B over 64 connections, and CPU ms per GiB of a one-way flow.
 *
 * Public interfaces only. The copies come from `Buffer.allocUnsafe` (small ones share slabs of 8 KiB that are never rewritten).
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

const load = fork(new URL('load.ts', import.meta.url), { stdio: 'inherit' });
const [{ echoPort, flowPort }] = (await once(load, 'message')) as [{ echoPort: number; flowPort: number }];
const shared = Buffer.allocUnsafeSlow(65_536);
const message = Buffer.alloc(128, 0x61);

const readers = {
  data(port: number, onChunk: (socket: Socket, chunk: Uint8Array) => void): Socket {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    socket.on('data', (chunk) => onChunk(socket, chunk));
    return socket;
  },
  onread(port: number, onChunk: (socket: Socket, chunk: Uint8Array) => void): Socket {
    const socket: Socket = connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: {
        buffer: shared,
        callback(length: number, buffer: Uint8Array): boolean {
          const chunk = Buffer.allocUnsafe(length);
          chunk.set(length === buffer.length ? buffer : buffer.subarray(0, length));
          onChunk(socket, chunk);
          return true;
        },
      },
    });
    return socket;
  },
};
type Reader = keyof typeof readers;

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** @returns CPU µs a message */
async function small(reader: Reader, messages = 20_000, connections = 64): Promise<number> {
  const done = Promise.withResolvers<void>();
  let left = messages;
  const sockets: Socket[] = [];
  for (let i = 0; i < connections; i++) {
    sockets.push(
      readers[reader](echoPort, (socket) => {
        if (left-- > 0) socket.write(message);
        else done.resolve();
      }),
    );
  }
  await Promise.all(sockets.map((socket) => once(socket, 'connect')));
  const before = cpu();
  for (const socket of sockets) socket.write(message);
  await done.promise;
  const used = cpu() - before;
  for (const socket of sockets) socket.destroy();
  return used / messages;
}

/** @returns CPU ms a GiB */
async function large(reader: Reader, bytes = 256 * 1_048_576): Promise<number> {
  const done = Promise.withResolvers<void>();
  let left = bytes;
  const before = cpu();
  const socket = readers[reader](flowPort, (_, chunk) => {
    left -= chunk.length;
    if (left <= 0) done.resolve();
  });
  await done.promise;
  const used = cpu() - before;
  socket.destroy();
  return (used / 1_000) * (1_073_741_824 / bytes);
}

for (const [name, unit, run] of [
  ['128 B', 'µs a message', small],
  ['flow', 'ms a GiB', large],
] as const) {
  const costs: Record<Reader, number[]> = { data: [], onread: [] };
  for (let round = 0; round < 8; round++) {
    for (const reader of round % 2 === 0 ? (['data', 'onread'] as const) : (['onread', 'data'] as const))
      costs[reader].push(await run(reader));
  }
  const best = (values: number[]): number => values.toSorted((a, b) => a - b)[2] as number;
  console.log(`${name.padEnd(6)} data ${best(costs.data).toFixed(2)}, onread ${best(costs.onread).toFixed(2)} ${unit}`);
}
load.disconnect();
process.exit(0);
