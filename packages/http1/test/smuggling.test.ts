/** Every row of `fixtures/h1-smuggling-open.json` against the decoder alone, whole and a byte at a time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { HeaderMap, type HttpVersion } from '@ferrata/headers';
import { normalizeTarget } from '../src/index.ts';
import { bytesOf, type Decoded, type DecodedRequest, decodeRequests, everyByte } from './decoding.ts';

type Part = string | { readonly s: string; readonly n: number } | { readonly pre: string; readonly post: string; readonly n: number };

interface Seen {
  readonly method: string;
  readonly target: string;
  readonly body: string;
  readonly host?: string;
}

interface Row {
  readonly id: string;
  readonly class: string;
  readonly why: string;
  readonly rfc: string;
  readonly expect: 'accept' | 'reject' | 'either';
  readonly prefer?: 'accept' | 'reject';
  readonly raw?: string;
  readonly parts?: readonly Part[];
  readonly sees?: readonly Seen[];
  readonly status?: number;
  readonly mustClose?: boolean;
  readonly neverServe?: string;
  readonly hangOk?: boolean;
  readonly halfClose?: boolean;
  readonly after?: number;
}

const rows = JSON.parse(readFileSync(new URL('./fixtures/h1-smuggling-open.json', import.meta.url), 'utf8')) as readonly Row[];

function rawOf(row: Row): string {
  if (row.raw !== undefined) return row.raw;
  return (row.parts ?? [])
    .map((part) => {
      if (typeof part === 'string') return part;
      if ('s' in part) return part.s.repeat(part.n);
      return Array.from({ length: part.n }, (_, i) => `${part.pre}${i}${part.post}`).join('');
    })
    .join('');
}

/** What an origin behind a proxy would see: absolute-form rewritten (RFC 9112 §3.2.2). */
function seen(message: DecodedRequest): Required<Seen> {
  const { method, target, version, headers } = message;
  const head = { method, target, version: version as HttpVersion, headers: HeaderMap.from(headers) };
  normalizeTarget(head);
  return { method, target: head.target, body: message.body, host: head.headers.get('host') ?? '' };
}

function check(row: Row, run: Decoded<DecodedRequest>): void {
  const verdict = row.expect === 'either' ? row.prefer : row.expect;
  const complete = run.messages.filter((message) => message.isComplete);
  for (const message of run.messages) assert.notEqual(message.target, row.neverServe, 'smuggled');
  if (verdict === 'reject') {
    assert.ok(run.reason !== null || row.hangOk === true, 'was accepted');
    if (row.status !== undefined) assert.equal(run.status, row.status);
    assert.equal(complete.length, row.after ?? 0);
    if (run.reason !== null) assert.ok(run.status >= 400 && run.status <= 505);
    return;
  }
  assert.equal(run.reason, null);
  assert.equal(complete.length, row.sees?.length);
  row.sees?.forEach((expected, i) => {
    const actual = seen(complete[i] as DecodedRequest);
    assert.deepEqual(expected.host === undefined ? { ...actual, host: undefined } : actual, { host: undefined, ...expected });
  });
  if (row.mustClose === true) assert.equal(complete.at(-1)?.keepAlive, false);
}

describe('requests made to be read in two ways', () => {
  it('the file has all its rows', () => assert.equal(rows.length, 153));

  for (const row of rows) {
    it(`${row.class}: ${row.id}: ${row.why} (RFC ${row.rfc})`, () => {
      const bytes = bytesOf(rawOf(row));
      const ends = row.halfClose === true;
      const whole = decodeRequests([bytes], { ends });
      check(row, whole);
      const split = decodeRequests(everyByte(bytes), { ends });
      check(row, split);
      assert.equal(split.reason, whole.reason);
    });
  }
});
