/** What the exchange makes of a response: methods and statuses without bodies, interim responses, bytes behind it, ends of the connection. */
import { visible } from '../request-case.ts';
import { expectResponse, type ResponseCase, ResponseCases, type ResponseTraits, response, SMUGGLED_RESPONSE } from '../response-case.ts';

const CHUNKED_BODY = '5\r\nhello\r\n0\r\n\r\n';
const hello = { body: 'hello' };

/** What depends on the request, and what comes before, behind and instead of a response. @returns the cases */
export function exchangeCases(): readonly ResponseCase[] {
  return [...bodyless(), ...bodies(), ...interim(), ...stray(), ...persistence(), ...switches(), ...cuts()];
}

/** Fields that say there is a body, or how long it would be. */
const FRAMINGS: readonly (readonly string[])[] = [
  [],
  ['Content-Length: 0'],
  ['Content-Length: 5'],
  ['Content-Length: 999999'],
  ['Transfer-Encoding: chunked'],
];
/** Fields that contradict themselves or each other. */
const BAD_FRAMINGS: readonly (readonly string[])[] = [
  ['Content-Length: 5', 'Transfer-Encoding: chunked'],
  ['Content-Length: 5', 'Content-Length: 5'],
  ['Content-Length: 5', 'Content-Length: 6'],
  ['Content-Length: 5, 5'],
  ['Content-Length: +5'],
  ['Content-Length: -1'],
  ['Content-Length:'],
  ['Transfer-Encoding: identity'],
  ['Transfer-Encoding: gzip'],
  ['Transfer-Encoding: gzip, chunked'],
  ['Transfer-Encoding: chunked, chunked'],
  ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
  ['Transfer-Encoding: xchunked'],
  ['Transfer-Encoding:'],
  ['Transfer-Encoding : chunked'],
];

/** Exchanges whose responses have no body, whatever their fields say. */
const BODYLESS: readonly (readonly [method: string, status: number])[] = [
  ['HEAD', 200],
  ['HEAD', 206],
  ['HEAD', 301],
  ['HEAD', 404],
  ['HEAD', 500],
  ['HEAD', 204],
  ['HEAD', 304],
  ['GET', 204],
  ['GET', 304],
  ['POST', 204],
  ['POST', 304],
];

function bodyless(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'bodyless',
    'responses to HEAD, and 204 and 304, end with their head whatever it says (RFC 9112 §6.3); what it says must be valid all the same',
  );
  for (const [method, status] of BODYLESS) {
    const start = `HTTP/1.1 ${status} Reason`;
    const exchange = { methods: [method] };
    for (const lines of FRAMINGS) {
      const id = `${status} to ${method} with ${visible(lines.join(' and '))}`;
      list.acceptLast(`${id}, closed`, response([...lines, 'Connection: close'], '', start), { status }, exchange);
      // RFC 9110 §8.6, RFC 9112 §6.1: a server that announces a body where there can be none may send it all the same.
      const isDoubtful = status === 204 && isBodyAnnounced(lines);
      list.add(id, response(lines, '', start), [expectResponse({ status })], isDoubtful ? 'last' : 'reusable', exchange);
      for (const rest of ['hello', CHUNKED_BODY, '\r\n', SMUGGLED_RESPONSE]) {
        list.add(
          `${id}, then ${visible(rest)}`,
          response(lines, rest, start),
          [expectResponse({ status })],
          isDoubtful ? 'last' : 'stray',
          exchange,
        );
      }
    }
    for (const lines of BAD_FRAMINGS)
      list.refuse(`${status} to ${method} with ${visible(lines.join(' and '))}`, response(lines, '', start), exchange);
    list.refuse(
      `${status} to ${method} of 1.0 with chunked`,
      response(['Transfer-Encoding: chunked'], '', start.replace('1.1', '1.0')),
      exchange,
    );
  }
  return list.cases;
}

function isBodyAnnounced(lines: readonly string[]): boolean {
  return lines.length > 0 && lines[0] !== 'Content-Length: 0';
}

function bodies(): readonly ResponseCase[] {
  const list = new ResponseCases('body', 'every other response has a body: of its length, in chunks, or up to the close (RFC 9112 §6.3)');
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
    for (const status of [200, 201, 205, 206, 300, 301, 400, 404, 413, 500, 503]) {
      const start = `HTTP/1.1 ${status} Reason`;
      const exchange = { methods: [method] };
      const id = `${status} to ${method}`;
      list.accept(`${id} empty`, response(['Content-Length: 0'], '', start), { status }, exchange);
      list.accept(`${id} length`, response(['Content-Length: 5'], 'hello', start), { status, ...hello }, exchange);
      list.accept(`${id} chunked`, response(['Transfer-Encoding: chunked'], CHUNKED_BODY, start), { status, ...hello }, exchange);
      list.acceptLast(`${id} up to the close`, response([], 'hello', start), { status, ...hello }, exchange);
      for (const lines of BAD_FRAMINGS)
        list.refuse(`${id} with ${visible(lines.join(' and '))}`, response(lines, CHUNKED_BODY, start), exchange);
    }
  }
  list.acceptLast('a response as body up to the close', response([], SMUGGLED_RESPONSE), { body: SMUGGLED_RESPONSE });
  list.accept('a response as body', response([`Content-Length: ${SMUGGLED_RESPONSE.length}`], SMUGGLED_RESPONSE), {
    body: SMUGGLED_RESPONSE,
  });
  list.acceptLast('chunks up to the close are bytes', response([], CHUNKED_BODY), { body: CHUNKED_BODY });
  for (const length of [1, 100, 65_535, 65_536, 200_000]) {
    const body = '.'.repeat(length);
    list.accept(`length ${length}`, response([`Content-Length: ${length}`], body), { body });
    list.accept(`chunk of ${length}`, response(['Transfer-Encoding: chunked'], `${length.toString(16)}\r\n${body}\r\n0\r\n\r\n`), { body });
    list.acceptLast(`${length} up to the close`, response([], body), { body });
  }
  return list.cases;
}

function interim(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'interim',
    '1xx are heads only, in any number up to a limit, before the final response (RFC 9110 §15.2; RFC 9112 §6.3)',
  );
  const head = (status: number, lines: readonly string[] = []): string => response(lines, '', `HTTP/1.1 ${status} Interim`);
  const final = response(['Content-Length: 5'], 'hello');
  const rows: readonly (readonly number[])[] = [
    [100],
    [102],
    [103],
    [104],
    [150],
    [199],
    [100, 100],
    [100, 102, 103],
    [103, 100],
    [103, 103, 103],
    [102, 102, 102, 102, 102, 102, 102, 102],
  ];
  for (const statuses of rows) {
    const raw = statuses.map((status) => head(status)).join('');
    const exchange = { interim: statuses };
    list.accept(`${statuses.join(' ')} length`, raw + final, hello, exchange);
    list.accept(`${statuses.join(' ')} chunked`, raw + response(['Transfer-Encoding: chunked'], CHUNKED_BODY), hello, exchange);
    list.acceptLast(`${statuses.join(' ')} up to the close`, raw + response([], 'hello'), hello, exchange);
    list.accept(`${statuses.join(' ')} no body`, raw + response([], '', 'HTTP/1.1 204 None'), { status: 204 }, exchange);
    list.add(`${statuses.join(' ')} and no more`, raw, [], 'lost', { ...exchange, isEnded: true });
    list.refuse(`${statuses.join(' ')} and junk`, `${raw}junk`, exchange);
    list.stray(`${statuses.join(' ')} behind the final one`, final + raw, hello);
    list.refuse(`${statuses.join(' ')} with a body`, `${raw}hello${final}`, exchange);
  }
  for (const lines of FRAMINGS) {
    const id = visible(lines.join(' and '));
    const framed = head(103, [...lines, 'Link: </a>; rel=preload']) + final;
    list.add(`framed ${id}`, framed, [expectResponse(hello)], isBodyAnnounced(lines) ? 'last' : 'reusable', { interim: [103] });
    if (lines.length > 0) list.refuse(`framed, with a body ${id}`, head(103, lines) + CHUNKED_BODY + final, { interim: [103] });
  }
  for (const lines of BAD_FRAMINGS) list.refuse(`contradicts itself ${visible(lines.join(' and '))}`, head(100, lines) + final);
  // The README of `@ferrata/http1`: an origin may send 100 of them, of which a client is told the first 8.
  for (const count of [9, 10, 100])
    list.accept(`${count} of them`, head(102).repeat(count) + final, hello, { interim: new Array<number>(count).fill(102) });
  for (const count of [101, 1000]) list.add(`${count} of them`, head(102).repeat(count) + final, [], 'refused', { proxy: 'refused-only' });
  return list.cases;
}

/** Everything that could come behind a response that is complete. */
const STRAY_BYTES: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  'x',
  'hello',
  '0\r\n\r\n',
  'HTTP/1.1 200 OK\r\n\r\n',
  SMUGGLED_RESPONSE,
  'HTTP/1.1 100 Continue\r\n\r\n',
  'HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n',
  'GET / HTTP/1.1\r\n\r\n',
];

function stray(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'stray',
    'bytes that come when no answer is due are an error: they could be taken for the answer to the next request (RFC 9112 §9.3)',
  );
  const messages: readonly (readonly [name: string, raw: string, traits: ResponseTraits, methods: readonly string[]])[] = [
    ['empty', response(['Content-Length: 0']), {}, ['GET']],
    ['length', response(['Content-Length: 5'], 'hello'), hello, ['GET']],
    ['chunked', response(['Transfer-Encoding: chunked'], CHUNKED_BODY), hello, ['GET']],
    [
      'trailers',
      response(['Transfer-Encoding: chunked'], '5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n'),
      { ...hello, trailers: [['X-Sum', '1']] },
      ['GET'],
    ],
    ['204', response([], '', 'HTTP/1.1 204 None'), { status: 204 }, ['GET']],
    ['304', response(['Content-Length: 5'], '', 'HTTP/1.1 304 Same'), { status: 304 }, ['GET']],
    ['HEAD', response(['Content-Length: 5']), {}, ['HEAD']],
  ];
  for (const [name, raw, traits, methods] of messages) {
    for (const bytes of STRAY_BYTES) {
      list.stray(`${name} then ${visible(bytes)}`, raw + bytes, traits, { methods });
      // A connection that ends with its response: nobody looks at what follows.
      list.acceptLast(`${name}, closed, then ${visible(bytes)}`, raw.replace('\r\n', '\r\nConnection: close\r\n') + bytes, traits, {
        methods,
      });
    }
    list.add(`${name} twice for two`, raw + raw, [expectResponse(traits), expectResponse(traits)], 'reusable', {
      methods: [...methods, ...methods],
    });
    list.add(`${name} thrice for two`, raw + raw + raw, [expectResponse(traits), expectResponse(traits)], 'stray', {
      methods: [...methods, ...methods],
    });
    list.add(`${name} once for two`, raw, [expectResponse(traits)], 'lost', { methods: [...methods, ...methods], isEnded: true });
  }
  return list.cases;
}

function persistence(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'persistence',
    'close ends the connection in any version; keep-alive matters in HTTP/1.0 only (RFC 9112 §9.3, §9.6)',
  );
  for (const version of ['1.1', '1.0']) {
    const start = `HTTP/${version} 200 OK`;
    for (const value of ['close', 'Close', 'x, close', 'close, keep-alive', ',close,', 'upgrade, close']) {
      list.acceptLast(
        `closes ${visible(value)} in ${version}`,
        response([`Connection: ${value}`, 'Content-Length: 5'], 'hello', start),
        hello,
      );
      list.acceptLast(
        `closes ${visible(value)} in ${version}, then more`,
        response([`Connection: ${value}`, 'Content-Length: 5'], `hello${SMUGGLED_RESPONSE}`, start),
        hello,
      );
    }
    for (const value of ['keep-alive', 'Keep-Alive', 'x, keep-alive'])
      list.accept(`kept ${visible(value)} in ${version}`, response([`Connection: ${value}`, 'Content-Length: 5'], 'hello', start), hello);
  }
  for (const value of ['closed', '"close"', 'close;', 'xclose', '', ',']) {
    list.accept(`open ${visible(value)}`, response([`Connection: ${value}`, 'Content-Length: 5'], 'hello'), hello);
    list.acceptLast(
      `not kept in 1.0 ${visible(value)}`,
      response([`Connection: ${value}`, 'Content-Length: 5'], 'hello', 'HTTP/1.0 200 OK'),
      hello,
    );
  }
  return list.cases;
}

function switches(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'switch',
    'after 101, and 2xx to CONNECT, no HTTP follows; a 101 that nobody asked for is an error of the server (RFC 9110 §7.8, §9.3.6, §15.2.2)',
  );
  for (const rest of ['', 'hello', '\0\0', SMUGGLED_RESPONSE]) {
    list.add(
      `101 then ${visible(rest)}`,
      response(['Connection: Upgrade', 'Upgrade: websocket'], rest, 'HTTP/1.1 101 Switching'),
      [expectResponse({ status: 101 })],
      'tunnel',
      { proxy: 'refused' },
    );
    list.add(
      `101 without fields then ${visible(rest)}`,
      response([], rest, 'HTTP/1.1 101 Switching'),
      [expectResponse({ status: 101 })],
      'tunnel',
      { proxy: 'refused' },
    );
    for (const status of [200, 201, 204, 299]) {
      for (const lines of FRAMINGS) {
        const id = `${status} to CONNECT with ${visible(lines.join(' and '))} then ${visible(rest)}`;
        list.add(id, response(lines, rest, `HTTP/1.1 ${status} Connected`), [expectResponse({ status })], 'tunnel', {
          methods: ['CONNECT'],
          proxy: 'none',
        });
      }
    }
  }
  for (const protocol of ['websocket', 'foo/1, bar']) {
    // 426 must say which protocols it wants (RFC 9110 §15.5.22).
    list.accept(
      `426 for ${visible(protocol)}`,
      response(['Connection: Upgrade', `Upgrade: ${protocol}`, 'Content-Length: 5'], 'hello', 'HTTP/1.1 426 Upgrade Required'),
      { status: 426, fields: [['Upgrade', protocol]], ...hello },
    );
  }
  for (const status of [300, 400, 403, 407, 502]) {
    list.accept(
      `${status} to CONNECT`,
      response(['Content-Length: 5'], 'hello', `HTTP/1.1 ${status} No`),
      { status, ...hello },
      { methods: ['CONNECT'], proxy: 'none' },
    );
    list.stray(
      `${status} to CONNECT then more`,
      response(['Content-Length: 5'], `hello${SMUGGLED_RESPONSE}`, `HTTP/1.1 ${status} No`),
      { status, ...hello },
      { methods: ['CONNECT'], proxy: 'none' },
    );
  }
  return list.cases;
}

/** Whole responses, ended behind each of their bytes. */
function cuts(): readonly ResponseCase[] {
  const list = new ResponseCases(
    'cut',
    'a response that the end of the connection cuts is never complete; only one that names no length ends with it (RFC 9112 §8)',
  );
  const messages: readonly (readonly [name: string, raw: string])[] = [
    ['length', response(['Content-Length: 5', 'X-A: 1'], 'hello')],
    ['chunked', response(['Transfer-Encoding: chunked'], '5;a="b"\r\nhello\r\n1\r\n.\r\n0\r\nX-Sum: 1\r\n\r\n')],
    ['close', response(['X-A: 1'], 'hello')],
    ['interim', response([], '', 'HTTP/1.1 103 Early') + response(['Content-Length: 5'], 'hello')],
  ];
  for (const [name, raw] of messages) {
    const interimEnd = name === 'interim' ? raw.indexOf('\r\n\r\n') + 4 : 0;
    const headEnd = raw.indexOf('\r\n\r\n', interimEnd) + 4;
    for (let at = 0; at < raw.length; at++) {
      const exchange = { isEnded: true, interim: interimEnd > 0 && at >= interimEnd ? [103] : [] };
      const id = `${name} at ${at}`;
      if (at < headEnd) list.add(id, raw.slice(0, at), [], 'lost', exchange);
      else if (name === 'close') list.add(id, raw.slice(0, at), [expectResponse({ body: raw.slice(headEnd, at) })], 'last', exchange);
      else list.add(id, raw.slice(0, at), [], 'cut', exchange);
    }
  }
  return list.cases;
}
