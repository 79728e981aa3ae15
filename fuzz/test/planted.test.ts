/**
 * Faults planted into the sources as they are loaded, each a class of real holes: the targets must find every one, from the committed corpora,
 * within a number of executions that depends on no machine.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PlantedResult, PlantedRun } from './fixtures/planted-run.ts';

interface Planted extends Omit<PlantedRun, 'executions'> {
  readonly what: string;
  /** The law by which it is found. */
  readonly law: RegExp;
}

const HTTP1 = 'packages/http1/src/';
/** Executions within which each must be found. Most need some hundred, some 10 000; what changes the coverage changes the luck. */
const BOUND = 100_000;

const faults: readonly Planted[] = [
  {
    what: 'Content-Length beside Transfer-Encoding is accepted (RFC 9112 §6.1)',
    target: 'http1-request',
    file: `${HTTP1}internal/framing.ts`,
    find: "if \\(hasLength\\) throw http1Error\\('H1_CONTENT_LENGTH_AND_TRANSFER_ENCODING', side\\);",
    put: '',
    seed: 5,
    law: /one framing field|accepts what we accept/,
  },
  {
    what: 'Transfer-Encoding is obeyed in HTTP/1.0 (RFC 9112 §6.1)',
    target: 'http1-request',
    file: `${HTTP1}internal/framing.ts`,
    find: "if \\(version === HttpVersion.http10\\) throw http1Error\\('H1_TRANSFER_ENCODING_IN_HTTP10', side\\);",
    put: '',
    seed: 2,
    law: /only in HTTP\/1.1/,
  },
  {
    what: 'two Content-Length lines are accepted (RFC 9112 §6.3)',
    target: 'http1-request',
    file: `${HTTP1}internal/framing.ts`,
    find: "if \\(headers.countKnown\\(KnownHeader.contentLength\\) > 1\\) throw http1Error\\('H1_CONTENT_LENGTH_REPEATED', side\\);",
    put: '',
    law: /one framing field|accepts what we accept/,
  },
  {
    what: 'LF alone ends the line of a chunk size (CVE-2025-22871)',
    target: 'http1-chunked',
    file: `${HTTP1}internal/body-decoder.ts`,
    find: 'if \\(byte === CR\\) \\{\\s*this.#state = State.sizeFeed;',
    put: 'if (byte === CR || byte === LF) { this.#state = State.sizeFeed;',
    law: /what the grammar forbids|accepts what we accept/,
  },
  {
    what: 'any byte stands for the CR behind the data of a chunk (CVE-2025-43859)',
    target: 'http1-chunked',
    file: `${HTTP1}internal/body-decoder.ts`,
    find: "case State.dataReturn:\\s*if \\(byte !== CR\\) throw this.#error\\('H1_CHUNK_END_MISSING'\\);",
    put: 'case State.dataReturn:',
    law: /what the grammar forbids|accepts what we accept|is open/,
  },
  {
    what: 'any byte stands for the last LF of a head, as in CRLF CR X (RFC 9112 §2.2)',
    target: 'http1-request',
    file: `${HTTP1}internal/field-scanner.ts`,
    find: 'case State.lastFeed: \\{\\s*if \\(bytes\\[p\\] !== LF\\) throw [^;]*;',
    put: 'case State.lastFeed: {',
    law: /accepts what we accept|reads the same/,
  },
  {
    what: 'an answer to HEAD is read with a body (RFC 9112 §6.3)',
    target: 'http1-response',
    file: `${HTTP1}response-decoder.ts`,
    find: "method === 'HEAD'",
    put: "method === 'HEAP'",
    law: /no body to HEAD/,
  },
  {
    what: 'an answer to HEAD is sent with a body (RFC 9110 §9.3.2)',
    target: 'http1-writer',
    file: `${HTTP1}server-connection.ts`,
    find: 'const isBodyless = this.#isHeadRequest \\|\\| status === 204',
    put: 'const isBodyless = status === 204',
    law: /accepted|meant|what is valid is taken/,
  },
  {
    what: 'HTTP/1.0 gets chunks (RFC 9112 §6.1)',
    target: 'http1-exchange',
    file: `${HTTP1}server-connection.ts`,
    find: 'isHttp10 \\? BodyLength.untilClose : BodyLength.chunked',
    put: 'BodyLength.chunked',
    law: /nothing chunked/,
  },
  {
    what: 'fields that Connection names are passed on (RFC 9110 §7.6.1)',
    target: 'http1-exchange',
    file: 'packages/headers/src/hop-by-hop.ts',
    find: 'removeNominated\\(headers, options\\?.protect\\);',
    put: ';',
    law: /gets the requests that were accepted/,
  },
  {
    what: 'a reason phrase is written unchecked (response splitting)',
    target: 'http1-writer',
    file: `${HTTP1}message-writer.ts`,
    find: 'if \\(!isReasonPhrase\\(reason\\)\\) throw [^;]*;',
    put: '',
    law: /accepted|meant|is a byte/,
  },
  {
    what: 'a body may be longer than announced',
    target: 'http1-writer',
    file: `${HTTP1}internal/body-writer.ts`,
    find: 'if \\(chunk.length > this.#left\\) (?:throw [^;]*;|\\{[^}]*\\})',
    put: '',
    law: /accepted|meant/,
  },
  {
    what: 'blanks behind a chunk size are taken whether that leniency is on or not',
    target: 'http1-chunked',
    file: `${HTTP1}internal/body-decoder.ts`,
    find: 'this.#takesBlankAfterSize && this.#extension.isEmpty',
    put: 'this.#extension.isEmpty',
    law: /what the grammar forbids|accepts what we accept|reads the same/,
  },
  {
    what: 'a command that is valid ends in a crash of the engine',
    target: 'http1-writer',
    file: `${HTTP1}internal/body-writer.ts`,
    find: 'if \\(this.#isBodyless\\) return false;',
    put: 'if (this.#isBodyless) return (undefined).length;',
    law: /of ours/,
  },
  {
    what: 'a valid chunk extension is refused',
    target: 'http1-writer',
    file: `${HTTP1}chunk-writer.ts`,
    find: '!EXTENSION.test\\(extension\\)',
    put: 'true',
    law: /what is valid is taken/,
  },
  {
    what: 'h2c is passed on (RFC 9113 §3.1)',
    target: 'http1-exchange',
    file: 'packages/proxy/src/upgrade.ts',
    find: '(export function forwardedUpgrade\\([^{]*\\{)',
    put: '$1 return upgrade;',
    law: /h2c is never passed on/,
  },
  {
    what: 'a folded Content-Length is let in with other folds (RFC 9112 §5.2)',
    target: 'http1-lenient',
    file: `${HTTP1}internal/field-folds.ts`,
    find: 'if \\(id === KnownHeader\\.contentLength[^;]*H1_FIELD_FOLDED[^;]*;',
    put: '',
    law: /never folded/,
  },
];

const run = promisify(execFile);
const fixture = fileURLToPath(new URL('fixtures/planted-run.ts', import.meta.url));

/** What one process has stripped of types and compiled, the next need not: most of a fault's time is the start of a process. */
const compileCache = mkdtempSync(join(tmpdir(), 'planted-'));
// Without V8's coverage, which tells of other lines than the files have where sources are changed as they are loaded. Left out, Node hands it on.
const env = { ...process.env, NODE_V8_COVERAGE: undefined, NODE_COMPILE_CACHE: compileCache };

describe('a fault planted into the sources is found', { concurrency: 2 }, () => {
  after(() => rmSync(compileCache, { recursive: true, force: true }));

  for (const { what, law, ...planted } of faults) {
    test(what, async () => {
      const args = [fixture, JSON.stringify({ ...planted, executions: BOUND } satisfies PlantedRun)];
      const { stdout } = await run(process.execPath, args, { env });
      const result = JSON.parse(stdout) as PlantedResult;
      assert.equal(result.planted, 1, `${planted.file} has no such place any more: give the new one`);
      assert.equal(result.found.length, 1, `nothing found in ${result.executions} executions`);
      assert.match(result.found[0]?.law ?? '', law, result.found[0]?.input);
    });
  }
});
