/** Which group of origins a path belongs to, whoever reads it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { prefixProblem, RouteTable } from '../src/routes.ts';

interface Group {
  readonly name: string;
}

function table(...prefixes: string[]): RouteTable<Group> {
  return new RouteTable(prefixes.map((prefix) => [prefix, { name: prefix }] as const));
}

function found(routes: RouteTable<Group>, target: string): string | null {
  const group = routes.find(target);
  return group === null || group === 'doubtful' ? group : group.name;
}

test('the longest prefix wins, on the borders of segments', () => {
  const routes = table('/', '/api', '/api/v2', '/a');
  const expected = {
    '/': '/',
    '/x': '/',
    '/apix': '/',
    '/ap': '/',
    '/a': '/a',
    '/a/api': '/a',
    '/api': '/api',
    '/api/': '/api',
    '/api?x=/api/v2': '/api',
    '/api/x': '/api',
    '/api/v22': '/api',
    '/api/v2': '/api/v2',
    '/api/v2/deep/er': '/api/v2',
    '/API': '/',
    '*': '/',
  };
  for (const [target, prefix] of Object.entries(expected)) assert.equal(found(routes, target), prefix, target);
});

test('what no prefix takes goes nowhere, where there is no route for /', () => {
  const routes = table('/api', '/site');
  assert.deepEqual(
    ['/', '/x', '/apix', '*', '/api', '/site/x'].map((target) => found(routes, target)),
    [null, null, null, null, '/api', '/site'],
  );
});

test('with one route for everything no path is looked at', () => {
  const routes = table('/');
  for (const target of ['/../x', '//', '/%2e%2e/', '/%00', '*']) assert.equal(found(routes, target), '/', target);
});

test('a path that leads elsewhere by another reading is refused (RFC 3986 §5.2.4, §6.2.2)', () => {
  const routes = table('/', '/api', '/api/admin');
  const doubtful = [
    '/api/../admin',
    '/api/./x',
    '/api/..',
    '/..',
    '/x/%2e%2e/api',
    '/x/.%2E/api',
    '/x/%252e%252e/api',
    '/x/..;/api',
    '/x/..;jsessionid=1/api',
    '/x/%2e%2e;/api',
    '/x/..%3f/api',
    '/x%2f..%2fapi',
    '/x\\..\\api',
    '/x%5c..%5capi',
    '/%61pi',
    '/%2561pi',
    '/api%2fadmin',
    '/api%2Fadmin/x',
    '/api\\admin',
    '//api',
    '/api//admin',
    '/;x/api',
    '/api;x=1/admin',
    '/api;x',
    '/api%3fx',
    '/api/admin%00.png',
    '/x%0d%0ay',
    '/%25252561pi',
    '/x/%2525252525252e',
    // ASCII in what is no encoding of it (RFC 3629 §3).
    '/x/%u002e%u002e/api',
    '/%c1%a1pi',
    '/x/%c0%ae%c0%ae/api',
    '/%e0%80%afapi',
    '/%f0%80%80%afapi',
    // What is a parameter to the end of its segment for one reader holds a separator for another.
    '/;%2fx/api',
    '/;\\x/api',
    '/;a=b%5cx/api',
    '/%3b%252fx/api',
    '/%3b%2fx/api',
    '/api/;%252fx/admin',
    '/api;name=a%2fb',
  ];
  for (const target of doubtful) assert.equal(found(routes, target), 'doubtful', target);
});

test('a path is passed on where all readings agree, however odd it looks', () => {
  const routes = table('/', '/api', '/api/admin');
  const expected = {
    '/x//y': '/',
    '/x%2fy': '/',
    '/caf%c3%a9': '/',
    '/100%': '/',
    '/%zz': '/',
    '/wayback/http://example.com/api': '/',
    '/api/http://example.com/': '/api',
    '/api/group%2fproject': '/api',
    '/api/x;v=1': '/api',
    '/api/x;v=1/y%2fz;w=%c3%a9': '/api',
    '/api/%e2%82%ac/%f0%9f%98%80/%C0': '/api',
    '/api/%e0%a4%b9%e1%ba%bf%d0%80%f0%90%80%80': '/api',
    '/api/%u0142': '/api',
    '/api/...': '/api',
    '/api/.well-known': '/api',
    '/api/a..b': '/api',
    '/api/admin//x%2f%61': '/api/admin',
    '/api?q=../..//%2e%2e': '/api',
  };
  for (const [target, prefix] of Object.entries(expected)) assert.equal(found(routes, target), prefix, target);
});

test('every character beyond ASCII may be in a path, as UTF-8 in its encoding', () => {
  const routes = table('/', '/api');
  for (let code = 0x80; code <= 0x10_ffff; code += 7) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const target = `/api/${encodeURIComponent(String.fromCodePoint(code))}`;
    if (found(routes, target) !== '/api') assert.fail(target);
  }
});

/** How origins read paths: each habit by itself. */
const habits: readonly ((path: string) => string)[] = [
  (path) => path.replaceAll(/%(2f|5c|2e|61|62|25|3b)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  (path) => path.replaceAll(/%(2e|61|62)/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
  (path) => path.replaceAll(/%3b/gi, ';'),
  (path) => path.replaceAll('\\', '/'),
  (path) => path.replaceAll(/\/{2,}/g, '/'),
  (path) => path.replaceAll(/;[^/]*/g, ''),
  resolved,
];

/** Dot segments as RFC 3986 §5.2.4 removes them. */
function resolved(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split('/').slice(1)) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

test('no origin can be reached by a path that, read by any three of the habits of origins in any order, belongs to another', () => {
  const routes = table('/', '/a', '/a/b');
  const pieces = ['/', 'a', 'b', '.', '..', '%2f', '%2E', '%61', '%25', '2e', ';', '\\', '%5c'];
  let passed = 0;
  const check = (target: string): void => {
    const group = found(routes, target);
    if (group === 'doubtful') return;
    passed++;
    for (const first of habits) {
      const once = first(target);
      for (const second of habits) {
        const twice = second(once);
        for (const third of habits) {
          const reading = third(twice);
          assert.equal(plainly(reading), group, `${target} read as ${reading}`);
        }
      }
    }
  };
  const build = (target: string, left: number): void => {
    check(target);
    if (left > 0) for (const piece of pieces) build(target + piece, left - 1);
  };
  build('/', 3);
  for (const start of ['/a/', '/a/b', '//a', '/x/']) build(start, 3);
  for (const start of ['/;%2fx', '/;%252fx', '/;\\x', '/%3b%5cx', '/a/;%2fx']) build(start, 2);
  assert.ok(passed > 1_000, `${passed} paths were passed on`);
});

/** The group of a path by its first segments, and nothing else. */
function plainly(path: string): string {
  if (path === '/a/b' || path.startsWith('/a/b/')) return '/a/b';
  return path === '/a' || path.startsWith('/a/') ? '/a' : '/';
}

test('what is no prefix is told why', () => {
  for (const prefix of ['/', '/api', '/api/v1.2', '/~user', '/a:b@c', '/...']) assert.equal(prefixProblem(prefix), null, prefix);
  const wrong = {
    '': /begins with a slash/,
    api: /begins with a slash/,
    '/api/': /write \/api$/,
    '//': /write \/$/,
    '/a//b': /empty segments/,
    '/a/../b': /\. or \.\./,
    '/.': /\. or \.\./,
    '/a%2fb': /without %/,
    '/a;b': /without %/,
    '/a?b': /without %/,
    '/a#b': /plain ASCII/,
    '/a b': /plain ASCII/,
    '/é': /plain ASCII/,
    '/a\\b': /backslash/,
    '/api/*': /all that lies below; write \/api$/,
    '/*': /write \/$/,
    '/a*': /write \/a$/,
  };
  for (const [prefix, says] of Object.entries(wrong)) assert.match(prefixProblem(prefix) ?? '', says, prefix);
  assert.throws(() => table('api'), TypeError);
  assert.throws(() => table('/api', '/api'), TypeError);
  assert.throws(() => table(), RangeError);
});
