/** The suite that talks with ws: that it can fail, and its command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { converse, type Interference, type Message, ROLES, VARIANTS, type Variant } from '../websocket/conversation.ts';

const [plain] = VARIANTS as readonly [Variant, ...Variant[]];
const SEED = 7;

/** Changes the message of this number, from 0. */
function at(place: number, change: (message: Message) => Message | null): (message: Message) => Message | null {
  let count = 0;
  return (message) => (count++ === place ? change(message) : message);
}

describe('a conversation with ws', () => {
  for (const role of ROLES) {
    test(`passes where nobody interferes: we are the ${role}`, async () => {
      for (const variant of VARIANTS) assert.equal(await converse(role, variant, SEED), null, variant.name);
    });

    test(`fails for what is lost, changed, of another kind, or ended otherwise: we are the ${role}`, async () => {
      const wrong: [string, Interference, RegExp][] = [
        ['a message is lost', { change: at(0, () => null) }, /^we heard \d+ messages of \d+/],
        [
          'a message has another end',
          { change: at(0, (message) => (typeof message === 'string' ? `${message}x` : new Uint8Array(7))) },
          /^we heard/,
        ],
        ['bytes became text', { change: at(0, (message) => (typeof message === 'string' ? Buffer.from(message) : 'text')) }, /^we heard/],
        ['another code ends it', { closeCode: 4_999 }, /^closed with 4999, not/],
        ['nobody answers in time', { timeLimitMs: 0 }, /^ws heard \d+ of \d+ messages$|^no end$/],
      ];
      for (const [what, interference, problem] of wrong) {
        assert.match((await converse(role, plain, SEED, interference)) ?? 'passed', problem, what);
      }
    });
  }
});

test('a wrong command line ends with 2 and one sentence', () => {
  const run = fileURLToPath(new URL('../websocket/run.ts', import.meta.url));
  for (const [args, sentence] of [
    [['--seed', 'x'], /^--seed must be a whole number/],
    [['--conversations', '1001'], /^--conversations must be a whole number up to 1000/],
    [['--nonsense'], /nonsense/],
  ] as const) {
    const { status, stderr } = spawnSync(process.execPath, [run, ...args], { encoding: 'utf8' });
    assert.equal(status, 2);
    assert.match(stderr, sentence);
  }
});
