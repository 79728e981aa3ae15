/**
 * What the adapter costs over a bare socket: CPU µs of this process per message of 128 B, 64 connections, loopback; the load runs in a process
 * of its own. Bare and adapted rounds alternate; the figures are the means of the faster half of the rounds, as a busy machine only ever adds.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect as connectSocket, createServer, type Socket } from 'node:net';
import type { L4Sink, L4Stream } from '@ferrata/stream';
import { connectWith, listen } from '../src/index.ts';

const rounds = Number(process.env['ROUNDS'] ?? 12);
const messages = Number(process.env['MESSAGES'] ?? 10_000);
const order = { connections: 64, bytes: 128, messages };

const load = fork(new URL('load.ts', import.meta.url), { stdio: 'inherit' });
const [{ echoPort }] = (await once(load, 'message')) as [{ echoPort: number }];

class EchoSink implements L4Sink {
  readonly #stream: L4Stream;
  constructor(stream: L4Stream) {
    this.#stream = stream;
  }
  onData(chunk: Uint8Array): void {
    if (!this.#stream.write(chunk)) this.#stream.pause();
  }
  onDrain(): void {
    this.#stream.resume();
  }
  onEnd(): void {
    this.#stream.end();
  }
  onClose(): void {}
}

class RelaySink implements L4Sink {
  readonly #from: L4Stream;
  readonly #to: L4Stream;
  constructor(from: L4Stream, to: L4Stream) {
    this.#from = from;
    this.#to = to;
  }
  onData(chunk: Uint8Array): void {
    if (!this.#to.write(chunk)) this.#from.pause();
  }
  /** Of `from`: what the other direction wrote is out. */
  onDrain(): void {
    this.#to.resume();
  }
  onEnd(): void {
    this.#to.end();
  }
  onClose(): void {
    this.#to.abort();
  }
}

function bareEcho(socket: Socket): void {
  socket.on('error', () => {});
  socket.on('data', (chunk) => {
    if (!socket.write(chunk)) socket.pause();
  });
  socket.on('drain', () => socket.resume());
  socket.on('end', () => socket.end());
}

function bareRelay(from: Socket): void {
  const to = connectSocket({ port: echoPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true, keepAlive: true });
  const join = (a: Socket, b: Socket): void => {
    a.on('error', () => {});
    a.on('data', (chunk) => {
      if (!b.write(chunk)) a.pause();
    });
    a.on('drain', () => b.resume());
    a.on('end', () => b.end());
    a.on('close', () => b.destroy());
  };
  join(from, to);
  join(to, from);
}

function adaptedRelay(from: L4Stream): void {
  connectWith(
    { host: '127.0.0.1', port: echoPort },
    {},
    {
      onConnected(to) {
        from.attach(new RelaySink(from, to));
        to.attach(new RelaySink(to, from));
      },
      onConnectFailed(error) {
        from.abort(error);
      },
    },
  );
}

async function bareServer(onSocket: (socket: Socket) => void): Promise<number> {
  const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true }, onSocket).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function adaptedServer(onStream: (stream: L4Stream) => void): Promise<number> {
  const { address } = await listen('127.0.0.1:0', onStream);
  return address.kind === 'ip' ? address.port : 0;
}

interface Cost {
  readonly user: number;
  readonly total: number;
}

/** One round. @returns CPU µs a message */
async function measure(port: number): Promise<Cost> {
  load.send({ ...order, port });
  await once(load, 'message');
  const before = process.cpuUsage();
  await once(load, 'message');
  const used = process.cpuUsage(before);
  return { user: used.user / order.messages, total: (used.user + used.system) / order.messages };
}

function fasterHalf(values: readonly number[]): number {
  const kept = values.toSorted((a, b) => a - b).slice(0, Math.ceil(values.length / 2));
  return kept.reduce((sum, value) => sum + value, 0) / kept.length;
}

async function compare(name: string, barePort: number, adaptedPort: number): Promise<void> {
  const bare: Cost[] = [];
  const adapted: Cost[] = [];
  for (let i = -2; i < rounds; i++) {
    const isBareFirst = i % 2 === 0;
    const first = await measure(isBareFirst ? barePort : adaptedPort);
    const second = await measure(isBareFirst ? adaptedPort : barePort);
    if (i < 0) continue;
    bare.push(isBareFirst ? first : second);
    adapted.push(isBareFirst ? second : first);
  }
  const line = (['user', 'total'] as const).map((key) => {
    const [b, a] = [fasterHalf(bare.map((cost) => cost[key])), fasterHalf(adapted.map((cost) => cost[key]))];
    return `${key}: bare ${b.toFixed(2)} µs, adapter ${a.toFixed(2)} µs, ratio ${(a / b).toFixed(3)}`;
  });
  console.log(`${name.padEnd(6)} ${line.join('   ')}`);
}

await compare('echo', await bareServer(bareEcho), await adaptedServer((stream) => stream.attach(new EchoSink(stream))));
await compare('relay', await bareServer(bareRelay), await adaptedServer(adaptedRelay));
load.disconnect();
process.exit(0);
