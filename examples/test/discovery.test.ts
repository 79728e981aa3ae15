/** The discoveries of this folder: those that ask a registry with the fake of their own, a file, and a name server. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { start } from './programs.ts';

for (const name of ['consul', 'etcd', 'kubernetes', 'docker']) {
  test(`discovery-${name}.ts tells the backends that it finds`, async () => {
    const program = await start(`discovery-${name}.ts`);
    await program.printed(/^backends: 10\.0\.0\.1:80$/m);
    assert.doesNotMatch(program.output(), /failed/);
    assert.equal(await program.interrupt(), 0);
  });
}

test('discovery-file.ts tells what a file lists, and what it lists later', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'discovery-'));
  after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'backends.json');
  writeFileSync(path, '{ "backends": ["127.0.0.1:3000", { "address": "127.0.0.1:3001", "weight": 2 }] }');
  const program = await start('discovery-file.ts', path);
  await program.printed(/^backends 127\.0\.0\.1:3000 \(1\), 127\.0\.0\.1:3001 \(2\)$/m);
  writeFileSync(`${path}.new`, '127.0.0.1:3002');
  renameSync(`${path}.new`, path);
  await program.printed(/^backends 127\.0\.0\.1:3002 \(1\)$/m);
  assert.doesNotMatch(program.output(), /failed/);
  assert.equal(await program.interrupt(), 0);
});

test('discovery-dns.ts tells the addresses of a name', async () => {
  // To each question the same answer: of IPv4 192.0.2.1 for a minute, of IPv6 none.
  const server = createSocket('udp4');
  server.on('message', (query, from) => {
    const isIpv4 = query.readUInt16BE(query.indexOf(0, 12) + 1) === 1;
    const answer = Buffer.from(isIpv4 ? 'c00c000100010000003c0004c0000201' : '', 'hex');
    const question = query.subarray(0, query.indexOf(0, 12) + 5);
    const reply = Buffer.concat([question, answer]);
    reply.writeUInt16BE(0x8180, 2);
    reply.writeUInt16BE(isIpv4 ? 1 : 0, 6);
    reply.writeUInt16BE(0, 10);
    server.send(reply, from.port, from.address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => void server.close());
  const program = await start('discovery-dns.ts', 'app.example:80', `127.0.0.1:${server.address().port}`);
  await program.printed(/^backends 192\.0\.2\.1:80 \(tier 0\)$/m);
  assert.doesNotMatch(program.output(), /failed/);
  assert.equal(await program.interrupt(), 0);
});
