/**
 * What a connection costs that a filter refuses, beside a whole TLS handshake: CPU µs of this process each, on loopback; the clients run in a
 * process of its own. Rounds of both alternate; the figures are the medians.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createAuthority } from '@ferrata/dev-certificates';
import { allowOnly, everyFilter, type Listener, listen, perSource } from '../src/index.ts';

const rounds = Number(process.env['ROUNDS'] ?? 7);
const connections = Number(process.env['CONNECTIONS'] ?? 400);

const authority = await createAuthority();
const leaf = await authority.issue({ names: ['localhost'] });
const tls = { certificates: [{ certificate: leaf.chain, key: leaf.key }] };
const blocks = Array.from({ length: 1_000 }, (_, index) => `10.${index >>> 8}.${index & 0xff}.0/24`);
const filter = everyFilter(perSource({ maxConcurrent: 1_000 }), allowOnly(blocks));

const where = { host: '127.0.0.1', port: 0 };
const refusing = await listen({ ...where, filter, tls }, () => {});
const shaking = await listen({ ...where, tls }, (stream) => stream.abort());

const load = fork(new URL('handshake-load.ts', import.meta.url), { stdio: 'inherit' });
await once(load, 'message');

async function cpuPerConnection(listener: Listener, isTls: boolean): Promise<number> {
  const before = process.cpuUsage();
  load.send({ port: (listener.address as { port: number }).port, connections, isTls });
  await once(load, 'message');
  const { user, system } = process.cpuUsage(before);
  return (user + system) / connections;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] as number;
}

const refused: number[] = [];
const handshakes: number[] = [];
// One round of each to warm up.
for (let round = -1; round < rounds; round++) {
  const one = await cpuPerConnection(refusing, false);
  const other = await cpuPerConnection(shaking, true);
  if (round < 0) continue;
  refused.push(one);
  handshakes.push(other);
}
console.log(`refused by a list of ${blocks.length} ranges and a limit per source: ${median(refused).toFixed(0)} µs a connection`);
console.log(`full TLS handshake: ${median(handshakes).toFixed(0)} µs a connection`);
console.log(`ratio ${(median(refused) / median(handshakes)).toFixed(2)} (bound 0.25)`);
load.kill();
await Promise.all([refusing.close(), shaking.close()]);
