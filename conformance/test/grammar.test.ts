import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { readsChunkSize, readsExtension, reasonFor } from '../http1-grammar/questions.ts';
import { byteQuestions, GRAMMARS, methodQuestions } from '../http1-grammar/tables.ts';
import { readLlhttpCases } from '../http1-llhttp/cases.ts';
import { decodeCase } from '../http1-llhttp/decode.ts';
import { AGREEING_LENIENCIES, ALL_LENIENCIES } from '../http1-llhttp/leniencies.ts';

describe("the tables of llhttp's grammar", () => {
  const questions = GRAMMARS.flatMap((grammar) => [...byteQuestions(grammar), ...methodQuestions(grammar)]);
  const ofTable = (table: string): typeof questions => questions.filter(({ id }) => id.split('/')[1] === table);

  test('are asked for each byte, each under an id of its own', () => {
    assert.equal(new Set(questions.map(({ id }) => id)).size, questions.length);
    for (const table of ['name', 'value', 'target', 'chunk-size', 'content-length', 'minor-version', 'major-version']) {
      assert.equal(ofTable(table).length, 2 * 256, table);
    }
    assert.equal(ofTable('quoted').length, 256);
    assert.deepEqual(
      GRAMMARS.map((grammar) => [methodQuestions(grammar).length, grammar.specialFields.length]),
      [
        [34, 5],
        [36, 5],
      ],
    );
  });

  test('say yes to some bytes and no to others, so that one answer for all would be found', () => {
    for (const table of ['name', 'value', 'target', 'content-length', 'minor-version', 'major-version']) {
      const answers = new Set(ofTable(table).map(({ theirs }) => theirs));
      assert.ok(answers.has(true) && answers.has(false), table);
    }
    assert.equal(ofTable('chunk-size').filter(({ theirs }) => theirs !== null).length, 2 * 22);
  });

  test('are put to a decoder that says why, and how long a chunk is', () => {
    assert.equal(reasonFor('GET / HTTP/1.1\r\nHost: a\r\n\r\n'), null);
    assert.equal(reasonFor('GET / HTTP/1.1\r\n\r\n'), 'H1_HOST_MISSING');
    assert.equal(reasonFor('GET / HTTP/1.1\r\n'), 'not a whole head');
    assert.deepEqual(['0', '9', 'a', 'F', 'g', '+', ' '].map(readsChunkSize), [0, 9, 10, 15, null, null, null]);
    assert.deepEqual(['a', 'a="b"', 'a="', 'a="\n"'].map(readsExtension), [true, true, false, false]);
  });
});

describe("llhttp's cases", () => {
  const cases = readLlhttpCases();

  test('are all there', () => {
    assert.equal(cases.length, 272);
    assert.equal(cases.filter(({ lenient }) => lenient.length > 0).length, 37);
  });

  test('that a leniency of ours covers are refused, or read otherwise, without it', () => {
    for (const [id, options] of AGREEING_LENIENCIES) {
      const one = cases.find((candidate) => candidate.id === id);
      assert.ok(one !== undefined, id);
      assert.notDeepEqual(decodeCase(one, Number.POSITIVE_INFINITY), decodeCase(one, Number.POSITIVE_INFINITY, options), id);
    }
  });

  test('are decoded with every leniency there is', () => {
    for (const options of [ALL_LENIENCIES.request, ALL_LENIENCIES.response]) {
      assert.ok(Object.values(options?.leniency ?? {}).every((isOn) => isOn === true));
    }
  });
});
