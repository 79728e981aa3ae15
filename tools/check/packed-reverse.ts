/**
 * `packed-reverse.ts COMMAND`: runs the built `ferrata reverse` once, in front of an origin of its own: its processes and threads each have to find their code, one request to be answered, and SIGTERM
 * to end it with 0. Says what is wrong, and ends with 1 then.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const [command = ''] = process.argv.slice(2);
const answer = 'from the origin';
const LIMIT_MS = 60_000;

const origin = createServer((_request, response) => response.end(answer)).listen(0, '127.0.0.1');
await once(origin, 'listening');
const to = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;

const child = spawn(process.execPath, [command, 'reverse', '--threads', '2', '--listen', 'http://127.0.0.1:0', '--to', to], {
  stdio: ['ignore', 'pipe', 'inherit'],
});
const ended = once(child, 'close');
// One that hangs is ended, and has failed by that.
const timer = setTimeout(() => child.kill('SIGKILL'), LIMIT_MS);
const url = await Promise.race([readyUrl(), ended.then(() => null)]);
let problem = '';
if (url === null) {
  problem = 'it ended before it was ready';
} else {
  const text = await fetch(url, { headers: { Connection: 'close' } }).then(
    (response) => response.text(),
    (error: unknown) => String(error),
  );
  if (text !== answer) problem = `the answer was ${JSON.stringify(text)}`;
  child.kill('SIGTERM');
}
const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
clearTimeout(timer);
if (problem === '' && code !== 0) problem = `SIGTERM ended it with ${String(code ?? signal)}`;
origin.close();
if (problem !== '') {
  console.error(`${command} reverse: ${problem}`);
  process.exitCode = 1;
}

/** Reads on afterwards: a pipe that is full would hold up whoever writes. */
function readyUrl(): Promise<string> {
  return new Promise((resolve) => {
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      const found = /^ready (\S+)$/m.exec(output)?.[1];
      if (found !== undefined) resolve(found);
    });
  });
}
