/** Each program of this folder, run as a reader would run it. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';

const DEADLINE_MS = 30_000;

interface Example {
  readonly address: string;
  /** Everything printed so far. */
  output(): string;
  /** Waits for a match in what it prints. */
  printed(what: RegExp): Promise<void>;
  /** Sends SIGINT. @returns the exit code */
  interrupt(): Promise<number | null>;
}

/** Starts a program of this folder and waits for its `ready` line. */
async function start(name: string, ...args: string[]): Promise<Example> {
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

/** One request whose connection is not kept, so that the program need not wait for it at its end. */
async function ask(
  address: string,
  path: string,
  init: { readonly method?: string; readonly body?: string; readonly headers?: Readonly<Record<string, string>> } = {},
): Promise<Response> {
  return await fetch(`http://${address}${path}`, {
    ...init,
    headers: { ...init.headers, Connection: 'close' },
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
}

test('http-server.ts answers, and sends uploads back', async () => {
  const server = await start('http-server.ts', '127.0.0.1:0');
  assert.equal(await (await ask(server.address, '/')).text(), 'hello\n');
  assert.equal((await ask(server.address, '/no')).status, 404);
  const body = 'x'.repeat(1_000_000);
  assert.equal(await (await ask(server.address, '/', { method: 'POST', body })).text(), body);
  assert.equal(await server.interrupt(), 0);
});

test('reverse-proxy.ts passes requests on and logs them', async () => {
  const server = await start('http-server.ts', '127.0.0.1:0');
  const proxy = await start('reverse-proxy.ts', server.address, '127.0.0.1:0');
  assert.equal(await (await ask(proxy.address, '/')).text(), 'hello\n');
  await proxy.printed(/^200 GET \/ \d+\.\d ms/m);
  assert.equal(await proxy.interrupt(), 0);
});

test('edit-responses.ts answers some requests itself and edits the rest', async () => {
  const server = await start('http-server.ts', '127.0.0.1:0');
  const proxy = await start('edit-responses.ts', server.address, '127.0.0.1:0');
  const edited = await ask(proxy.address, '/');
  assert.equal(await edited.text(), 'HELLO\n');
  assert.equal(edited.headers.get('x-served-by'), 'ferrata');
  assert.equal(edited.headers.get('server'), null);
  const forbidden = await ask(proxy.address, '/private/x');
  assert.equal(forbidden.status, 403);
  assert.equal(await forbidden.text(), 'not from here\n');
  const bytes = await ask(proxy.address, '/reports', { method: 'POST', body: 'kept', headers: { 'Content-Type': 'application/json' } });
  assert.equal(await bytes.text(), 'kept');
  assert.equal(await proxy.interrupt(), 0);
});

test('line-protocol.ts keeps and gives back, up to so many names, and drops a peer whose line does not end', async () => {
  const store = await start('line-protocol.ts', '127.0.0.1:0');
  assert.equal(
    await talk(store.address, 'SET a one two\nGET a\nGET b\nNONSENSE\nQUIT\n'),
    'OK\none two\nNONE\nERROR write SET name value, GET name or QUIT\n',
  );
  // One name is there already; a full store still takes new values for the names that it has.
  const sets = Array.from({ length: 10_000 }, (_, index) => `SET name-${index} x\n`).join('');
  assert.match(await talk(store.address, `${sets}SET a three\nGET a\nQUIT\n`), /^(?:OK\n){9999}ERROR full\nOK\nthree\n$/);
  assert.equal(await talk(store.address, 'x'.repeat(5_000)), '');
  await store.printed(/^dropped: /m);
  assert.equal(await store.interrupt(), 0);
});

/** Sends `text` and collects what comes until the other side ends the connection. */
async function talk(address: string, text: string): Promise<string> {
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ host, port: Number(port) });
  socket.on('error', () => {});
  socket.write(text);
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => (received += chunk));
  await once(socket, 'close', { signal: AbortSignal.timeout(DEADLINE_MS) });
  return received;
}
