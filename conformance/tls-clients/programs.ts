/** The clients that are programs of their own, each run to its end within a bounded time. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PeerProgram } from '@ferrata/tools/peers';
import { killOnExit } from '../rig/clean-up.ts';

export const CURL: PeerProgram = { command: 'curl', debianPackage: 'curl', purpose: 'a client of HTTP/1.1 and HTTP/2 over TLS' };
export const OPENSSL: PeerProgram = {
  command: 'openssl',
  debianPackage: 'openssl',
  purpose: 'a client that shows each part of a handshake',
};
export const CHROMIUM: PeerProgram = { command: 'chromium', debianPackage: 'chromium', purpose: 'a browser' };

const LIMIT_MS = 30_000;

/** What a program wrote, and how it ended. */
export interface Ended {
  readonly code: number | null;
  readonly output: string;
  readonly errors: string;
}

/** Runs a program; what takes longer than 30 s is killed, and ends with the code null. @param input what it reads, and whether its input ends then */
export async function runProgram(
  command: string,
  args: readonly string[],
  input: { readonly text: string; readonly until?: RegExp } = { text: '' },
): Promise<Ended> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  killOnExit(child);
  let output = '';
  let errors = '';
  const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
  child.stdin.on('error', () => {});
  child.stdin.write(input.text);
  if (input.until === undefined) child.stdin.end();
  const look = (): void => {
    // openssl s_client ends with its input, even before the answer came.
    if (input.until?.test(output + errors) === true) child.stdin.end();
  };
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text;
    look();
  });
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    errors += text;
    look();
  });
  return await new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => {
      clearTimeout(timer);
      resolve({ code, output, errors });
    });
  });
}

/** Loads a page in a browser without a window. @param keyHash base64 of the SHA-256 of the server's public key, the one that is trusted beside the usual ones */
export async function dumpPage(url: string, keyHash: string): Promise<Ended> {
  const profile = mkdtempSync(join(tmpdir(), 'ferrata-chromium-'));
  try {
    return await runProgram('chromium', [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--host-resolver-rules=MAP *.test 127.0.0.1',
      `--user-data-dir=${profile}`,
      `--ignore-certificate-errors-spki-list=${keyHash}`,
      '--virtual-time-budget=10000',
      '--dump-dom',
      url,
    ]);
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
