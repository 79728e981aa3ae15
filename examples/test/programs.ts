/** Runs programs of this folder as a reader would, and origins for them to ask. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';

/** How long anything in these tests may take. */
export const DEADLINE_MS = 30_000;

/** A program that runs. */
export interface Program {
  readonly address: string;
  /** Everything printed so far. */
  output(): string;
  /** Waits for a match in what it prints. */
  printed(what: RegExp): Promise<void>;
  /** Sends SIGINT. @returns the exit code */
  interrupt(): Promise<number | null>;
}

/** Starts a program of this folder and waits for its `ready` line. */
export async function start(name: string, ...args: string[]): Promise<Program> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', fileURLToPath(new URL(`../${name}`, import.meta.url)), ...args],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, NODE_TEST_CONTEXT: undefined },
    },
  );
  const ended = once(child, 'close');
  after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const printed = async (what: RegExp): Promise<void> => {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (!what.test(text)) await once(child.stdout, 'data', { signal });
  };
  await printed(/^ready \S+\n/);
  return {
    address: /^ready (\S+)/.exec(text)?.[1] ?? '',
    output: () => text,
    printed,
    async interrupt() {
      child.kill('SIGINT');
      const [code] = (await ended) as [number | null];
      return code;
    },
  };
}

/** What to ask for beside a path. */
export interface AskInit {
  readonly method?: string;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** One request whose connection is not kept, so that the program need not wait for it at its end. Redirects are not followed. */
export async function ask(address: string, path: string, init: AskInit = {}): Promise<Response> {
  return await fetch(`http://${address}${path}`, {
    ...init,
    headers: { ...init.headers, Connection: 'close' },
    redirect: 'manual',
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
}

/** An origin that is Node's own. */
export interface Origin {
  readonly address: string;
  readonly server: Server;
  /** Stops it at once, and its connections with it. */
  stop(): Promise<void>;
}

/** Starts an origin on any free port; ended with the test. */
export async function startOrigin(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Origin> {
  const server = createServer(answer);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const stop = async (): Promise<void> => {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    await closed;
  };
  after(stop);
  return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, server, stop };
}
