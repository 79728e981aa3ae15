/** What comes after a request: Connection, HTTP/1.0, upgrades, Expect, bodies of every method, pipelines, and requests that stop half-way. */
import { type Random, seededRandom } from '@ferrata/clock';
import {
  type ExpectedRequest,
  expectRequest,
  get,
  message,
  NEXT,
  post,
  type RequestCase,
  RequestCases,
  type RequestTraits,
  TOKEN,
  visible,
} from '../request-case.ts';

const PATH = `/${TOKEN}/a`;
const CHUNKED_BODY = '5\r\nhello\r\n0\r\n\r\n';

/** What comes after a request, and whether it does. @returns the cases, with `TOKEN_` still in them */
export function connectionCases(): readonly RequestCase[] {
  return [...persistence(), ...nominations(), ...upgrades(), ...expectations(), ...bodies(), ...pipelines(), ...cuts()];
}

function persistence(): readonly RequestCase[] {
  const list = new RequestCases(
    'persistence',
    'close ends the connection in any version; keep-alive matters in HTTP/1.0 only (RFC 9112 §9.3, §9.6)',
  );
  const closing = [
    'close',
    'Close',
    'CLOSE',
    ' close',
    'close\t',
    'close, x',
    'x, close',
    'x,close,y',
    ',close',
    'close,',
    ', ,close',
    'keep-alive, close',
    'close, keep-alive',
    'upgrade, close',
    // An option is a token, so no quotes join what commas part (RFC 9110 §7.6.1).
    '"x, close, y"',
    '"x, close',
    'x="a,close,b"',
  ];
  const open = [
    'keep-alive',
    'Keep-Alive',
    'x',
    '',
    ',',
    'closed',
    'xclose',
    'close-',
    'clos',
    'close;',
    'close;q=1',
    '"close"',
    'close close',
    'close=1',
    'disclose',
    'keep-alive, x',
    "'close'",
  ];
  for (const value of closing) {
    for (const version of ['HTTP/1.1', 'HTTP/1.0']) {
      list.acceptLast(`closes ${visible(value)} ${visible(version)}`, get([`Connection: ${value}`], version));
      list.acceptLast(
        `closes with a body ${visible(value)} ${visible(version)}`,
        post([`Connection: ${value}`, 'Content-Length: 5'], 'hello', version),
        { method: 'POST', body: 'hello' },
      );
    }
  }
  for (const value of open) {
    list.accept(`open ${visible(value)}`, get([`Connection: ${value}`]));
    const isKept = value.split(',').some((option) => option.trim().toLowerCase() === 'keep-alive');
    const raw = get([`Connection: ${value}`], 'HTTP/1.0');
    if (isKept) list.accept(`open in 1.0 ${visible(value)}`, raw);
    else list.acceptLast(`not kept in 1.0 ${visible(value)}`, raw);
  }
  list.acceptLast('second line closes', get(['Connection: keep-alive', 'Connection: close']));
  list.acceptLast('first line closes', get(['Connection: close', 'Connection: keep-alive']));
  list.acceptLast('1.0 with lines of both', get(['Connection: keep-alive', 'Connection: close'], 'HTTP/1.0'));
  list.accept('1.0 kept by a second line', get(['Connection: x', 'Connection: keep-alive'], 'HTTP/1.0'));
  list.accept('Proxy-Connection says nothing', get(['Proxy-Connection: close']), { dropped: ['proxy-connection'] });
  list.acceptLast('Proxy-Connection says nothing in 1.0', get(['Proxy-Connection: keep-alive'], 'HTTP/1.0'), {
    dropped: ['proxy-connection'],
  });
  list.accept('Keep-Alive says nothing', get(['Keep-Alive: timeout=0, max=0']), { dropped: ['keep-alive'] });
  list.acceptLast('1.0 with a length', post(['Content-Length: 5'], 'hello', 'HTTP/1.0'), { method: 'POST', body: 'hello' });
  list.acceptLast('1.0 without a length has no body', post([], '', 'HTTP/1.0'), { method: 'POST' });
  list.accept('1.0 kept, with a length', post(['Connection: keep-alive', 'Content-Length: 5'], 'hello', 'HTTP/1.0'), {
    method: 'POST',
    body: 'hello',
  });
  return list.cases;
}

function nominations(): readonly RequestCase[] {
  const list = new RequestCases(
    'nomination',
    'fields of one connection, and unknown ones named in Connection, are not forwarded; those that frame or route are (RFC 9110 §7.6.1)',
  );
  for (const value of ['X-Own', 'x-own', 'X-OWN', 'close2, X-Own', 'X-Own,', ' ,X-Own', 'X-A, X-Own, X-B'])
    list.accept(`unknown ${visible(value)}`, get([`Connection: ${value}`, 'X-Own: 1']), { dropped: ['x-own', 'connection'] });
  list.accept('in two lines', get(['Connection: X-One', 'X-One: 1', 'X-Two: 2', 'Connection: X-Two']), { dropped: ['x-one', 'x-two'] });
  for (const name of ['Host', 'Content-Length', 'Cookie', 'Authorization', 'X-Forwarded-For', 'Accept', 'Cache-Control']) {
    const lines = name === 'Host' ? [] : [`${name}: 5`];
    list.accept(
      `known ${name}`,
      post([`Connection: ${name}`, ...lines, ...(name === 'Content-Length' ? [] : ['Content-Length: 5'])], 'hello'),
      { method: 'POST', body: 'hello' },
    );
  }
  list.accept('Transfer-Encoding', post(['Connection: Transfer-Encoding', 'Transfer-Encoding: chunked'], CHUNKED_BODY), {
    method: 'POST',
    body: 'hello',
  });
  list.accept('Content-Length of a chunked one', post(['Connection: Content-Length', 'Transfer-Encoding: chunked'], CHUNKED_BODY), {
    method: 'POST',
    body: 'hello',
  });
  list.refuse(
    'Content-Length beside a coding',
    post(['Connection: Content-Length', 'Content-Length: 5', 'Transfer-Encoding: chunked'], CHUNKED_BODY),
  );
  for (const [name, value] of [
    ['Keep-Alive', 'timeout=5'],
    ['Proxy-Connection', 'keep-alive'],
    ['TE', 'gzip'],
    ['TE', 'chunked'],
    ['HTTP2-Settings', 'AAMAAABk'],
    ['Proxy-Authorization', 'Basic AAAA'],
    ['Upgrade', 'h2c'],
    ['Upgrade', 'websocket'],
  ] as const) {
    list.accept(`always ${name} ${value}`, get([`${name}: ${value}`]), { dropped: [name.toLowerCase()] });
    list.accept(`always, nominated ${name} ${value}`, get([`Connection: ${name === 'Upgrade' ? 'x' : name}`, `${name}: ${value}`]), {
      dropped: [name.toLowerCase()],
    });
  }
  return list.cases;
}

function upgrades(): readonly RequestCase[] {
  const list = new RequestCases(
    'upgrade',
    'Upgrade asks only in HTTP/1.1, nominated in Connection, without a body; no byte behind it is anything but a request before a 101 (RFC 9110 §7.8)',
  );
  // What carries requests itself would carry them past a proxy that asked an origin for it: RFC 9110 §7.8 leaves it to ignore Upgrade.
  const carriesRequests = (protocol: string): boolean => /^(?:h2c?$|HTTP\/|TLS\/)/i.test(protocol);
  for (const protocol of ['websocket', 'WebSocket', 'h2c', 'foo/1', 'a, b', 'TLS/1.0', 'h2', 'HTTP/2.0']) {
    for (const connection of ['Upgrade', 'upgrade', 'keep-alive, Upgrade', 'UPGRADE, X']) {
      const raw = get([`Connection: ${connection}`, `Upgrade: ${protocol}`]);
      const traits = { upgrade: protocol };
      list.accept(
        `asks for ${visible(protocol)} by ${visible(connection)}`,
        raw,
        carriesRequests(protocol) ? { ...traits, dropped: ['upgrade', 'http2-settings'] } : { ...traits, fields: [['Upgrade', protocol]] },
      );
    }
    list.accept(`with a body ${visible(protocol)}`, post(['Connection: Upgrade', `Upgrade: ${protocol}`, 'Content-Length: 5'], 'hello'), {
      method: 'POST',
      body: 'hello',
      dropped: ['upgrade'],
    });
    list.accept(
      `with chunks ${visible(protocol)}`,
      post(['Connection: Upgrade', `Upgrade: ${protocol}`, 'Transfer-Encoding: chunked'], CHUNKED_BODY),
      { method: 'POST', body: 'hello', dropped: ['upgrade'] },
    );
    list.acceptLast(`in 1.0 ${visible(protocol)}`, get(['Connection: Upgrade', `Upgrade: ${protocol}`], 'HTTP/1.0'), {
      dropped: ['upgrade'],
    });
    list.accept(`not nominated ${visible(protocol)}`, get([`Upgrade: ${protocol}`]), { dropped: ['upgrade'] });
    list.refuse(
      `with both lengths ${visible(protocol)}`,
      post(['Connection: Upgrade', `Upgrade: ${protocol}`, 'Content-Length: 5', 'Transfer-Encoding: chunked'], CHUNKED_BODY),
    );
  }
  list.accept('empty', get(['Connection: Upgrade', 'Upgrade:']));
  // Upgrade is of one connection, so a proxy that sends one makes it anew, and nobody makes what has no grammar (RFC 9110 §2.2, §7.8).
  for (const protocol of ['web socket', '"websocket"', 'websocket;x', 'a/', '/1', 'a/b/c', 'a, b c', '@', 'a=b', 'h\xe9', '(a)', 'a\tb']) {
    const dropped = { upgrade: undefined, dropped: ['upgrade'] };
    list.accept(`no list ${visible(protocol)}`, get(['Connection: Upgrade', `Upgrade: ${protocol}`]), dropped);
    list.accept(
      `no list in two lines ${visible(protocol)}`,
      get(['Connection: Upgrade', 'Upgrade: websocket', `Upgrade: ${protocol}`]),
      dropped,
    );
  }
  list.accept(
    'h2c with settings',
    get(['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA']),
    { upgrade: 'h2c', dropped: ['upgrade', 'http2-settings'] },
  );
  return list.cases;
}

function expectations(): readonly RequestCase[] {
  const list = new RequestCases('expect', '100-continue is waited for only in HTTP/1.1 and with a body (RFC 9110 §10.1.1)');
  for (const value of ['100-continue', '100-Continue', '100-CONTINUE', ' 100-continue\t']) {
    list.accept(`length ${visible(value)}`, post([`Expect: ${value}`, 'Content-Length: 5'], 'hello'), {
      method: 'POST',
      body: 'hello',
      expectsContinue: true,
    });
    list.accept(`chunked ${visible(value)}`, post([`Expect: ${value}`, 'Transfer-Encoding: chunked'], CHUNKED_BODY), {
      method: 'POST',
      body: 'hello',
      expectsContinue: true,
    });
    list.accept(`no body ${visible(value)}`, get([`Expect: ${value}`]));
    list.accept(`empty body ${visible(value)}`, post([`Expect: ${value}`, 'Content-Length: 0'], ''), { method: 'POST' });
    list.acceptLast(`1.0 ${visible(value)}`, post([`Expect: ${value}`, 'Content-Length: 5'], 'hello', 'HTTP/1.0'), {
      method: 'POST',
      body: 'hello',
    });
  }
  for (const value of ['', 'x', '100', 'continue', '100-continue-x', '"100-continue"', '200-ok']) {
    list.acceptByDecoder(`other ${visible(value)}`, post([`Expect: ${value}`, 'Content-Length: 5'], 'hello'), {
      method: 'POST',
      body: 'hello',
    });
  }
  for (const fold of ['\r\n 100-continue', '\r\n\t100-continue', '\n 100-continue', '\r100-continue', '\x0b100-continue', '100-continue\0'])
    list.refuse(`bytes ${visible(fold)}`, post([`Expect:${fold}`, 'Content-Length: 5'], 'hello'));
  return list.cases;
}

function bodies(): readonly RequestCase[] {
  const list = new RequestCases('body', 'the length decides whether there is a body, not the method (RFC 9112 §6.3; RFC 9110 §9.3)');
  for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'TRACE', 'PATCH', 'PROPFIND', 'SEARCH', 'x']) {
    const close = method === 'HEAD' ? ['Connection: close'] : [];
    const add = (id: string, lines: readonly string[], rest: string, traits: RequestTraits): void => {
      const raw = message(`${method} ${PATH} HTTP/1.1`, ['Host: localhost', ...close, ...lines], rest);
      if (method === 'HEAD') list.acceptLast(`${method} ${id}`, raw, { method, ...traits });
      else list.accept(`${method} ${id}`, raw, { method, ...traits });
    };
    add('none', [], '', {});
    add('empty', ['Content-Length: 0'], '', {});
    add('length', ['Content-Length: 5'], 'hello', { body: 'hello' });
    add('chunked', ['Transfer-Encoding: chunked'], CHUNKED_BODY, { body: 'hello' });
    add('empty chunked', ['Transfer-Encoding: chunked'], '0\r\n\r\n', {});
    const inner = 'GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n';
    add('a request as body', [`Content-Length: ${inner.length}`], inner, { body: inner });
    add('a request as chunk', ['Transfer-Encoding: chunked'], `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`, { body: inner });
    list.refuse(`${method} bytes behind no body`, message(`${method} ${PATH} HTTP/1.1`, ['Host: localhost'], '()\r\n'), {
      after: [expectRequest({ method })],
    });
  }
  return list.cases.filter(({ id }) => !id.startsWith('body/HEAD bytes'));
}

type Piece = readonly [raw: string, expected: ExpectedRequest];

/** Requests of all framings in a random order, fixed by a seed; with one that is to be refused somewhere among them. */
function pipelines(): readonly RequestCase[] {
  const list = new RequestCases(
    'pipeline',
    'requests of one connection are served in order; after a bad one nothing is (RFC 9112 §9.3.2, §9.6)',
  );
  const random = seededRandom(0x5eed);
  const badOnes = [
    'GET  / HTTP/1.1\r\nHost: localhost\r\n\r\n',
    'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n',
    'GET / HTTP/1.1\r\nHost : x\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    '\n',
    'GET / HTTP/1.1\nHost: localhost\n\n',
  ];
  const badOne = (): string => badOnes[random.below(badOnes.length)] ?? '';
  for (let index = 0; index < 60; index++) {
    const pieces = Array.from({ length: 2 + random.below(9) }, (_, at) => piece(random, at));
    const raw = (some: readonly Piece[]): string => some.map(([bytes]) => bytes).join('');
    const expected = (some: readonly Piece[]): readonly ExpectedRequest[] => some.map(([, one]) => one);
    if (index % 3 === 0) {
      list.refuse(`${index} all bad behind`, raw(pieces) + badOne(), { after: expected(pieces) });
    } else if (index % 3 === 1) {
      const last = pieces.length - 1;
      const [bytes, one] = pieces[last] ?? piece(random, last);
      list.refuse(`${index} one bad between`, raw(pieces.slice(0, last)) + badOne() + bytes.replaceAll(one.target, `/${TOKEN}/smuggled`), {
        after: expected(pieces.slice(0, last)),
      });
    } else {
      const last = `/${TOKEN}/p`;
      list.acceptSeveral(`${index} all good`, raw(pieces), expected(pieces));
      list.acceptSeveralLast(`${index} closed behind`, raw(pieces) + get(['Connection: close']).replace(PATH, `${last}9`), [
        ...expected(pieces),
        expectRequest({ target: `${last}9` }),
      ]);
    }
  }
  return list.cases;
}

function piece(random: Random, at: number): Piece {
  const target = `/${TOKEN}/p${at}`;
  const body = `${at}-`.repeat(random.below(20));
  switch (random.below(4)) {
    case 0:
      return [message(`GET ${target} HTTP/1.1`, ['Host: localhost']), expectRequest({ target })];
    case 1:
      return [
        message(`PUT ${target} HTTP/1.1`, ['Host: localhost', `Content-Length: ${body.length}`], body),
        expectRequest({ method: 'PUT', target, body }),
      ];
    case 2: {
      const chunks = body === '' ? '' : `${body.length.toString(16)}\r\n${body}\r\n`;
      return [
        message(`POST ${target} HTTP/1.1`, ['Host: localhost', 'Transfer-Encoding: chunked'], `${chunks}0\r\n\r\n`),
        expectRequest({ method: 'POST', target, body }),
      ];
    }
    default:
      return [
        message(`DELETE ${target} HTTP/1.1`, ['Host: localhost', 'Connection: keep-alive'], '\r\n'),
        expectRequest({ method: 'DELETE', target }),
      ];
  }
}

/** Whole requests, cut behind each of their bytes. */
function cuts(): readonly RequestCase[] {
  const list = new RequestCases('cut', 'a request that the end of the connection cuts is never complete (RFC 9112 §8)');
  const first = get();
  const messages: readonly (readonly [name: string, raw: string])[] = [
    ['get', get(['X-A: 1'])],
    ['length', post(['Content-Length: 5'], 'hello')],
    ['chunked', post(['Transfer-Encoding: chunked'], '5;a="b"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n')],
  ];
  for (const [name, raw] of messages) {
    for (let at = 1; at < raw.length; at++) list.truncate(`${name} at ${at}`, raw.slice(0, at));
  }
  for (const at of [1, 5, 20, NEXT.length - 1]) list.truncate(`second at ${at}`, first + NEXT.slice(0, at), [expectRequest()]);
  return list.cases;
}
