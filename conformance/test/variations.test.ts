import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';
import { RequestDecoder, ResponseDecoder } from '@ferrata/http1';
import { judgeRequests } from '../http1-variations/decoder-level.ts';
import { judgeAnswer, judgeRecording, runRequestsThroughProxy } from '../http1-variations/proxy-level.ts';
import { expectRequest, get, post, type RequestCase, RequestCases, trimBlanks, visible } from '../http1-variations/request-case.ts';
import { requestCases } from '../http1-variations/requests/index.ts';
import { expectResponse, type ResponseCase, ResponseCases, response } from '../http1-variations/response-case.ts';
import { readAnswer } from '../http1-variations/response-client.ts';
import { judgeResponses } from '../http1-variations/response-decoder-level.ts';
import { judgeSeen, runResponsesThroughProxy } from '../http1-variations/response-proxy-level.ts';
import { responseCases } from '../http1-variations/responses/index.ts';
import { ScriptedOrigin } from '../http1-variations/scripted-origin.ts';
import { EOL, fieldLine, syntax, textOf, variationsAt } from '../http1-variations/segments.ts';
import { exchange } from '../rig/raw-client.ts';
import { RecordingOrigin } from '../rig/recording-origin.ts';
import { refusingWith } from './refusing-decoder.ts';
import { startRefusingRelay } from './refusing-relay.ts';

const requests = requestCases();
const responses = responseCases();
const whole = (): number => Number.POSITIVE_INFINITY;

describe('the cases', () => {
  test('are many, and each has an id of its own', () => {
    assert.ok(requests.length >= 20_000, String(requests.length));
    assert.ok(responses.length >= 12_000, String(responses.length));
    assert.equal(new Set(requests.map(({ id }) => id)).size, requests.length);
    assert.equal(new Set(responses.map(({ id }) => id)).size, responses.length);
  });

  test('are the same in every run', () => {
    assert.deepEqual(requestCases(), requests);
    assert.deepEqual(responseCases(), responses);
  });

  test('no two say different things of the same bytes', () => {
    const told = new Map<string, string>();
    for (const { id, raw, ending, serves } of requests) {
      const token = /t\d{5}/.exec(raw)?.[0] ?? '';
      const bytes = raw.replaceAll(token, 'TOKEN_');
      const meaning = JSON.stringify([
        ending,
        serves.map(({ method, target, body }) => [method, target.replaceAll(token, 'TOKEN_'), body]),
      ]);
      const before = told.get(bytes);
      assert.ok(before === undefined || before === meaning, `${id}: ${meaning}, elsewhere ${before}`);
      told.set(bytes, meaning);
    }
  });

  test('hold accepted and refused ones of nearly every class', () => {
    const classes = Map.groupBy(requests, ({ id }) => id.slice(0, id.indexOf('/')));
    const oneSided = [...classes]
      .filter(([, list]) => new Set(list.map(({ ending }) => ending === 'refused')).size < 2)
      .map(([name]) => name);
    assert.deepEqual(oneSided.toSorted(), [
      'chunk-shape',
      'cl-repeated',
      'cl-te',
      'cut',
      'every-look-alike',
      'field',
      'fold',
      'persistence',
      'te-http10',
      'te-repeated',
    ]);
  });

  test('name exactly one status for whatever is refused, and it is 400 for nearly all', () => {
    const refused = requests.filter(({ ending }) => ending === 'refused');
    assert.ok(refused.every(({ statuses }) => statuses.length === 1));
    const counts = Map.groupBy(refused, ({ statuses }) => statuses[0]);
    assert.deepEqual(
      [...counts.keys()].toSorted((one = 0, other = 0) => one - other),
      [400, 413, 414, 431, 501, 505],
    );
    assert.ok((counts.get(400)?.length ?? 0) > 0.99 * refused.length);
  });

  test('two messages under one name are a mistake, one message built twice is not', () => {
    const list = new RequestCases('class', 'rule');
    list.refuse('a', get());
    list.refuse('a', get());
    assert.equal(list.cases.length, 1);
    assert.throws(() => list.refuse('a', post([], '')), /two cases are called class\/a/);
    const others = new ResponseCases('class', 'rule');
    others.accept('a', response());
    assert.throws(() => others.accept('a', response(['X: 1'])), /two cases are called class\/a/);
  });
});

describe('a byte in a message of segments', () => {
  const segments = [syntax('GET'), EOL, ...fieldLine('X', 'ab')];
  const at = textOf(segments).indexOf('b');

  test('is right where the segment on either side still matches', () => {
    const [put, inPlace] = variationsAt(segments, at, '\t');
    assert.deepEqual([put?.raw, put?.segments !== null], ['GET\r\nX: a\tb\r\n', true]);
    assert.deepEqual([inPlace?.raw, inPlace?.segments !== null], ['GET\r\nX: a\t\r\n', true]);
  });

  test('is wrong where neither does', () => {
    for (const variation of variationsAt(segments, at, '\0')) assert.equal(variation.segments, null, variation.id);
    for (const variation of variationsAt(segments, 1, ' ')) assert.equal(variation.segments, null, variation.id);
  });

  test('put in beside its like it is one message, and behind the last it is none', () => {
    assert.equal(variationsAt(segments, 3, '\r').length, 1);
    assert.equal(variationsAt(segments, textOf(segments).length - 1, '\n').length, 0);
  });
});

/** Whether a decoder is found out that is fed something else than was sent: what a careless reader makes of the bytes before it parses them. */
function isFoundInRequests(name: string, change: (text: string) => string): boolean {
  return requests.some((one) => one.id.startsWith(`${name}/`) && judgeRequests({ ...one, raw: change(one.raw) }, whole) !== null);
}

function isFoundInResponses(name: string, change: (text: string) => string): boolean {
  return responses.some(
    (one) =>
      one.id.startsWith(`${name}/`) && one.proxy !== 'refused-only' && judgeResponses({ ...one, raw: change(one.raw) }, whole) !== null,
  );
}

describe('a mistake in a decoder of requests is found', () => {
  const planted: readonly (readonly [what: string, change: (text: string) => string, found: string])[] = [
    ['LF alone ends a line', (text) => text.replace(/([^\r])\n/g, '$1\r\n'), 'line-blank'],
    ['NUL bytes are passed over', (text) => text.replaceAll('\0', ''), 'cl-value'],
    ['vertical tabs are blanks', (text) => text.replaceAll('\x0b', ' '), 'te-value'],
    ['a blank before a colon is passed over', (text) => text.replace(/ :/g, ':'), 'te-name'],
    ['a line that begins with a blank is another field', (text) => text.replace(/\r\n[ \t]+(\S)/g, '\r\n$1'), 'fold'],
    [
      'chunked is found anywhere in a coding',
      (text) => text.replace(/(transfer-encoding:)[^\r\n]*chunked[^\r\n]*/gi, '$1 chunked'),
      'te-value',
    ],
    [
      'a second Transfer-Encoding is passed over',
      (text) => text.replace(/(\r\ntransfer-encoding:[^\r]*)\r\ntransfer-encoding:[^\r]*/gi, '$1'),
      'te-repeated',
    ],
    [
      'Transfer-Encoding silently wins over Content-Length',
      (text) => (/\r\ntransfer-encoding: chunked\r/i.test(text) ? text.replace(/\r\ncontent-length:[^\r]*/gi, '') : text),
      'cl-te',
    ],
    [
      'the first of two lengths wins',
      (text) => text.replace(/(\r\ncontent-length:[^\r]*)\r\ncontent-length:[^\r]*/gi, '$1'),
      'cl-repeated',
    ],
    ['a plus before a number is passed over', (text) => text.replaceAll('+5', '5'), 'cl-value'],
    ['0x before a chunk size is passed over', (text) => text.replaceAll('0x5', '5'), 'chunk-size'],
    ['blanks behind a chunk size are passed over', (text) => text.replace(/\r\n5[ \t]+\r\n/g, '\r\n5\r\n'), 'chunk-size'],
    ['a bad chunk extension is passed over', (text) => text.replace(/\r\n5[\t ]*;[^\r\n]*\r\n/g, '\r\n5\r\n'), 'chunk-ext'],
    ['blanks in a request line are one', (text) => text.replace(/^(\S+)[ \t]+(\S+)[ \t]+(HTTP)/, '$1 $2 $3'), 'line-blank'],
    ['the version is not looked at', (text) => text.replace(/^(\S+ \S+ )HTTP\/\d\.\d\r/, '$1HTTP/1.1\r'), 'version'],
    ['an invalid Host is taken', (text) => text.replace(/\r\nHost: a[^\r\n]*\r\n/, '\r\nHost: a\r\n'), 'host'],
    ['a second Host is passed over', (text) => text.replace(/(\r\nHost: localhost)\r\nhost:[^\r\n]*/i, '$1'), 'host-count'],
    ['Connection: close is not seen', (text) => text.replaceAll(/Connection: close\r\n/gi, 'X-Connection: close\r\n'), 'persistence'],
  ];
  for (const [what, change, found] of planted) {
    test(what, () => {
      assert.ok(isFoundInRequests(found, change));
    });
  }

  test('and nothing is found where there is none', () => {
    for (const [, , found] of planted)
      assert.equal(
        isFoundInRequests(found, (text) => text),
        false,
        found,
      );
  });
});

describe('a decoder of requests that refuses with another status', () => {
  for (const status of [500, 503]) {
    test(`as ${status}, is found by every case that is refused`, () => {
      for (const one of requests) {
        if (one.ending === 'refused')
          assert.match(judgeRequests(one, whole, refusingWith(status)) ?? 'passes', /refused with 50[03], where/, one.id);
      }
    });
  }
});

describe('a mistake in a decoder of responses is found', () => {
  const planted: readonly (readonly [what: string, change: (text: string) => string, found: string])[] = [
    ['bytes behind a response are dropped', (text) => text.replace(/(\r\n\r\nhello)[^]+$/, '$1'), 'stray'],
    ['empty lines before a response are skipped', (text) => text.replace(/^(?:\r\n)+/, ''), 'line-blank'],
    ['an interim response is left out', (text) => text.replace(/^HTTP\/1\.1 10[0234] [^]*?\r\n\r\n/, ''), 'interim'],
    ['LF alone ends a line', (text) => text.replace(/([^\r])\n/g, '$1\r\n'), 'line-blank'],
    ['any status is taken', (text) => text.replace(/^HTTP\/1\.1 \S+ /, 'HTTP/1.1 200 '), 'status'],
    ['control bytes of a reason are dropped', (text) => text.replace(/^(HTTP\/1\.1 200 )[\0-\x08]/, '$1'), 'reason'],
  ];
  for (const [what, change, found] of planted) {
    test(what, () => {
      assert.ok(isFoundInResponses(found, change));
    });
  }

  test('as when it forgets that a response to HEAD has no body', () => {
    class Forgetful extends ResponseDecoder {
      override expect(): void {
        super.expect('GET');
      }
    }
    const found = responses.filter(
      (one) => one.id.startsWith('bodyless/200 to HEAD') && judgeResponses(one, whole, new Forgetful()) !== null,
    );
    assert.ok(found.length > 0);
  });

  test('and nothing is found where there is none', () => {
    for (const [, , found] of planted)
      assert.equal(
        isFoundInResponses(found, (text) => text),
        false,
        found,
      );
  });
});

describe('cutting the input', () => {
  test('changes no verdict', () => {
    const some = requests.filter((_, index) => index % 41 === 0);
    for (const one of some)
      assert.equal(
        judgeRequests(one, () => 1, new RequestDecoder()),
        null,
        one.id,
      );
    for (const one of responses.filter(({ proxy }, index) => index % 41 === 0 && proxy !== 'refused-only'))
      assert.equal(
        judgeResponses(one, () => 3),
        null,
        one.id,
      );
  });
});

describe('the judge of requests through a proxy', () => {
  const caseOf = (traits: Partial<RequestCase>): RequestCase => ({
    id: 'x',
    rule: '',
    raw: '',
    serves: [expectRequest()],
    ending: 'open',
    statuses: [],
    proxy: 'same',
    ...traits,
  });
  const answer = { statuses: [200], isClosed: false, isWaiting: false };

  test('wants an answer for each request that is to be served, and no more', () => {
    assert.equal(judgeAnswer(caseOf({}), answer), null);
    assert.match(judgeAnswer(caseOf({}), { ...answer, statuses: [] }) ?? '', /answered nothing/);
    assert.match(judgeAnswer(caseOf({}), { ...answer, statuses: [400] }) ?? '', /answered 400/);
    assert.match(judgeAnswer(caseOf({}), { ...answer, statuses: [200, 200] }) ?? '', /answered 200, 200/);
  });

  test('wants the one status that is due, and a close, of what is to be refused', () => {
    const refused = caseOf({ serves: [], ending: 'refused', statuses: [400] });
    assert.equal(judgeAnswer(refused, { ...answer, statuses: [400], isClosed: true }), null);
    assert.match(judgeAnswer(refused, { ...answer, isClosed: true, statuses: [] }) ?? '', /closed without a status, where 400 is due/);
    for (const status of [403, 408, 500, 503])
      assert.match(judgeAnswer(refused, { ...answer, statuses: [status], isClosed: true }) ?? '', /where 400 is due/);
    assert.match(judgeAnswer(refused, { ...answer, statuses: [400] }) ?? '', /left the connection open/);
    assert.match(judgeAnswer(refused, { ...answer, statuses: [200], isClosed: true }) ?? '', /answered 200/);
    assert.match(judgeAnswer(refused, { ...answer, statuses: [400, 400], isClosed: true }) ?? '', /answered 400, 400/);
  });

  test('wants the status that is due of what is cut, or none', () => {
    const cut = caseOf({ serves: [], ending: 'truncated', statuses: [400] });
    assert.equal(judgeAnswer(cut, { ...answer, statuses: [400], isClosed: true }), null);
    assert.equal(judgeAnswer(cut, { ...answer, statuses: [], isClosed: true }), null);
    assert.match(judgeAnswer(cut, { ...answer, statuses: [503], isClosed: true }) ?? '', /where 400 is due/);
    assert.match(judgeAnswer(cut, { ...answer, statuses: [] }) ?? '', /left the connection open/);
  });

  test('wants a close behind the last request', () => {
    assert.match(judgeAnswer(caseOf({ ending: 'closed' }), answer) ?? '', /stayed open/);
    assert.equal(judgeAnswer(caseOf({ ending: 'closed' }), { ...answer, isClosed: true }), null);
  });

  const seen = {
    method: 'GET',
    target: '/TOKEN_/a',
    body: '',
    host: 'localhost',
    fieldNames: ['host'],
    fields: [['host', 'localhost']] as const,
    trailers: [],
  };
  const recording = { requests: [seen], targets: ['/TOKEN_/a'], malformed: [] };

  test('wants exactly the requests that are to be served, whatever their order', () => {
    assert.equal(judgeRecording([expectRequest()], recording), null);
    assert.match(judgeRecording([], recording) ?? '', /the origin saw/);
    assert.match(judgeRecording([expectRequest(), expectRequest()], recording) ?? '', /did not see/);
    assert.match(judgeRecording([expectRequest({ body: 'x' })], recording) ?? '', /instead of/);
    assert.match(judgeRecording([expectRequest({ host: 'other' })], recording) ?? '', /instead of/);
    assert.match(judgeRecording([expectRequest({ dropped: ['host'] })], recording) ?? '', /instead of/);
    assert.match(judgeRecording([expectRequest({ fields: [['X-A', '1']] })], recording) ?? '', /instead of/);
    assert.match(judgeRecording([expectRequest({ trailers: [['X-A', '1']] })], recording) ?? '', /instead of/);
  });

  test('never lets a smuggled target through, not even unfinished, nor bytes that are no request', () => {
    assert.match(judgeRecording([], { requests: [], targets: ['/TOKEN_/smuggled'], malformed: [] }) ?? '', /smuggled reached the origin/);
    assert.match(judgeRecording([expectRequest()], { ...recording, malformed: ['field line'] }) ?? '', /cannot parse/);
  });
});

describe('the judge of responses through a proxy', () => {
  const caseOf = (traits: Partial<ResponseCase>): ResponseCase => ({
    id: 'x',
    rule: '',
    methods: ['GET'],
    raw: '',
    isEnded: false,
    interim: [],
    finals: [expectResponse({ body: 'hello' })],
    ending: 'reusable',
    proxy: 'same',
    ...traits,
  });
  const seen = (text: string) => ({ ...readAnswer(text, 'GET'), isClosed: true });
  const hello = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello';
  const bad = 'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n';

  test('takes both framings, and trailers', () => {
    assert.equal(judgeSeen(caseOf({}), seen(hello)), null);
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n';
    assert.equal(judgeSeen(caseOf({ finals: [expectResponse({ body: 'hello', trailers: [['x-sum', '1']] })] }), seen(chunked)), null);
    assert.match(judgeSeen(caseOf({ finals: [expectResponse({ body: 'hello', trailers: [] })] }), seen(chunked)) ?? '', /the client saw/);
  });

  test('wants the response whole, and nothing behind it', () => {
    assert.match(judgeSeen(caseOf({}), seen(hello.slice(0, -1))) ?? '', /"isComplete":false/);
    assert.match(judgeSeen(caseOf({}), seen(`${hello}x`)) ?? '', /came behind the response/);
    assert.match(judgeSeen(caseOf({}), seen('')) ?? '', /no response/);
    assert.match(judgeSeen(caseOf({}), { ...seen(hello), isClosed: false }) ?? '', /in time/);
  });

  test('wants 502 for a head that is refused, and a cut for a body that is', () => {
    assert.equal(judgeSeen(caseOf({ finals: [], ending: 'refused' }), seen(bad)), null);
    assert.match(judgeSeen(caseOf({ finals: [], ending: 'refused' }), seen(hello)) ?? '', /502 is due/);
    assert.equal(judgeSeen(caseOf({ finals: [], ending: 'cut' }), seen(hello.slice(0, -1))), null);
    assert.equal(judgeSeen(caseOf({ finals: [], ending: 'cut' }), seen('')), null);
    assert.match(judgeSeen(caseOf({ finals: [], ending: 'cut' }), seen(hello)) ?? '', /for the whole of a body/);
  });

  test('wants interim responses in order', () => {
    const early = 'HTTP/1.1 103 Early Hints\r\n\r\n';
    assert.equal(judgeSeen(caseOf({ interim: [103] }), seen(early + hello)), null);
    assert.match(judgeSeen(caseOf({ interim: [103] }), seen(hello)) ?? '', /interim responses/);
    assert.match(judgeSeen(caseOf({}), seen(early + hello)) ?? '', /interim responses/);
    const storm = caseOf({ interim: new Array<number>(9).fill(103) });
    assert.equal(judgeSeen(storm, seen(early.repeat(8) + hello)), null);
    for (const count of [7, 9]) assert.match(judgeSeen(storm, seen(early.repeat(count) + hello)) ?? '', /interim responses/);
    assert.equal(judgeSeen(caseOf({ interim: [103], finals: [], ending: 'lost' }), seen(early + bad)), null);
    assert.equal(judgeSeen(caseOf({ interim: [103], finals: [], ending: 'lost' }), seen(bad)), null);
  });
});

describe('a run without a proxy', () => {
  test('finds that what is to be refused reaches the origin', async () => {
    const origin = await RecordingOrigin.listen(0);
    try {
      const cases = [
        'method/GET',
        'te-name/case transfer-encoding',
        'line-blank/before the method \\x0a',
        'host/bad ',
        'expect/other x',
      ].map((id) => {
        const one = requests.find((candidate) => candidate.id === id);
        assert.ok(one !== undefined, id);
        return one;
      });
      const outcomes = await runRequestsThroughProxy(cases, { port: origin.port, origin, exit: () => null, quietMs: 1_000 });
      assert.deepEqual(
        outcomes.map(({ id, problem }) => [id, problem === null]),
        [
          ['proxy/method/GET', true],
          ['proxy/te-name/case transfer-encoding', true],
          ['proxy/line-blank/before the method \\x0a', false],
          ['proxy/host/bad ', false],
        ],
      );
    } finally {
      await origin.close();
    }
  });

  test('finds that what is behind a response reaches the client', async () => {
    const cases = ['stray/length then x', 'body/200 to GET length', 'version/form ICY', 'switch/200 to CONNECT with  then '].map((id) => {
      const one = responses.find((candidate) => candidate.id === id);
      assert.ok(one !== undefined, id);
      return { ...one, isEnded: true };
    });
    const origin = await ScriptedOrigin.listen(cases);
    try {
      const outcomes = await runResponsesThroughProxy(cases, { port: origin.port, origin, exit: () => null });
      assert.deepEqual(
        outcomes.map(({ problem }) => problem),
        [
          '"x" came behind the response',
          null,
          '"ICY 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nokHTTP/1.1 200 OK\\r\\nContent-Length: 8\\r\\n\\r\\nsmuggle" came instead of a response',
          null,
          null,
        ],
      );
    } finally {
      await origin.close();
    }
  });
});

describe('a run through a proxy that is wrong when it refuses', () => {
  const some = ['method/GET', 'host/bad ', 'te-value/bad xchunked', 'chunk-size/behind g', 'version/2.0'].map((id) => {
    const one = requests.find((candidate) => candidate.id === id);
    assert.ok(one !== undefined, id);
    return one;
  });
  for (const [name, changed, problem] of [
    ['finds nothing where it refuses with what is due', null, null],
    ['finds that it refuses with 503', 503, /^answered 503, where 400 is due/],
    ['finds that it refuses with 500', 500, /^answered 500, where 400 is due/],
    ['finds that it closes without a status', 'close', /^closed without a status, where 400 is due/],
    ['finds that it refuses twice', 'twice', /^answered 400, 400/],
  ] as const) {
    test(name, async () => {
      const origin = await RecordingOrigin.listen(0);
      const relay = await startRefusingRelay(origin.port, changed);
      try {
        for (const cut of [undefined, () => 3]) {
          const outcomes = await runRequestsThroughProxy(some, {
            port: relay.port,
            origin,
            exit: () => null,
            ...(cut === undefined ? {} : { cut }),
          });
          const level = cut === undefined ? 'proxy' : 'proxy/in pieces';
          assert.deepEqual(
            outcomes.map(({ id }) => id),
            some.map(({ id }) => `${level}/${id}`),
          );
          for (const { id, problem: found } of outcomes) {
            if (problem === null || id.endsWith('method/GET') || id.endsWith('version/2.0')) assert.equal(found, null, id);
            else assert.match(found ?? 'passes', problem, id);
          }
        }
      } finally {
        await relay.close();
        await origin.close();
      }
    });
  }
});

describe('the raw client', () => {
  test('sends the same bytes in pieces, which arrive apart', async () => {
    const pieces: string[] = [];
    const server = createServer((socket) => {
      socket.on('data', (chunk) => {
        pieces.push(chunk.toString('latin1'));
        if (pieces.join('').endsWith('\r\n\r\n')) socket.end('HTTP/1.1 204 No Content\r\n\r\n');
      });
    });
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    assert.ok(typeof address === 'object' && address !== null);
    const raw = Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n', 'latin1');
    const answer = await exchange({
      port: address.port,
      raw,
      cut: () => 3,
      halfClose: false,
      responses: 1,
      untilClose: true,
      quietMs: 2_000,
      closeMs: 2_000,
    });
    await new Promise((resolve) => void server.close(resolve));
    assert.deepEqual(answer.statuses, [204]);
    assert.equal(pieces.join(''), raw.toString('latin1'));
    assert.ok(pieces.length > 1, String(pieces.length));
  });
});

describe('small things', () => {
  test('blanks are SP and HTAB alone', () => {
    assert.equal(trimBlanks(' \t\xa0a\x0b \t'), '\xa0a\x0b');
  });

  test('names of cases show every odd byte', () => {
    assert.equal(visible('a\0b/"\xff'), 'a\\x00b\\x2f\\x22\\xff');
  });
});
