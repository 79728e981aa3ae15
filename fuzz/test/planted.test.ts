/**
 * Faults planted into the sources as they are loaded, each a class of real holes: the targets must find every one, from the committed corpora,
 * within a number of executions that depends on no machine.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { PlantedResult, PlantedRun } from './fixtures/planted-run.ts';

interface Planted extends Omit<PlantedRun, 'executions'> {
  readonly what: string;
  /** The law by which it is found. */
  readonly law: RegExp;
}

const HTTP1 = 'packages/http1/src/';
const HTTP2 = 'packages/http2/src/';
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
  {
    what: 'the padding of cut DATA may be longer than its frame (RFC 9113 §6.1)',
    target: 'http2-frames',
    file: 'packages/http2-framing/src/frame-decoder.ts',
    find: "if \\(this.#padding > this.#leftBytes\\) this.#fail\\('H2_PADDING_TOO_LONG'\\);",
    put: '',
    law: /LawFailure/,
  },
  {
    what: 'another frame comes between those of a field block (RFC 9113 §6.10)',
    target: 'http2-frames',
    file: 'packages/http2-framing/src/internal/field-block.ts',
    find: "if \\(type !== FrameType.continuation \\|\\| streamId !== this.streamId\\) return 'H2_CONTINUATION_EXPECTED';",
    put: '',
    law: /AssertionError|LawFailure/,
  },
  {
    what: 'a wrong checksum of a PROXY header is accepted (specification §2.2.4)',
    target: 'proxy-header',
    file: 'packages/proxy-protocol/src/internal/read-binary.ts',
    find: '\\|\\| !isChecksumOf\\(bytes, valueAt, value\\)',
    put: '',
    law: /a checksum is of these bytes/,
  },
  {
    what: 'LF alone ends a line of PROXY version 1 (specification §2.1)',
    target: 'proxy-header',
    file: 'packages/proxy-protocol/src/proxy-header-decoder.ts',
    find: "if \\(isAfterReturn !== \\(byte === lineFeed\\)\\) throw proxyHeaderError\\('PROXY_V1_LINE_END'\\);",
    put: '',
    law: /a line has one end/,
  },
  {
    what: 'a text message may end within a character (RFC 6455 §8.1)',
    target: 'websocket',
    file: 'packages/websocket/src/internal/message-in.ts',
    find: 'if \\(this\\.#kind === MessageKind\\.text && !this\\.#validator\\.isComplete\\(\\)\\) throw notText\\(\\);',
    put: '',
    law: /text is UTF-8/,
  },
  {
    what: 'the size of a message is judged frame by frame (RFC 6455 §10.4)',
    target: 'websocket',
    file: 'packages/websocket/src/internal/message-in.ts',
    find: 'this\\.#byteLength \\+= payloadLength;',
    put: 'this.#byteLength = payloadLength;',
    law: /messages within the limit|bounded memory/,
  },
  {
    what: 'a field block may take more table than was allowed (RFC 7541 §4.2)',
    target: 'hpack',
    file: 'packages/hpack/src/hpack-decoder.ts',
    find: "if \\(bytes > this.#maxTableBytes\\) this.#fail\\('HPACK_TABLE_UPDATE_TOO_LARGE'\\);",
    put: '',
    law: /bounded memory|hpack\.js accepts/,
  },
  {
    what: 'DATA is sent beyond the window of its stream (RFC 9113 §6.9)',
    target: 'http2-connection',
    file: `${HTTP2}internal/sender.ts`,
    find: 'const window = Math\\.min\\(stream\\.sendWindow, core\\.sendWindow\\);',
    put: 'const window = core.sendWindow;',
    law: /window of the stream/,
  },
  {
    what: 'a smaller SETTINGS_INITIAL_WINDOW_SIZE does not hold for open streams (RFC 9113 §6.9.2)',
    target: 'http2-connection',
    file: `${HTTP2}internal/receiver.ts`,
    find: 'stream\\.sendWindow \\+= difference;',
    put: 'stream.sendWindow += Math.max(0, difference);',
    law: /window of the stream/,
  },
  {
    what: 'DATA beyond our windows is taken (RFC 9113 §6.9.1)',
    target: 'http2-connection',
    file: `${HTTP2}flow-window.ts`,
    find: 'if \\(length > this\\.available\\) return false;',
    put: '',
    law: /is refused/,
  },
  {
    what: 'more streams are open than allowed (RFC 9113 §5.1.2)',
    target: 'http2-connection',
    file: `${HTTP2}internal/heads-in.ts`,
    find: 'table\\.openCount >= options\\.maxConcurrentStreams \\|\\| ',
    put: '',
    law: /no more streams than allowed/,
  },
  {
    what: 'a body shorter than its Content-Length is called whole (RFC 9113 §8.1.1)',
    target: 'http2-connection',
    file: `${HTTP2}internal/body-in.ts`,
    find: 'stream\\.receivedBytes !== stream\\.receiveLength',
    put: 'stream.receivedBytes > stream.receiveLength',
    law: /has the length it was given/,
  },
  {
    what: 'pieces that wait for a slow reader overwrite each other',
    target: 'http2-connection',
    file: `${HTTP2}internal/body-in.ts`,
    find: 'last\\.set\\(bytes\\.subarray\\(at, at \\+ count\\), stream\\.heldTail\\);',
    put: 'last.set(bytes.subarray(at, at + count), 0);',
    law: /a body is what was sent|split/,
  },
  {
    what: 'END_STREAM is on the DATA before trailers, which are lost (RFC 9113 §8.1)',
    target: 'http2-connection',
    file: `${HTTP2}internal/sender.ts`,
    find: 'const endsStream = isLast && stream\\.trailers === null;',
    put: 'const endsStream = isLast;',
    law: /every block goes out before the end/,
  },
  {
    what: 'a response follows the last GOAWAY (RFC 9113 §5.4.1)',
    target: 'http2-connection',
    file: `${HTTP2}connection.ts`,
    find: 'if \\(stream\\.isClosed \\|\\| this\\.#core\\.isOver\\) return false;',
    put: 'if (stream.isClosed) return false;',
    law: /nothing follows the last GOAWAY/,
  },
  {
    what: 'each frame on a stream that was reset is answered with RST_STREAM (RFC 9113 §5.1)',
    target: 'http2-connection',
    file: `${HTTP2}internal/stream-table.ts`,
    find: 'closed\\[place & \\(closed\\.length - 1\\)\\] = byte;',
    put: 'if (closed[place & (closed.length - 1)] === 0) closed[place & (closed.length - 1)] = byte;',
    law: /reset once/,
  },
  {
    what: 'bytes of streams that are gone are counted on',
    target: 'http2-connection',
    file: `${HTTP2}internal/stream-table.ts`,
    find: 'this\\.queuedBytes -= stream\\.queuedBytes;',
    put: '',
    law: /bytes that wait are those of the streams/,
  },
  {
    what: 'the last stream of GOAWAY rises (RFC 9113 §6.8)',
    target: 'http2-connection',
    file: `${HTTP2}internal/core.ts`,
    find: 'Math\\.min\\(sentLastId, highestId\\) : highestId',
    put: 'highestId : highestId',
    law: /never rises/,
  },
  {
    what: 'a change of the header table is not told (RFC 7541 §4.2)',
    target: 'http2-connection',
    file: 'packages/hpack/src/hpack-encoder.ts',
    find: 'if \\(this\\.#owedTableBytes === NOTHING_OWED\\) return;',
    put: 'return;',
    law: /reads our blocks/,
  },
  {
    what: 'padding is handed on as content (RFC 9113 §6.1)',
    target: 'http2-connection',
    file: 'packages/http2-framing/src/frame-decoder.ts',
    find: 'const dataCount = Math\\.min\\(count, Math\\.max\\(0, left - this\\.#padding\\)\\);',
    put: 'const dataCount = count;',
    law: /a body is what was sent|has the length it was given|RangeError/,
  },
  {
    what: 'an idle connection is never closed',
    target: 'http2-connection',
    file: `${HTTP2}internal/deadlines.ts`,
    find: 'if \\(now >= table\\.idleSince \\+ options\\.idleTimeoutMs\\) \\{',
    put: 'if (now < 0) {',
    law: /ends by itself|come to an end/,
  },
];

const run = promisify(execFile);
const fixture = fileURLToPath(new URL('fixtures/planted-run.ts', import.meta.url));

describe('a fault planted into the sources is found', { concurrency: 2 }, () => {
  // Without V8's coverage, which tells of other lines than the files have where sources are changed as they are loaded. Left out, Node hands it on.
  const env: NodeJS.ProcessEnv = { ...process.env, NODE_V8_COVERAGE: undefined };

  // What one process has stripped of types and compiled, the next need not: most of a fault's time is the start of a process.
  before(() => void (env['NODE_COMPILE_CACHE'] = mkdtempSync(join(tmpdir(), 'planted-'))));
  after(() => rmSync(env['NODE_COMPILE_CACHE'] ?? '', { recursive: true, force: true }));

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
