import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { HeaderMap, isInKnownHeaderSet, KnownHeader, knownHeaderSet, knownName, wellKnownId } from '../src/index.ts';

/** The twin: a list of pairs, searched from the start every time. */
interface Twin {
  lines: (readonly [name: string, value: string])[];
}

type Step = fc.Command<Twin, HeaderMap>;

function isNamed(name: string): (line: readonly [string, string]) => boolean {
  return (line) => line[0].toLowerCase() === name.toLowerCase();
}

/** After every step all that can be asked must be answered alike. */
function compare(twin: Twin, headers: HeaderMap): void {
  assert.deepEqual([...headers], twin.lines);
  assert.equal(headers.size, twin.lines.length);
  for (const name of names) {
    const values = twin.lines.filter(isNamed(name)).map(([, value]) => value);
    assert.equal(headers.get(name), values[0]);
    assert.deepEqual(headers.getAll(name), values);
    assert.equal(headers.count(name), values.length);
    assert.equal(headers.has(name), values.length > 0);
    const isSetCookie = name.toLowerCase() === 'set-cookie';
    assert.equal(headers.combined(name), values.length === 0 ? undefined : isSetCookie ? values[0] : values.join(', '));
    const id = wellKnownId(name);
    if (id === 0) continue;
    assert.equal(headers.hasKnown(id), values.length > 0);
    assert.equal(headers.getKnown(id), values[0]);
    assert.equal(headers.countKnown(id), values.length);
    assert.equal(headers.indexOfKnown(id), twin.lines.findIndex(isNamed(name)));
  }
}

function step(text: string, onTwin: (twin: Twin) => void, onMap: (headers: HeaderMap) => void): Step {
  return {
    check: () => true,
    run(twin, headers) {
      onTwin(twin);
      onMap(headers);
      compare(twin, headers);
    },
    toString: () => text,
  };
}

const names = [
  'Host',
  'host',
  'Cookie',
  'set-cookie',
  'Vary',
  'AUTHORIZATION',
  'TE',
  '__proto__',
  'constructor',
  'X-a',
  'x-A',
  '7',
] as const;
const name = fc.constantFrom(...names);
const value = fc.constantFrom('', '1', '2', 'a, b');
const known = fc.constantFrom(KnownHeader.host, KnownHeader.cookie, KnownHeader.setCookie, KnownHeader.authorization, KnownHeader.te);
const canonical: ReadonlyMap<KnownHeader, string> = new Map([
  [KnownHeader.host, 'Host'],
  [KnownHeader.cookie, 'Cookie'],
  [KnownHeader.setCookie, 'Set-Cookie'],
  [KnownHeader.authorization, 'Authorization'],
  [KnownHeader.te, 'TE'],
]);

function setIn(twin: Twin, newName: string, newValue: string): void {
  const first = twin.lines.findIndex(isNamed(newName));
  if (first < 0) twin.lines.push([newName, newValue]);
  else twin.lines = twin.lines.flatMap((line, i) => (i === first ? [[line[0], newValue] as const] : isNamed(newName)(line) ? [] : [line]));
}

function removeFrom(twin: Twin, isGone: (line: readonly [string, string]) => boolean): number {
  const before = twin.lines.length;
  twin.lines = twin.lines.filter((line) => !isGone(line));
  return before - twin.lines.length;
}

/** A removal must also report the same number. */
function removal(text: string, isGone: (line: readonly [string, string]) => boolean, onMap: (headers: HeaderMap) => number): Step {
  let removed = 0;
  return step(
    text,
    (twin) => {
      removed = removeFrom(twin, isGone);
    },
    (headers) => assert.equal(onMap(headers), removed),
  );
}

const commands: fc.Arbitrary<Step>[] = [
  fc.tuple(name, value).map(([n, v]) =>
    step(
      `append(${n}, ${v})`,
      (twin) => twin.lines.push([n, v]),
      (headers) => headers.append(n, v),
    ),
  ),
  fc.tuple(name, value).map(([n, v]) =>
    step(
      `appendTrusted(${n}, ${v})`,
      (twin) => twin.lines.push([n, v]),
      (headers) => headers.appendTrusted(n, wellKnownId(n), v),
    ),
  ),
  fc.tuple(known, value).map(([id, v]) =>
    step(
      `appendKnown(${id}, ${v})`,
      (twin) => twin.lines.push([canonical.get(id) as string, v]),
      (headers) => headers.appendKnown(id, v),
    ),
  ),
  fc.tuple(name, value).map(([n, v]) =>
    step(
      `set(${n}, ${v})`,
      (twin) => setIn(twin, n, v),
      (headers) => headers.set(n, v),
    ),
  ),
  fc.tuple(known, value).map(([id, v]) =>
    step(
      `setKnown(${id}, ${v})`,
      (twin) => setIn(twin, canonical.get(id) as string, v),
      (headers) => headers.setKnown(id, v),
    ),
  ),
  name.map((n) => removal(`delete(${n})`, isNamed(n), (headers) => headers.delete(n))),
  known.map((id) => removal(`deleteKnown(${id})`, isNamed(knownName(id)), (headers) => headers.deleteKnown(id))),
  fc.subarray([...canonical.keys()]).map((ids) => {
    const set = knownHeaderSet(...ids);
    return removal(
      `deleteAnyOf(${ids.join()})`,
      ([n]) => isInKnownHeaderSet(set, wellKnownId(n)),
      (headers) => headers.deleteAnyOf(set),
    );
  }),
  value.map((v) =>
    removal(
      `deleteWhere(value ${v})`,
      (line) => line[1] === v,
      (headers) => headers.deleteWhere((_name, one) => one === v),
    ),
  ),
  fc.integer({ min: 1, max: 30 }).map((count) =>
    step(
      `fill(${count})`,
      (twin) => {
        for (let i = 0; i < count; i++) twin.lines.push([`x-${i}`, String(i)]);
      },
      (headers) => {
        for (let i = 0; i < count; i++) headers.append(`x-${i}`, String(i));
      },
    ),
  ),
  fc.constant(
    step(
      'clear',
      (twin) => twin.lines.splice(0),
      (headers) => headers.clear(),
    ),
  ),
  fc.constant(
    step(
      'clone',
      () => undefined,
      (headers) => {
        const copy = headers.clone();
        assert.deepEqual([...copy], [...headers]);
        copy.append('Host', 'only in the copy').delete('cookie');
      },
    ),
  ),
];

describe('HeaderMap against a list of pairs', () => {
  it('answers every question alike after any commands', () => {
    fc.assert(
      fc.property(fc.commands(commands, { size: '+1', maxCommands: 60 }), (steps) => {
        fc.modelRun(() => ({ model: { lines: [] }, real: new HeaderMap() }), steps);
      }),
      { numRuns: 200 },
    );
  });
});
