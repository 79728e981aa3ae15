import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requestHead } from '@ferrata/headers';
import { type EffectiveTarget, effectiveTarget, normalizeTarget, TargetForm } from '../src/index.ts';

describe('effectiveTarget (RFC 9112 §3.3)', () => {
  const cases: (readonly [method: string, target: string, expected: EffectiveTarget])[] = [
    ['GET', '/a?b', { form: TargetForm.origin, scheme: null, authority: 'host', path: '/a?b' }],
    ['GET', 'http://x', { form: TargetForm.absolute, scheme: 'http', authority: 'x', path: '/' }],
    ['GET', 'HTTPS://x:8/a?b', { form: TargetForm.absolute, scheme: 'https', authority: 'x:8', path: '/a?b' }],
    ['GET', 'http://x?b', { form: TargetForm.absolute, scheme: 'http', authority: 'x', path: '/?b' }],
    ['OPTIONS', 'http://x', { form: TargetForm.absolute, scheme: 'http', authority: 'x', path: '*' }],
    ['OPTIONS', 'http://x/', { form: TargetForm.absolute, scheme: 'http', authority: 'x', path: '/' }],
    ['OPTIONS', '*', { form: TargetForm.asterisk, scheme: null, authority: 'host', path: '*' }],
    ['CONNECT', 'x:443', { form: TargetForm.authority, scheme: null, authority: 'x:443', path: '' }],
    ['CONNECT', '[::1]:443', { form: TargetForm.authority, scheme: null, authority: '[::1]:443', path: '' }],
  ];
  for (const [method, target, expected] of cases) {
    it(`${method} ${target}`, () => {
      assert.deepEqual(effectiveTarget(requestHead(method, target, { headers: { Host: 'host' } })), expected);
    });
  }

  it('of an HTTP/1.0 request without Host has no authority', () => {
    assert.equal(effectiveTarget(requestHead('GET', '/')).authority, '');
  });
});

describe('normalizeTarget (RFC 9112 §3.2.2)', () => {
  it('replaces Host by the host of an absolute-form target', () => {
    const head = requestHead('GET', 'http://right:8080/p?q', { headers: { Accept: '*/*', host: 'wrong' } });
    assert.equal(normalizeTarget(head), true);
    assert.equal(head.target, '/p?q');
    assert.deepEqual(
      [...head.headers],
      [
        ['Accept', '*/*'],
        ['host', 'right:8080'],
      ],
    );
  });

  it('adds Host where an HTTP/1.0 request had none', () => {
    const head = requestHead('GET', 'http://right');
    assert.equal(normalizeTarget(head), true);
    assert.deepEqual([head.target, ...head.headers], ['/', ['Host', 'right']]);
  });

  it('leaves every other form alone', () => {
    for (const [method, target] of [
      ['GET', '/http://x/'],
      ['CONNECT', 'x:1'],
      ['OPTIONS', '*'],
    ] as const) {
      const head = requestHead(method, target, { headers: { Host: 'a' } });
      assert.equal(normalizeTarget(head), false);
      assert.deepEqual([head.target, head.headers.get('host')], [target, 'a']);
    }
  });
});
