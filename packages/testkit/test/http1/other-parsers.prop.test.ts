/**
 * The decoders of HTTP/1 beside three others: llhttp 9.3 (undici's WebAssembly), llhttp 9.4 (in Node) and the naive reader.
 *
 * Ours is the strictest, so it may refuse what another takes, but what it takes each of them must take too, and read the same.
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes, latin1Decode, latin1Encode } from '@ferrata/bytes';
import fc from 'fast-check';
import {
  type CodecUnderTest,
  type Comparison,
  differential,
  type Http1Event,
  http1Pipelines,
  http1RequestCodec,
  http1ResponseCodec,
  type KnownDifference,
  LlhttpOracle,
  type NaiveMessage,
  NodeParserOracle,
  naiveHttp1,
  naiveHttp1Responses,
  nearMisses,
  type OracleMessage,
  type OracleOptions,
  type OracleResult,
  transcribe,
} from '../../src/index.ts';

type Http1Comparison = Comparison<Uint8Array, OracleResult, OracleResult>;
type Difference = KnownDifference<Uint8Array, OracleResult, OracleResult>;

const llhttp = new LlhttpOracle();
const node = new NodeParserOracle();

/** What our decoder read, told as the others tell it. */
function readOurs<Meaning>(codec: CodecUnderTest<Http1Event, Meaning>, bytes: Uint8Array): OracleResult {
  const { events, error } = transcribe(codec, [bytes]);
  const messages: OracleMessage[] = [];
  for (const event of events) {
    const message = messages.at(-1);
    if (event.kind === 'head') {
      const [start = '', rest = '', minor = ''] = /^(\S+) (.*) (\d)$/.exec(event.startLine)?.slice(1) ?? [];
      const fields = event.fields.map(([name, value]) => `${name}: ${value}`);
      // An interim response has no end of its own.
      const isComplete = /^1\d\d$/.test(start);
      messages.push({ start, rest, version: `1.${minor}`, fields, trailers: [], body: '', keepAlive: event.keepAlive, isComplete });
    } else if (message !== undefined) {
      if (event.kind === 'data') messages[messages.length - 1] = { ...message, body: message.body + latin1Decode(event.data) };
      else
        messages[messages.length - 1] = {
          ...message,
          trailers: event.trailers.map(([name, value]) => `${name}: ${value}`),
          isComplete: true,
        };
    }
  }
  return { messages, error };
}

function readNaively(
  { messages, verdict }: { readonly messages: readonly NaiveMessage[]; readonly verdict: string },
  startOf: (index: number) => readonly [start: string, rest: string],
): OracleResult {
  return {
    messages: messages.map(({ minorVersion, fields, trailers, body }, index) => {
      const [start, rest] = startOf(index);
      const lines = (list: NaiveMessage['fields']): string[] => list.map(([name, value]) => `${name}: ${value}`);
      return {
        start,
        rest,
        version: `1.${minorVersion}`,
        fields: lines(fields),
        trailers: lines(trailers),
        body,
        keepAlive: true,
        isComplete: true,
      };
    }),
    error: verdict === 'whole' ? null : verdict,
  };
}

/** What we take they take, and the same; what we refuse is not their matter. */
function compare({ ours, theirs, reader }: Http1Comparison, tellsKeepAlive = true): void {
  const knowsKeepAlive = tellsKeepAlive && reader !== 'naive';
  for (const [index, mine] of ours.messages.entries()) {
    const other = theirs.messages[index];
    if (!mine.isComplete) break;
    assert.ok(other !== undefined, `message ${index} is not there: ${theirs.error}`);
    assert.deepEqual(plain(other, knowsKeepAlive), plain(mine, knowsKeepAlive), `message ${index}, ${theirs.error}`);
    assert.deepEqual(
      mine.trailers.filter((line) => !other.trailers.includes(line)),
      [],
      `trailers of message ${index}`,
    );
    // What follows is nobody's request any more; llhttp calls it an error.
    if (!mine.keepAlive) return;
  }
  if (ours.error === null) assert.deepEqual([theirs.messages.length, theirs.error], [ours.messages.length, null]);
}

/** Any 1.x above 1.0 is 1.1 (RFC 9110 §2.5). */
function plain({ start, rest, version, fields, body, keepAlive, isComplete }: OracleMessage, knowsKeepAlive: boolean): object {
  return { start, rest, fields, body, isComplete, isOld: version === '1.0', ...(knowsKeepAlive ? { keepAlive } : {}) };
}

const LLHTTP = ['llhttp', 'node'];
const LLHTTP_METHODS = new Set(
  (
    'DELETE GET HEAD POST PUT CONNECT OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK BIND REBIND UNBIND ACL REPORT MKACTIVITY ' +
    'CHECKOUT MERGE M-SEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE PATCH PURGE MKCALENDAR LINK UNLINK QUERY'
  ).split(' '),
);

const textOf = ({ input }: Http1Comparison): string => latin1Decode(input, 0, input.byteLength);

const blanksInExtensions: Difference = {
  why: 'blanks around ";" and "=" of a chunk extension are grammar (RFC 9112 §7.1.1)',
  readers: LLHTTP,
  applies: (one) => ['INVALID_CHUNK_SIZE', 'STRICT'].includes(one.theirs.error ?? '') && /[ \t][;=]|[;=][ \t]/.test(textOf(one)),
};
const higherMinor: Difference = {
  why: 'a higher minor version is read as 1.1 (RFC 9110 §2.5)',
  readers: LLHTTP,
  // Node has no name for it behind CONNECT.
  applies: (one) => ['INVALID_VERSION', 'UNKNOWN'].includes(one.theirs.error ?? '') && /HTTP\/1\.[2-9][ \r]/.test(textOf(one)),
};
const tabbedFraming: Difference = {
  // 9.4 does so no more, unless a space follows the tab.
  why: 'a tab after a value is a blank (RFC 9112 §5.1), which llhttp makes part of fields that it looks into',
  readers: LLHTTP,
  applies: (one) => /\n(?:content-length|transfer-encoding|connection|upgrade):[^\n]*\t[\t ]*\r/i.test(textOf(one)),
};
const framingTrailer: Difference = {
  why: 'fields that frame or rule the connection are dropped from trailers (RFC 9110 §6.5.1), where llhttp obeys or refuses them',
  readers: LLHTTP,
  applies: (one) =>
    /\n0+(?:[ \t]*;[^\n]*)?\r\n(?:[^\n]+\n)*(?:connection|proxy-connection|upgrade|content-length|transfer-encoding):/i.test(textOf(one)),
};
const closedHttp10: Difference = {
  why: 'close ends a connection of HTTP/1.0 also beside keep-alive (RFC 9112 §9.3), where llhttp looks for keep-alive alone',
  readers: LLHTTP,
  applies: (one) =>
    textOf(one).includes('HTTP/1.0') &&
    ['keep-alive', 'close'].every((option) => new RegExp(`\nconnection:[^\n]*${option}`, 'i').test(textOf(one))),
};
const strayBody: Difference = {
  why: 'a 204 that announces a body ends the connection (RFC 9110 §8.6)',
  readers: LLHTTP,
  applies: (one) => /HTTP\/1\.[0-9] 204[^]*\n(?:content-length:[\t ]*0*[1-9]|transfer-encoding:)/i.test(textOf(one)),
};

const anyMethod: Difference = {
  why: 'any token is a method (RFC 9110 §9.1)',
  readers: LLHTTP,
  applies: ({ ours, theirs }) => {
    const next = ours.messages[theirs.messages.length];
    // Names that begin as one that llhttp knows fail at the version instead. PRI it knows as the preface of HTTP/2.
    const isTheirs = ['INVALID_METHOD', 'INVALID_CONSTANT', 'INVALID_VERSION', 'UNKNOWN'].includes(theirs.error ?? '');
    return isTheirs && next !== undefined && !LLHTTP_METHODS.has(next.start);
  },
};

const host = 'Host: a\r\n';
const chunked = 'Transfer-Encoding: chunked\r\n';
const requests = http1RequestCodec();
// Whether llhttp may end after CONNECT is another question than whether it read the request.
const requestOptions: OracleOptions = { kind: 'request' };

/** With methods that all know: behind another llhttp compares nothing any more. */
const knownPipelines = http1Pipelines()
  .filter((pipeline) => pipeline.every(({ method }) => LLHTTP_METHODS.has(method)))
  .map((pipeline) => concatBytes(pipeline.map(({ bytes }) => bytes)));

differential('RequestDecoder', {
  ours: (bytes) => readOurs(requests, bytes),
  theirs: {
    llhttp: (bytes) => llhttp.parse(bytes, requestOptions),
    node: (bytes) => node.parse(bytes, requestOptions),
    naive: (bytes) => {
      const reading = naiveHttp1(bytes);
      return readNaively(reading, (index) => [reading.messages[index]?.method ?? '', reading.messages[index]?.target ?? '']);
    },
  },
  compare,
  inputs: fc.oneof(knownPipelines, nearMisses(knownPipelines)),
  runs: 2_000,
  examples: {
    'a method that nobody knows': latin1Encode(`BREW / HTTP/1.1\r\n${host}\r\n`),
    'HTTP/1.2': latin1Encode(`GET / HTTP/1.2\r\n${host}\r\n`),
    'blanks in a chunk extension': latin1Encode(`POST / HTTP/1.1\r\n${host}${chunked}\r\n1 ;a = b\r\nx\r\n0\r\n\r\n`),
    'a tab behind a length': latin1Encode(`POST / HTTP/1.1\r\n${host}Content-Length: 1\t\r\n\r\nx`),
    'a length in the trailers': latin1Encode(`POST / HTTP/1.1\r\n${host}${chunked}\r\n0\r\nContent-Length: 5\r\n\r\n`),
    'HTTP/1.0, keep-alive and close': latin1Encode('GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n'),
  },
  knownDifferences: [anyMethod, higherMinor, blanksInExtensions, tabbedFraming, framingTrailer, closedHttp10],
});

for (const method of ['GET', 'HEAD']) {
  const responses = http1ResponseCodec(method);
  const options: OracleOptions = { kind: 'response', isEnded: true, isBodyless: () => method === 'HEAD' };
  const validBytes = responses.valid.map(({ bytes }) => bytes);
  const extra: Record<string, Uint8Array> = {
    'HTTP/1.2': latin1Encode('HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n'),
  };
  const bodied: Record<string, Uint8Array> = {
    'blanks in a chunk extension': latin1Encode(`HTTP/1.1 200 OK\r\n${chunked}\r\n1 ;a = b\r\nx\r\n0\r\n\r\n`),
    'a tab behind a length': latin1Encode('HTTP/1.1 200 OK\r\nContent-Length: 1\t\r\n\r\nx'),
    'a length in the trailers': latin1Encode(`HTTP/1.1 200 OK\r\n${chunked}\r\n0\r\nContent-Length: 5\r\n\r\n`),
    'a length of 204': latin1Encode('HTTP/1.1 204 OK\r\nContent-Length: 3\r\n\r\n'),
    'HTTP/1.0, keep-alive and close': latin1Encode('HTTP/1.0 200 OK\r\nConnection: close, keep-alive\r\nContent-Length: 0\r\n\r\n'),
  };
  differential(`ResponseDecoder, answer to ${method}`, {
    ours: (bytes) => readOurs(responses, bytes),
    theirs: {
      llhttp: (bytes) => llhttp.parse(bytes, options),
      node: (bytes) => node.parse(bytes, options),
      naive: (bytes) => {
        const reading = naiveHttp1Responses(bytes, [method]);
        return readNaively(reading, (index) => [String(reading.messages[index]?.status), reading.messages[index]?.reason ?? '']);
      },
    },
    // llhttp asks the head alone, which is not told that nothing follows it.
    compare: (comparison) => compare(comparison, method !== 'HEAD'),
    inputs: fc.oneof(validBytes, nearMisses(validBytes)),
    runs: 1_000,
    examples: method === 'HEAD' ? extra : { ...extra, ...bodied },
    knownDifferences:
      method === 'HEAD' ? [higherMinor] : [higherMinor, blanksInExtensions, tabbedFraming, framingTrailer, closedHttp10, strayBody],
  });
}

describe('all of them refuse what has split connections before', () => {
  for (const lines of [
    'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n',
    'Content-Length: 1\r\nContent-Length: 2\r\n',
    'Content-Length: +1\r\n',
    'X : y\r\n',
    'X: y\r\n z\r\n',
    'X: a\0\r\n',
    'X: a\rb\r\n',
    ': y\r\n',
    'Transfer-Encoding: xchunked\r\n',
  ]) {
    test(JSON.stringify(lines), () => {
      const bytes = latin1Encode(`POST / HTTP/1.1\r\n${host}${lines}\r\n`);
      assert.notEqual(readOurs(requests, bytes).error, null);
      assert.notEqual(llhttp.parse(bytes, { kind: 'request' }).error, null);
      assert.notEqual(node.parse(bytes, { kind: 'request' }).error, null);
      assert.equal(naiveHttp1(bytes).verdict, 'refused');
    });
  }
});
