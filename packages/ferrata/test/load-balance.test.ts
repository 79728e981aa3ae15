/** How requests are shared out: what the command line says of it, and what becomes of it. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { HttpEnvironment } from '@ferrata/http';
import { peer } from '@ferrata/upstream';
import { parseCommand, type ReverseArguments } from '../src/arguments.ts';
import { OriginGroups } from '../src/origin-groups.ts';
import type { ReverseProxyOptions } from '../src/reverse-options.ts';
import { startReverseProxy } from '../src/reverse-proxy.ts';
import { readRouteFile } from '../src/route-file.ts';
import { parseOrigin } from '../src/urls.ts';
import { startFerrata } from './support/command.ts';
import { httpOrigin, type Origin } from './support/peers.ts';

const base = ['reverse', '--listen', 'http://127.0.0.1:8080'];
const to = ['--to', 'http://127.0.0.1:3000'];
const folder = mkdtempSync(join(tmpdir(), 'ferrata-load-balance-'));
after(() => rmSync(folder, { recursive: true }));

function parsed(...argv: readonly string[]): ReverseArguments {
  const command = parseCommand([...base, ...argv]);
  assert.equal(command.kind, 'reverse');
  return (command as { readonly arguments: ReverseArguments }).arguments;
}

function named(name: string): Promise<Origin> {
  return httpOrigin((_request, response) => response.end(name));
}

function urlOf({ port }: { readonly port: number }): string {
  return `http://127.0.0.1:${port}`;
}

/** A proxy in this thread, and a way to ask it. */
async function running(
  options: Omit<ReverseProxyOptions, 'listen'>,
): Promise<
  { ask(path?: string, cookie?: string): Promise<Response>; words(count: number, path?: string): Promise<string[]> } & AsyncDisposable
> {
  const proxy = await startReverseProxy({ listen: [{ kind: 'tcp', host: '127.0.0.1', port: 0 }], ...options });
  const address = proxy.listeners[0]?.address;
  const port = address?.kind === 'ip' ? address.port : 0;
  const ask = (path = '/', cookie = ''): Promise<Response> =>
    fetch(`http://127.0.0.1:${port}${path}`, { headers: cookie === '' ? {} : { cookie } });
  return {
    ask,
    async words(count, path) {
      const found: string[] = [];
      for (let turn = 0; turn < count; turn++) found.push(await (await ask(path)).text());
      return found;
    },
    [Symbol.asyncDispose]: async () => void (await proxy.stop(0)),
  };
}

describe('the command line', () => {
  test('says how requests are shared out', () => {
    const { balancing, stickySecretFile } = parsed(
      ...to,
      '--lb',
      'ketama',
      '--lb-key',
      'header:X-User',
      '--sticky=home',
      '--sticky-secret-file',
      'secret',
      '--health',
      '/up',
      '--health-interval',
      '2s',
      '--health-timeout',
      '500ms',
      '--health-status',
      '200,204-299',
      '--outliers',
      '--slow-start',
      '1m',
    );
    assert.equal(stickySecretFile, 'secret');
    assert.deepEqual(balancing, {
      algorithm: 'ketama',
      key: 'header:X-User',
      sticky: 'home',
      health: '/up',
      healthIntervalMs: 2_000,
      healthTimeoutMs: 500,
      healthStatuses: ['200', '204-299'],
      hasOutliers: true,
      slowStartMs: 60_000,
    });
    assert.equal(parsed(...to).balancing, undefined);
    assert.deepEqual(parsed(...to, '--sticky').balancing, { sticky: 'ferrata-backend' });
  });

  test('gives an origin a weight, or has it stand by', () => {
    const { to: origins } = parsed(...to, '--weight', '3', '--to', 'http://127.0.0.1:3001', '--weight', '2', '--backup');
    assert.deepEqual(
      origins.map(({ weight, isBackup }) => [weight, isBackup]),
      [
        [3, undefined],
        [2, true],
      ],
    );
  });

  test('has origins discovered, of one route or of all', () => {
    const { to: origins, routes } = parsed(
      '--discover',
      'dns://app.test:80',
      '--discover',
      'srv://_http._tcp.app.test',
      '--route',
      '/a',
      ...to,
    );
    assert.deepEqual(origins, []);
    assert.deepEqual(
      routes.map(({ prefix, discover }) => [prefix, discover?.length]),
      [
        ['/', 2],
        ['/a', undefined],
      ],
    );
    for (const url of ['file:///run/origins', 'consul://127.0.0.1:8500/app', 'etcd://127.0.0.1:2379/app/', 'docker://web'])
      assert.deepEqual(parsed('--discover', url).routes[0]?.discover, [url]);
  });

  const wrong: readonly (readonly [argv: readonly string[], sentence: RegExp])[] = [
    [[...to, '--lb', 'best'], /^--lb best: write one of round-robin, random/],
    [[...to, '--lb', 'ketama', '--lb-key', 'host'], /^--lb-key host: write ip, uri/],
    [[...to, '--lb', 'ketama', '--lb-key', 'header:a b'], /^--lb-key header:a b: write/],
    [[...to, '--lb', 'p2c', '--lb-key', 'ip'], /--lb p2c goes by no key/],
    [[...to, '--health', 'up'], /^--health up: write a path/],
    [[...to, '--health-interval', '1s'], /write --health \/path with it/],
    [[...to, '--health', 'tcp', '--health-status', '200'], /asks for no status/],
    [[...to, '--health', '/', '--health-status', '399-200'], /^--health-status 399-200: write statuses/],
    [[...to, '--sticky=a b'], /no name of a cookie/],
    [['--weight', '3', ...to], /^--weight belongs directly behind a --to/],
    [[...to, '--lb', 'p2c', '--backup'], /^--backup belongs directly behind a --to/],
    [[...to, '--weight', '70000'], /^--weight 70000: write a whole number/],
    [['--discover', 'http://a'], /^--discover http:\/\/a: write one of dns:/],
    [['--discover', 'dns://app'], /^--discover dns:\/\/app: write one of/],
    [['--discover', 'dns://127.0.0.1:80'], /is an address/],
    [['--discover', 'dns://app.test:80', ...to], /the route \/ has --to, too/],
    [[...to, '--sticky-secret-file='], /needs/],
  ];
  for (const [argv, sentence] of wrong)
    test(`refuses ${argv.join(' ')}`, () => assert.throws(() => parsed(...argv), { name: 'UsageError', message: sentence }));
});

describe('a file of routes', () => {
  function read(text: string): ReturnType<typeof readRouteFile> {
    const file = join(folder, 'routes.yaml');
    writeFileSync(file, text);
    return readRouteFile(file);
  }

  test('says it of one route, by the same names', () => {
    const { routes } = read(
      'routes:\n  - prefix: /a\n    to: http://127.0.0.1:1\n    load-balance:\n      lb: hash\n      lb-key: ip\n      health: /up\n      health-status: 200\n      outliers: true\n  - prefix: /b\n    discover: [dns://b.test:80]\n',
    );
    assert.deepEqual(routes[0]?.balancing, { algorithm: 'hash', key: 'ip', health: '/up', healthStatuses: ['200'], hasOutliers: true });
    assert.deepEqual(routes[1], { prefix: '/b', to: [], discover: ['dns://b.test:80'] });
  });

  for (const [text, sentence] of [
    ['load-balance: { lb: best }', /:4:5: lb best: write one of/],
    ['load-balance: { algorithm: p2c }', /there is no key algorithm in load-balance/],
    ['load-balance: { outliers: 1 }', /outliers must be true or false/],
    ['discover: [dns://b.test:80]', /has to and discover/],
    ['discover: 7', /discover must be a text/],
  ] as const)
    test(`is refused with ${text}`, () =>
      assert.throws(() => read(`routes:\n  - prefix: /a\n    to: http://127.0.0.1:1\n    ${text}\n`), {
        name: 'UsageError',
        message: sentence,
      }));
});

describe('requests', () => {
  test('go by weight, and to who stands by when the others cannot be reached', async () => {
    const [a, b, c] = [await named('a'), await named('b'), await named('c')];
    await using proxy = await running({
      to: [{ ...parseOrigin(urlOf(a)), weight: 3 }, parseOrigin(urlOf(b)), { ...parseOrigin(urlOf(c)), isBackup: true }],
    });
    const words = await proxy.words(8);
    assert.deepEqual([words.filter((word) => word === 'a').length, words.filter((word) => word === 'b').length], [6, 2]);
    for (const { server } of [a, b]) {
      server.close();
      server.closeAllConnections();
    }
    assert.deepEqual(await proxy.words(3), ['c', 'c', 'c']);
  });

  test('of one key go to one origin', async () => {
    for (const algorithm of ['ketama', 'maglev', 'bounded', 'hash'] as const) {
      const origins = [await named('a'), await named('b'), await named('c')];
      await using proxy = await running({ to: origins.map((origin) => parseOrigin(urlOf(origin))), balancing: { algorithm, key: 'path' } });
      for (const path of ['/1', '/2', '/3']) assert.equal(new Set(await proxy.words(4, path)).size, 1, `${algorithm} ${path}`);
    }
  });

  test('are shared out by every algorithm', async () => {
    for (const algorithm of ['random', 'least-requests', 'p2c', 'ewma'] as const) {
      const origins = [await named('a'), await named('b')];
      await using proxy = await running({ to: origins.map((origin) => parseOrigin(urlOf(origin))), balancing: { algorithm } });
      assert.ok(
        (await proxy.words(40)).every((word) => word === 'a' || word === 'b'),
        algorithm,
      );
    }
  });

  test('of a client with the cookie go where it says, and what a hook of fields does is done too', async () => {
    const origins = [await named('a'), await named('b'), await named('c')];
    await using proxy = await running({
      to: origins.map((origin) => parseOrigin(urlOf(origin))),
      balancing: { sticky: 'home' },
      headerDown: ['X-Down: yes'],
    });
    const first = await proxy.ask();
    const home = await first.text();
    assert.equal(first.headers.get('x-down'), 'yes');
    const [cookie = ''] = (first.headers.get('set-cookie') ?? '').split(';');
    assert.match(first.headers.get('set-cookie') ?? '', /^home=[\w-]{44}; Path=\/; HttpOnly; SameSite=Lax$/, 'no listener has TLS');
    for (let turn = 0; turn < 4; turn++) assert.equal(await (await proxy.ask('/', cookie)).text(), home);
  });

  test('pass over who is not well by its checks, and nobody being well is 503', async () => {
    let isWell = false;
    const b = await httpOrigin((request, response) => {
      response.statusCode = request.url === '/up' && !isWell ? 500 : 200;
      response.end('b');
    });
    const notices: string[] = [];
    const changed = { resolve: (): void => {} };
    const until = (): Promise<void> => new Promise((resolve) => void (changed.resolve = resolve));
    const unwell = until();
    await using proxy = await running({
      to: [parseOrigin(urlOf(b))],
      balancing: { health: '/up', healthIntervalMs: 50 },
      onOriginNotice: (text) => {
        notices.push(text);
        changed.resolve();
      },
    });
    await proxy.ask();
    await unwell;
    assert.equal((await proxy.ask()).status, 503);
    const well = until();
    isWell = true;
    await well;
    assert.deepEqual(await proxy.words(1), ['b']);
    assert.match(notices[0] ?? '', /^--to http:\/\/127\.0\.0\.1:\d+: it is not well: /);
    assert.match(notices[1] ?? '', /it is well again$/);
  });

  test('go to origins that a file names, from the very first one on', async () => {
    const a = await named('a');
    const file = join(folder, 'origins.txt');
    writeFileSync(file, `127.0.0.1:${a.port}\n`);
    await using proxy = await running({ routes: [{ prefix: '/', to: [], discover: [`file://${file}`] }] });
    assert.deepEqual(await proxy.words(1), ['a']);
  });
});

test('two threads: one of them checks, all know of it, it is told once, and a reload keeps it', async () => {
  let checks = 0;
  const a = await named('a');
  const b = await httpOrigin((request, response) => {
    const isCheck = request.url === '/up';
    if (isCheck) checks++;
    response.statusCode = isCheck ? 500 : 200;
    response.end('b');
  });
  const ferrata = await startFerrata([a.port, b.port], ['--threads', '2', '--health', '/up', '--health-interval', '50ms', '--sticky']);
  await ferrata.until('the notice', () => ferrata.stderr.includes('it is not well'));
  const words = async (): Promise<Set<string>> => {
    const found = new Set<string>();
    for (let turn = 0; turn < 20; turn++)
      found.add(await (await fetch(`http://127.0.0.1:${ferrata.port}/`, { headers: { connection: 'close' } })).text());
    return found;
  };
  assert.deepEqual(await words(), new Set(['a']));
  const before = checks;
  ferrata.child.kill('SIGHUP');
  await ferrata.until('the reload', () => checks > before + 4);
  assert.deepEqual(await words(), new Set(['a']));
  assert.ok(checks >= before);
  assert.equal(ferrata.stderr.match(/it is not well/g)?.length, 1);
});

describe('groups', () => {
  const parts = {
    balancing: {},
    tls: null,
    isSecure: false,
    peerFor: ({ kind, ...address }: { readonly kind: string }) => peer(address as { host: string; port: number }),
    onNotice: () => {},
  };
  const origin = (port: number): ReturnType<typeof parseOrigin> => parseOrigin(`http://127.0.0.1:${port}`);

  test('of one origin have no balancer, unless something is to be known of it', () => {
    const groups = new OriginGroups(new HttpEnvironment());
    const route = { prefix: '/', to: [origin(1)] };
    assert.equal(groups.prepare([route], parts, undefined)[0]?.[1].plan, null);
    assert.notEqual(groups.prepare([{ ...route, balancing: { health: 'tcp' } }], parts, undefined)[0]?.[1].plan, null);
    groups.close();
  });

  test('keep what is known of an origin from configuration to configuration', () => {
    const groups = new OriginGroups(new HttpEnvironment());
    const first = groups.prepare([{ prefix: '/', to: [origin(1), origin(2)] }], parts, undefined);
    const before = first[0]?.[1].plan?.balancer;
    const [one] = before?.backends ?? [];
    assert.ok(before !== undefined && one !== undefined);
    before.setHealthy(one, false, { check: 'test', error: null });
    groups.prepare(
      [
        { prefix: '/', to: [origin(1)] },
        { prefix: '/x', to: [origin(1), origin(9)] },
      ],
      parts,
      undefined,
    );
    const last = groups.prepare([{ prefix: '/', to: [origin(1), origin(2), origin(3)] }], parts, undefined);
    groups.adopt();
    const after_ = last[0]?.[1].plan?.balancer;
    assert.deepEqual(
      after_?.backends.map((backend) => after_.isHealthy(backend)),
      [false, true, true],
    );
    groups.close();
  });

  test('give the same address twice two turns', () => {
    const groups = new OriginGroups(new HttpEnvironment());
    const made = groups.prepare([{ prefix: '/', to: [origin(1), origin(1)] }], parts, undefined);
    assert.deepEqual(
      made[0]?.[1].plan?.balancer.backends.map(({ name }) => name),
      ['127.0.0.1:1', '127.0.0.1:1#2'],
    );
    groups.close();
  });
});
