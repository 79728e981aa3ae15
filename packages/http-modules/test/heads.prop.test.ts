/** The modules of this package in one chain: what HEAD says is what GET says, and what GET brings is what its head says (RFC 9110 §9.3.2, §8.4, §14). */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { HeaderMap, responseHead } from '@ferrata/headers';
import { respond } from '@ferrata/http';
import {
  compression,
  conditionals,
  cors,
  type HttpModuleKind,
  ranges,
  replaceBytes,
  rewriteBody,
  withModules,
} from '@ferrata/http-modules';
import fc from 'fast-check';
import { type Answer, answering, ask, bytes, moduleOptions } from './rig.ts';

const SITE = 'https://site.example';
const REWRITING = 1;
/** In any order, as they are sorted by the chain. */
const KINDS: readonly (() => HttpModuleKind)[] = [
  () => compression({ decompress: true }),
  () => rewriteBody({ direction: 'response', transform: replaceBytes('a', 'AA') }),
  () => ranges({ boundary: () => 'B' }),
  () => conditionals(),
  () => cors({ origins: [SITE], credentials: true }),
];

/** Fields, each with one of some values, or absent. */
function fieldsOf(values: Readonly<Record<string, readonly string[]>>): fc.Arbitrary<Readonly<Record<string, string>>> {
  const drawn = Object.entries(values).map(([name, some]) => fc.option(fc.constantFrom(...some).map((value) => [name, value] as const)));
  return fc.tuple(...drawn).map((fields) => Object.fromEntries(fields.filter((field) => field !== null)));
}

const asked = fieldsOf({
  'Accept-Encoding': ['gzip', 'br', 'identity', '*;q=0'],
  Range: ['bytes=0-1', 'bytes=2-3,5-6', 'bytes=9999-'],
  'If-Range': ['"x"', 'W/"x"'],
  'If-None-Match': ['"x"', 'W/"x"', '"y"'],
  'If-Match': ['"x"', 'W/"x"'],
  Origin: [SITE, 'null'],
});
const answered = fieldsOf({
  ETag: ['"x"', 'W/"x"', 'broken'],
  'Content-Type': ['text/html', 'image/png'],
  'Content-Encoding': ['gzip', 'identity'],
  Vary: ['*', 'Accept'],
  'Cache-Control': ['no-transform', 'max-age=1'],
});

/** What both answers say; how long they are may be left out of one (RFC 9110 §9.3.2). */
function told({ status, headers, error }: Answer): unknown {
  return [status, error, headers.toJSON().filter(([name]) => !/^(?:content-length|transfer-encoding)$/i.test(name))];
}

function decoded({ headers, body }: Answer): string {
  const coding = headers.get('content-encoding');
  const coded = bytes(body);
  if (coding === 'gzip') return gunzipSync(coded).toString();
  return coding === 'br' ? brotliDecompressSync(coded).toString() : body;
}

describe('all modules in one chain', () => {
  it('say the same to HEAD and to GET, and their bodies are what their heads say', async () => {
    await fc.assert(
      fc.asyncProperty(
        asked,
        answered,
        fc.constantFrom(0, 1, 10, 255, 256, 5_000),
        fc.subarray([...KINDS.keys()]),
        fc.boolean(),
        async (fields, has, length, chosen, isLengthKnown) => {
          const page = 'abc'.repeat(2_000).slice(0, length);
          const isCoded = has['Content-Encoding'] === 'gzip';
          const sent = isCoded ? new Uint8Array(gzipSync(page)) : bytes(page);
          const application = answering((exchange) => {
            if (isLengthKnown) {
              respond(exchange, 200, { headers: { ...has, 'Content-Length': `${sent.length}` }, body: sent });
              return;
            }
            exchange.sendHead(responseHead(200, { headers: HeaderMap.from(has) }), -1);
            exchange.sendData(sent);
            exchange.sendEnd();
          });
          const kinds = chosen.map((index) => KINDS[index]?.() ?? assert.fail());
          const modular = withModules(application, kinds, moduleOptions());
          const get = await ask(modular, 'http1', { fields });
          const head = await ask(modular, 'http1', { method: 'HEAD', fields });
          assert.deepEqual(told(head), told(get));
          const announced = head.headers.get('content-length');
          if (announced !== undefined) assert.equal(announced, get.headers.get('content-length'));
          const whole = chosen.includes(REWRITING) && !isCoded ? page.replaceAll('a', 'AA') : page;
          if (get.status === 200) assert.equal(decoded(get), whole);
          if (get.status === 206 && fields['Range'] === 'bytes=0-1') assert.deepEqual(bytes(get.body), sent.subarray(0, 2));
          if (get.status === 304 || get.status >= 400) assert.equal(get.body, '');
        },
      ),
      { numRuns: 300 },
    );
  });
});
