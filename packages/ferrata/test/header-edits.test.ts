/** Changes of fields, as texts and as what they do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeaderMap } from '@ferrata/headers';
import { applyHeaderEdits, parseHeaderEdit, parseHeaderEdits } from '../src/header-edits.ts';

function edited(lines: readonly (readonly [string, string])[], ...texts: string[]): unknown {
  const headers = new HeaderMap();
  for (const [name, value] of lines) headers.append(name, value);
  applyHeaderEdits(headers, parseHeaderEdits(texts, 'down'));
  return headers.toJSON();
}

test('a change has a sign, a name and a value without the blanks around it', () => {
  assert.deepEqual(parseHeaderEdit('X-A:  b c \t', 'up'), { kind: 'set', name: 'X-A', value: 'b c' });
  assert.deepEqual(parseHeaderEdit('+X-A: b:c', 'up'), { kind: 'append', name: 'X-A', value: 'b:c' });
  assert.deepEqual(parseHeaderEdit('-X-A', 'up'), { kind: 'remove', name: 'X-A', value: '' });
  assert.deepEqual(parseHeaderEdit('X-Empty:', 'down'), { kind: 'set', name: 'X-Empty', value: '' });
  assert.deepEqual(parseHeaderEdit('Host: a.example:81', 'up'), { kind: 'set', name: 'Host', value: 'a.example:81' });
});

test('changes are made in their order: a field stands where it stood, and lines are added behind', () => {
  const lines = [
    ['A', '1'],
    ['b', '2'],
    ['a', '3'],
  ] as const;
  assert.deepEqual(edited(lines, 'A: x'), [
    ['A', 'x'],
    ['b', '2'],
  ]);
  assert.deepEqual(edited(lines, '+B: 4', '-a', '+A: 5', '+A: 6'), [
    ['b', '2'],
    ['B', '4'],
    ['A', '5'],
    ['A', '6'],
  ]);
  assert.deepEqual(edited(lines, '+C: 1', '-C', '-never-there', 'b: 7', '-A'), [['b', '7']]);
});

test('no field of a connection or of the framing of a message can be touched in any way (RFC 9110 §7.6.1, RFC 9112 §6)', () => {
  const names = [
    'Connection',
    'keep-alive',
    'Proxy-Connection',
    'TE',
    'Trailer',
    'Transfer-Encoding',
    'Upgrade',
    'Content-Length',
    'HTTP2-Settings',
    'Expect',
    'Proxy-Authorization',
  ];
  for (const name of names)
    for (const direction of ['up', 'down'] as const)
      for (const text of [`${name}: x`, `+${name}: x`, `-${name}`, `${name.toLowerCase()}: x`])
        assert.throws(() => parseHeaderEdit(text, direction), /cannot be set or removed/, `${text} ${direction}`);
});

test('no value can end a line, or be read in two ways (RFC 9110 §5.5)', () => {
  for (let code = 0; code < 0x180; code++) {
    const isFine = code === 9 || (code >= 0x20 && code < 0x7f);
    const parse = (): unknown => parseHeaderEdit(`X-A: a${String.fromCodePoint(code)}b`, 'up');
    if (isFine) assert.doesNotThrow(parse, `U+${code.toString(16)}`);
    else assert.throws(parse, TypeError, `U+${code.toString(16)}`);
  }
});

test('of several, the one that is wrong is named', () => {
  assert.throws(
    () => parseHeaderEdits(['A: 1', 'b'], 'up'),
    /^TypeError: "b": there is no colon in it; write 'Name: value', or '-b' to remove a field$/,
  );
});
