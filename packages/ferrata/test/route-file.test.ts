/** `--route-file`: what it says, what is told of its faults, and what a reload makes of it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parseCommand } from '../src/arguments.ts';
import { loadReverseConfig } from '../src/reverse-config.ts';
import { readRouteFile } from '../src/route-file.ts';
import { formatUrl } from '../src/urls.ts';
import { UsageError } from '../src/usage-error.ts';
import { runFerrata, startFerrata } from './support/command.ts';
import { ask1 } from './support/http1.ts';
import { httpOrigin, type Origin } from './support/peers.ts';
import { caFile, file, httpsOrigin, type Seen } from './support/tls.ts';

const folder = mkdtempSync(join(tmpdir(), 'ferrata-route-file-'));
after(() => rmSync(folder, { recursive: true, force: true }));

let count = 0;
function routeFile(text: string, path = join(folder, `${++count}.yaml`)): string {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
  return path;
}

function named(name: string): Promise<Origin> {
  return httpOrigin((request, response) => response.end(`${name} ${request.headers['x-env'] ?? '-'}`));
}

test('a file has routes with one origin or several, and changes of fields', () => {
  const { routes, headerUp, headerDown } = readRouteFile(
    routeFile(
      "version: 1\nroutes:\n  - prefix: /api\n    to: [http://a:1, 'h2c://b:2']\n  - { prefix: /, to: https://c }\nheader_up: ['A: 1', '-B']\nheader_down:\n  - '+C: 2'\n",
    ),
  );
  assert.deepEqual(
    routes.map(({ prefix, to }) => [prefix, ...to.map(formatUrl)]),
    [
      ['/api', 'http://a:1', 'h2c://b:2'],
      ['/', 'https://c:443'],
    ],
  );
  assert.deepEqual([headerUp, headerDown], [['A: 1', '-B'], ['+C: 2']]);
});

test('a byte order mark and line ends of two characters are no fault', () => {
  const { routes } = readRouteFile(routeFile('\ufeffroutes:\r\n  - prefix: /api\r\n    to: http://a\r\n'));
  assert.deepEqual(
    routes.map(({ prefix, to }) => [prefix, ...to.map(formatUrl)]),
    [['/api', 'http://a:80']],
  );
});

test('the file of the README is one', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const text = /```yaml\n(# routes\.yaml[^]*?)```/.exec(readme)?.[1] ?? '';
  const { routes, headerUp, headerDown } = readRouteFile(routeFile(text));
  assert.deepEqual([routes.map(({ prefix }) => prefix), headerUp, headerDown], [['/api', '/'], ['X-Stage: live', '-Cookie'], ['-Server']]);
});

const faults: readonly (readonly [name: string, text: string, says: RegExp])[] = [
  ['is empty', '', /it does not end with a line end; was it written whole\?$/],
  ['is half of a file', 'routes:\n  - prefix: /a', /it does not end with a line end/],
  ['has no keys', '- a\n', /:1:1: the file must have keys, such as routes$/],
  ['is no YAML', 'routes: [\n', /:\d+:\d+: /],
  ['has an unknown key', 'route: []\n', /:1:1: there is no key route; the keys are version, routes, header_up and header_down$/],
  ['is two documents', 'routes: []\n---\nroutes: []\n', /:2:1: the file is one document; write all keys above the line of dashes$/],
  ['has a key that is none', '? [routes]\n: []\n', /:1:3: a key must be a text/],
  ['has an empty key', ': []\n', /:1:1: a key must be a text/],
  ['is of another version', 'version: 2\n', /:1:1: version must be 1$/],
  ['has a key twice', 'routes: []\nroutes: []\n', /:2:1: routes is written twice$/],
  ['has routes that are no list', 'routes: /a\n', /:1:1: routes must be a list$/],
  ['has a route that is no map', 'routes: [/a]\n', /:1:10: a route must have keys, such as prefix$/],
  ['has an unknown key in a route', 'routes:\n  - prefix: /a\n    too: http://a\n', /:3:5: there is no key too in a route/],
  ['has a route without a prefix', 'routes:\n  - to: http://a\n', /:2:5: a route needs a prefix/],
  ['has a route without an origin', 'routes:\n  - prefix: /a\n', /:2:5: the route \/a needs origins/],
  ['has a route with an empty list', 'routes:\n  - prefix: /a\n    to: []\n', /:2:5: the route \/a needs origins/],
  ['has a wrong prefix', 'routes:\n  - prefix: /a/\n    to: http://a\n', /:2:5: prefix \/a\/: .*write \/a$/],
  ['has a prefix that is a number', 'routes:\n  - prefix: 1\n    to: http://a\n', /:2:5: prefix must be a text/],
  ['has a wrong origin', 'routes:\n  - prefix: /a\n    to: [http://a, ftp://b]\n', /:3:20: to ftp:\/\/b: write the address as a URL/],
  ['has an alias', 'routes:\n  - prefix: &p /a\n    to: http://a\n  - prefix: *p\n    to: http://b\n', /:4:5: prefix must be a text/],
  [
    'has a prefix twice',
    'routes:\n  - { prefix: /a, to: http://a }\n  - { prefix: /a, to: http://b }\n',
    /:3:5: the prefix \/a is there twice/,
  ],
  ['has a field without quotes', 'header_up:\n  - X-A: 1\n', /:2:5: header_up: write each change in quotes/],
  ['has a wrong field', "header_down: ['Connection: x']\n", /:1:15: header_down "Connection": Connection belongs to one connection/],
  ['has a field with a line end', 'header_up: ["X-A: a\\r\\nX-B: b"]\n', /U\+000D/],
];

for (const [name, text, says] of faults) {
  test(`a file of routes that ${name} is refused with the place and a sentence`, () => {
    assert.throws(
      () => readRouteFile(routeFile(text)),
      (error) => error instanceof UsageError && error.message.startsWith('--route-file ') && says.test(error.message),
    );
  });
}

test('a file of routes is a plain one of a sensible size, in UTF-8', () => {
  const fifo = join(folder, 'fifo');
  execFileSync('mkfifo', [fifo]);
  const latin = join(folder, 'latin');
  writeFileSync(latin, Buffer.from([0x23, 0xe9, 0x0a]));
  for (const [path, says] of [
    [fifo, /no plain file/],
    [folder, /no plain file/],
    [join(folder, 'nowhere'), /ENOENT/],
    [latin, /not valid/],
    [routeFile(`#${'x'.repeat(65_536)}\n`), /it has 65538 bytes, and at most 65536 are read/],
  ] as const)
    assert.throws(() => readRouteFile(path), says);
});

test('what a file and the command line say together must make sense', () => {
  const load = (text: string, ...rest: string[]): unknown => {
    const command = parseCommand(['reverse', '--listen', 'http://127.0.0.1:8080', '--route-file', routeFile(text), ...rest]);
    assert.ok(command.kind === 'reverse');
    return loadReverseConfig(command.arguments);
  };
  const api = 'routes:\n  - { prefix: /api, to: http://a }\n';
  assert.doesNotThrow(() => load(api));
  assert.doesNotThrow(() => load(api, '--to', 'http://b', '--route', '/b', '--to', 'http://c'));
  assert.doesNotThrow(() => load("header_up: ['A: 1']\n", '--to', 'http://b'));
  assert.throws(() => load(api, '--route', '/api', '--to', 'http://b'), /the command line has origins for \/api, too/);
  assert.throws(() => load('routes:\n  - { prefix: /, to: http://a }\n', '--to', 'http://b'), /the command line has origins for \/, too/);
  assert.throws(() => load("header_up: ['A: 1']\n"), /say where requests go/);
  assert.throws(() => load(api, '--no-verify'), /--no-verify is for https:\/\/ origins/);
  assert.throws(() => load('routes:\n  - { prefix: /a, to: http://127.0.0.1:8080 }\n'), /that is where the proxy itself listens/);
  assert.throws(
    () => load('routes:\n  - { prefix: /a, to: http://a:0 }\n'),
    /^UsageError: --route-file \S+, beside the command line: --to http:\/\/a:0: port 0 is only for --listen/,
  );
});

test('--test looks at the file of routes', async () => {
  const listen = ['reverse', '--listen', 'http://127.0.0.1:0', '--test', '--route-file'];
  const good = await runFerrata(...listen, routeFile('routes:\n  - { prefix: /api, to: http://127.0.0.1:1 }\n'));
  assert.deepEqual([good.code, good.stderr], [0, 'ferrata: the configuration is good\n']);
  const path = routeFile('routes:\n  - { prefix: api, to: http://127.0.0.1:1 }\n');
  const { code, stderr } = await runFerrata(...listen, path);
  assert.deepEqual([code, stderr], [2, `ferrata: --route-file ${path}:2:7: prefix api: a prefix begins with a slash, such as /api\n`]);
});

test('a reload takes routes, origins with TLS and fields from the file, in all threads; a file that is wrong changes nothing, and is told', async () => {
  const [a, b] = await Promise.all([named('a'), named('b')]);
  const secure = await httpsOrigin((await file('routes', ['localhost', '127.0.0.1'])).issued);
  const path = routeFile(`routes:\n  - { prefix: /api, to: http://127.0.0.1:${a.port} }\nheader_up: ['X-Env: one']\n`);
  const ferrata = await startFerrata([b.port], ['--route-file', path, '--threads', '2']);
  const get = async (target: string): Promise<string> => {
    const { status, body } = await ask1(ferrata.port, target);
    return `${status} ${body.toString()}`;
  };
  assert.deepEqual([await get('/api'), await get('/')], ['200 a one', '200 b one']);

  routeFile('routes: 1\n', path);
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the notice', () => ferrata.stderr.includes(`${path}:1:1: routes must be a list`));
  assert.equal(await get('/api'), '200 a one');

  const origin = `https://127.0.0.1:${secure.port}`;
  routeFile(`routes:\n  - { prefix: /new, to: '${origin}' }\nheader_up: ['X-Env: two']\nheader_down: ['X-Down: 2']\n`, path);
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the reload', () => ferrata.stderr.includes('reloaded, version 2'));
  assert.ok(
    ferrata.stderr.includes('secretHeaders.up[0]: *** → ***') && !ferrata.stderr.includes('X-Env'),
    'a field may hold a credential',
  );
  assert.deepEqual([await get('/api'), await get('/')], ['200 b two', '200 b two'], 'the route is gone');
  // The origin's certificate is nobody's whom Node trusts: it was asked by TLS, and refused.
  for (let i = 0; i < 4; i++) assert.equal((await ask1(ferrata.port, '/new')).status, 502);
  await ferrata.until('why', () => ferrata.stderr.includes(`--to ${origin}: no connection`));
  assert.equal((await ask1(ferrata.port, '/')).headers['x-down'], '2');
});

test('who takes the place of a process that died, while the file is gone, serves by what was in it', async () => {
  const a = await named('a');
  const path = routeFile(`routes:\n  - { prefix: /api, to: http://127.0.0.1:${a.port} }\nheader_up: ['X-Env: one']\n`);
  const ferrata = await startFerrata([], ['--route-file', path]);
  const [serving] = ferrata.children;
  assert.ok(serving !== undefined);
  rmSync(path);
  process.kill(serving, 'SIGKILL');
  await ferrata.until('the next generation', () => ferrata.stderr.includes('generation 2') && ferrata.stderr.includes(' serves\n'));
  assert.ok(ferrata.stderr.includes(`the last good one is served until a reload succeeds: --route-file ${path}: it cannot be read`));
  assert.equal((await ask1(ferrata.port, '/api')).body.toString(), 'a one');
});

test('authorities are for the origins of the file, too', async () => {
  const secure = await httpsOrigin((await file('routes', ['localhost', '127.0.0.1'])).issued);
  const path = routeFile(`routes:\n  - { prefix: /, to: 'https://127.0.0.1:${secure.port}' }\n`);
  const ferrata = await startFerrata([], ['--route-file', path, '--ca', caFile]);
  const { status, body } = await ask1(ferrata.port, '/x');
  assert.deepEqual([status, (JSON.parse(body.toString()) as Seen).url], [200, '/x']);
});
