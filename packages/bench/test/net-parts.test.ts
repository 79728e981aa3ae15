/** The bench of streams: its table of scenarios, and its programs, run for a moment each. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { LoadResult } from '../net/programs/command-line.ts';
import { SCENARIOS } from '../net/scenarios.ts';
import { writeCertificates } from '../proxy/certificates.ts';

const certificates = mkdtempSync(join(tmpdir(), 'ferrata-bench-net-'));
after(() => rmSync(certificates, { recursive: true, force: true }));
await writeCertificates(certificates);

test('every bar of a scenario compares its subject with a contender of its own table', () => {
  for (const { name, subject, bars, contenders } of SCENARIOS) {
    const names = new Set(contenders.map((one) => one.name));
    assert.equal(names.size, contenders.length, name);
    assert.ok(names.has(subject), name);
    for (const { than } of bars) assert.ok(names.has(than) && than !== subject, `${name}: ${than}`);
  }
});

for (const kind of ['ferrata', 'node']) {
  test(`the TLS server of the kind ${kind} makes full and resumed handshakes, and the load tells them apart`, async () => {
    const { to } = await serve('tls-server', '--kind', kind);
    assert.deepEqual(verdict(await load('handshake-load', to, '--connections', '2')), { isDone: true, failures: 0 });
    assert.deepEqual(verdict(await load('handshake-load', to, '--connections', '2', '--resume')), { isDone: true, failures: 0 });
  });

  for (const tls of [[], ['--tls']]) {
    test(`the relay of the kind ${kind}${tls.length > 0 ? ' with TLS' : ''} loses nothing of a flow`, async () => {
      const sink = await serve('sink');
      const { to } = await serve('relay', '--kind', kind, '--to', sink.to, ...tls);
      const result = await load('flow-load', to, '--bytes', '3000001', ...tls);
      assert.deepEqual([result.operations, result.failures], [1, 0]);
    });
  }
}

test('a server that refuses is seen to close without a byte', async () => {
  const { to } = await serve('tls-server', '--refuse');
  assert.deepEqual(verdict(await load('handshake-load', to, '--refuse')), { isDone: true, failures: 0 });
});

for (const kind of ['ferrata', 'ws']) {
  test(`the WebSocket server of the kind ${kind} sends every message back`, async () => {
    const { to } = await serve('websocket-echo', '--kind', kind);
    assert.deepEqual(verdict(await load('websocket-load', to, '--connections', '2', '--bytes', '100')), { isDone: true, failures: 0 });
  });
}

function verdict({ operations, failures }: LoadResult): { readonly isDone: boolean; readonly failures: number } {
  return { isDone: operations > 0, failures };
}

async function serve(name: string, ...args: readonly string[]): Promise<{ readonly to: string }> {
  const to = await firstLine(name, args, /^ready http:\/\/(\S+)$/m);
  return { to };
}

async function load(name: string, to: string, ...args: readonly string[]): Promise<LoadResult> {
  return JSON.parse(await firstLine(name, ['--to', to, '--seconds', '1', ...args], /^REPORT (.*)$/m)) as LoadResult;
}

/** Runs a program until the end of this test; returns what the pattern finds in its output. */
async function firstLine(name: string, args: readonly string[], pattern: RegExp): Promise<string> {
  const file = fileURLToPath(new URL(`../net/programs/${name}.ts`, import.meta.url));
  const child = spawn(process.execPath, [file, '--certificates', certificates, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'close');
  after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  const signal = AbortSignal.timeout(30_000);
  for (;;) {
    const found = pattern.exec(output)?.[1];
    if (found !== undefined) return found;
    await once(child.stdout, 'data', { signal });
  }
}
