import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { textOf, toWireError } from '../src/index.ts';

describe('textOf', () => {
  it('is the message of an error, and the text of anything else', () => {
    assert.equal(textOf(new TypeError('no')), 'no');
    assert.equal(textOf('no'), 'no');
    assert.equal(textOf(undefined), 'undefined');
    assert.equal(textOf(Symbol('no')), 'Symbol(no)');
  });

  it('never throws, whatever was thrown', () => {
    const revoked = Proxy.revocable({}, {});
    revoked.revoke();
    const mute = new Error('mute');
    Object.defineProperty(mute, 'message', {
      get(): string {
        throw new Error('no message');
      },
    });
    const odd = new Error('odd');
    Object.defineProperty(odd, 'message', { value: Object.create(null) });
    for (const thrown of [Object.create(null), revoked.proxy, mute, odd, { toString: () => ({}) }]) {
      assert.equal(textOf(thrown), 'a value without a text form');
      assert.equal(toWireError(thrown).message.includes('a value without a text form'), true);
    }
  });
});
