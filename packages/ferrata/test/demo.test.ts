/** What `npm start` shows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { type Program, startDemo, within } from './support/command.ts';
import { closedPort, exchange, httpOrigin, mirror } from './support/peers.ts';

/** The port of the proxy, once it runs. */
async function portOf(demo: Program): Promise<number> {
  return Number(
    await demo.until('the address', () => /proxy +http:\/\/127\.0\.0\.1:(\d+)/.exec(stripVTControlCharacters(demo.stdout))?.[1]),
  );
}

test('--smoke makes one verified round trip by each version and exits with 0', async () => {
  const { code, stdout, stderr } = await within('its end', startDemo(['--', '--smoke']).ended);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^ok: POST http:\/\/127\.0\.0\.1:\d+\/echo came back through the proxy as it was sent, over HTTP\/1\.1 and over HTTP\/2\n$/,
  );
  assert.equal(stderr, '');
});

test('it shows three curl lines, then a line for each request in columns and without colours, and a Ctrl-C ends it with 0', async () => {
  const demo = startDemo(['--port', String(await closedPort())]);
  const port = await portOf(demo);
  assert.equal(demo.stdout.match(/^ {2}curl .*$/gm)?.length, 3);
  const hello = await exchange(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(hello, /Hello from the origin/);
  const echo = await exchange(port, 'POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nConnection: close\r\n\r\nback please');
  assert.match(echo, /\r\n\r\nback please$/);
  const headers = await exchange(port, 'GET /headers HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  assert.match(headers, /^X-Forwarded-For: 127\.0\.0\.1$/m);
  await exchange(port, 'GET /nothing HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
  await exchange(port, 'NONSENSE\r\n\r\n');
  await demo.until('the lines', () => /^400 /m.test(demo.stdout));
  const lines = demo.stdout.split('\n').filter((line) => /^\d{3} /.test(line));
  assert.equal(lines.length, 5);
  assert.match(lines[0] ?? '', /^200 {2}GET +\/ +40 B +\d+\.\d ms {2}new connection$/);
  assert.match(lines[1] ?? '', /^200 {2}POST +\/echo +11 B +\d+\.\d ms {2}reused connection$/);
  assert.match(lines[3] ?? '', /^404 {2}GET +\/nothing /);
  assert.match(lines[4] ?? '', /^400 {2}\(refused\) +H1_/);
  assert.equal(new Set(lines.slice(0, 4).map((line) => line.indexOf(' B '))).size, 1, 'the columns stand under each other');
  assert.equal(stripVTControlCharacters(demo.stdout), demo.stdout);
  // A package manager hands on what the terminal has sent already: twice is once.
  demo.child.kill('SIGINT');
  await demo.until('the end to begin', () => demo.stdout.includes('ending'));
  const { code, stdout, stderr } = await within('its end', demo.ended);
  assert.equal(code, 0);
  assert.match(stdout, /ended\n$/);
  assert.equal(stderr, '');
});

test('it has colours where they are forced, and none under NO_COLOR', async () => {
  for (const [env, hasColours] of [
    [{ FORCE_COLOR: '1' }, true],
    [{ NO_COLOR: '1' }, false],
  ] as const) {
    const demo = startDemo(['--port', String(await closedPort())], env);
    await portOf(demo);
    assert.equal(stripVTControlCharacters(demo.stdout) !== demo.stdout, hasColours);
    await demo.kill();
  }
});

test('a busy port gets a sentence that says what to do, and exit code 1', async () => {
  const { port } = await httpOrigin(mirror);
  const { code, stdout, stderr } = await within('its end', startDemo(['--port', String(port)]).ended);
  assert.equal(code, 1);
  assert.equal(stdout, '');
  assert.match(
    stderr,
    new RegExp(
      `^Port ${port} on 127\\.0\\.0\\.1 is in use\\. Stop the program that has it, or choose another: npm start -- --port \\d+\\n$`,
    ),
  );
});

test('wrong arguments get a sentence and exit code 2', async () => {
  for (const args of [['--port', 'x'], ['--frob']]) {
    const { code, stderr } = await within('its end', startDemo(args).ended);
    assert.equal(code, 2);
    assert.match(stderr, /--port x: write a port|--frob/);
  }
});
