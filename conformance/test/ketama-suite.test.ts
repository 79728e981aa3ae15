/** The suite that compares the ring with nginx: its command line, and that its vectors hold what is hard to hit by chance. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

interface Vectors {
  readonly keys: readonly string[];
  readonly rings: readonly {
    readonly id: string;
    readonly tries: number;
    readonly servers: readonly { readonly address: string }[];
    readonly answers: readonly (readonly number[])[];
  }[];
}

const suite = new URL('../ketama/', import.meta.url);
const { keys, rings } = JSON.parse(readFileSync(new URL('fixtures/vectors.json', suite), 'utf8')) as Vectors;

/** By key: the addresses that nginx tried. */
function answersOf(ring: string): ReadonlyMap<string, readonly string[]> {
  const { servers = [], answers = [] } = rings.find(({ id }) => id === ring) ?? {};
  return new Map(answers.map((places, index) => [keys[index] ?? '', places.map((place) => servers[place]?.address ?? '')]));
}

test('its vectors hold a key of a point that two servers share, in both orders of the two', () => {
  const key = 'tie-1502110317-5593';
  assert.deepEqual(answersOf('many').get(key), ['127.70.0.18:8080']);
  assert.deepEqual(answersOf('many-reversed').get(key), ['127.70.2.186:8080']);
});

test('its vectors hold fail-over among repeated addresses, and host names', () => {
  const tried = [...answersOf('duplicates-fail-over').values()];
  assert.ok(tried.some(([first, second, third]) => first === second && second === third));
  assert.ok(tried.every((addresses) => addresses.length === 4 && new Set(addresses).size > 1));
  const named = new Set([...answersOf('host-names').values()].flat());
  for (const address of ['localhost', 'localhost:8080', 'LocalHost:8090']) assert.ok(named.has(address), address);
});

test('a wrong command line of its is answered in one sentence and with 2, --help with the usage and 0', () => {
  const run = (...args: readonly string[]): readonly [number | null, string, string] => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [fileURLToPath(new URL('run.ts', suite)), ...args], {
      encoding: 'utf8',
    });
    return [status, stdout, stderr];
  };
  assert.deepEqual(run('--seed', 'abc'), [2, '', '--seed takes a whole number of at most 15 digits, not "abc"\n']);
  for (const args of [['--seed'], ['--seed', '-1'], ['--json', 'x'], ['x']]) {
    const [code, output, errors] = run(...args);
    assert.deepEqual([code, output], [2, ''], args.join(' '));
    assert.match(errors, /^[^\n]+; --help lists the options\n$/);
  }
  const [code, output] = run('--help');
  assert.equal(code, 0);
  assert.match(output, /^usage: .*--seed N/);
});
