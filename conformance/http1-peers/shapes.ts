/** The enumerated shapes: one plan for each combination that a client or a server could treat in a way of its own. */
import type { FieldLine } from '@ferrata/testkit';
import { type Plan, plan, type RequestPlan, type ResponsePlan } from './plan.ts';

const SIZES = [1, 100, 65_536, 1_048_576];
const TRAILERS: readonly FieldLine[] = [
  ['X-Sum', 'abc=='],
  ['x-empty', ''],
  ['Server-Timing', 'db;dur=1.5, app;dur=2'],
];

/** All enumerated plans, each id once. */
export function enumeratedPlans(): readonly Plan[] {
  return [
    ...requestShapes(),
    ...responseShapes(),
    ...sizeShapes(),
    ...fieldShapes(),
    ...targetShapes(),
    ...interimShapes(),
    ...expectationShapes(),
    ...earlyShapes(),
    ...connectionShapes(),
    ...http10Shapes(),
  ];
}

const REQUEST_FRAMINGS: Readonly<Record<string, Partial<RequestPlan>>> = {
  none: { framing: 'none' },
  empty: { framing: 'length', body: 0 },
  length: { framing: 'length', body: 300 },
  'empty-chunked': { framing: 'chunked', body: 0 },
  chunked: { framing: 'chunked', body: 300, pieceBytes: 70 },
  trailers: { framing: 'chunked', body: 300, pieceBytes: 299, trailers: TRAILERS },
};

/** Methods × framings of the request, content in requests that rarely have any among them (RFC 9110 §9.3). */
function requestShapes(): Plan[] {
  const methods = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'QUERY', 'PROPFIND', 'M-SEARCH', 'Custom!'];
  return methods.flatMap((method) =>
    Object.entries(REQUEST_FRAMINGS)
      .filter(([framing]) => method !== 'TRACE' || framing === 'none')
      .map(([framing, request]) => plan(`request/${method}/${framing}`, { method, target: `/request?${framing}`, ...request })),
  );
}

const RESPONSE_FRAMINGS: Readonly<Record<string, Partial<ResponsePlan>>> = {
  empty: { framing: 'length', body: 0 },
  length: { framing: 'length', body: 300 },
  'empty-chunked': { framing: 'chunked', body: 0 },
  chunked: { framing: 'chunked', body: 300, pieceBytes: 70 },
  trailers: { framing: 'chunked', body: 300, pieceBytes: 299, trailers: TRAILERS },
  'trailers-only': { framing: 'chunked', body: 0, trailers: TRAILERS },
  'until-close': { framing: 'untilClose', body: 300, pieceBytes: 100 },
  'empty-until-close': { framing: 'untilClose', body: 0 },
};

/** Methods × statuses × framings of the response; some statuses have no body whatever is announced (RFC 9112 §6.3). */
function responseShapes(): Plan[] {
  const reasons: Readonly<Record<number, string>> = {
    200: 'OK',
    201: '',
    206: 'Partial  Content',
    301: 'Moved',
    404: 'Not Found',
    503: 'Not now',
    999: 'Odd',
  };
  const shapes: Plan[] = [];
  for (const method of ['GET', 'HEAD', 'POST']) {
    for (const status of [200, 201, 206, 301, 404, 503, 999]) {
      for (const [framing, response] of Object.entries(RESPONSE_FRAMINGS)) {
        const request: Partial<RequestPlan> = method === 'POST' ? { method, framing: 'length', body: 10 } : { method };
        if (method === 'HEAD' && response.framing === 'untilClose') continue;
        shapes.push(plan(`response/${method}/${status}/${framing}`, request, { status, reason: reasons[status] ?? '', ...response }));
      }
    }
    for (const status of [204, 304]) {
      for (const body of [0, 300]) {
        if (status === 204 && body > 0) continue;
        const request: Partial<RequestPlan> = method === 'POST' ? { method, framing: 'chunked', body: 10 } : { method };
        shapes.push(plan(`response/${method}/${status}/announces-${body}`, request, { status, reason: 'Bodyless', body }));
      }
    }
    shapes.push(plan(`response/${method}/205`, { method, framing: 'length', body: 0 }, { status: 205, reason: 'Reset Content', body: 0 }));
  }
  return shapes;
}

/** Sizes × framings × pieces, both ways at once. */
function sizeShapes(): Plan[] {
  const shapes: Plan[] = [];
  for (const size of SIZES) {
    const pieceSizes = [0, 7, 1_000, 16_384, 65_535].filter(
      (pieceBytes) => pieceBytes < size && (pieceBytes !== 7 || size <= 100) && (pieceBytes !== 1_000 || size < 1_000_000),
    );
    for (const pieceBytes of pieceSizes) {
      for (const framing of ['length', 'chunked'] as const) {
        const id = `size/${framing}/${size}/in-${pieceBytes === 0 ? 'one' : pieceBytes}`;
        shapes.push(plan(id, { method: 'POST', framing, body: size, pieceBytes }, { framing, body: size, pieceBytes }));
      }
    }
    shapes.push(plan(`size/until-close/${size}`, {}, { framing: 'untilClose', body: size, pieceBytes: 10_000 }));
    shapes.push(
      plan(`size/mixed/${size}`, { method: 'PUT', framing: 'chunked', body: size, pieceBytes: 9_999 }, { framing: 'length', body: size }),
    );
  }
  return shapes;
}

const FIELDS: Readonly<Record<string, readonly FieldLine[]>> = {
  none: [],
  many: Array.from({ length: 80 }, (_, index): FieldLine => [`X-Field-${index}`, `value ${index}`]),
  'long-value': [['X-Long', 'v'.repeat(8_000)]],
  'long-name': [[`X-${'n'.repeat(200)}`, 'v']],
  'long-cookies': Array.from({ length: 3 }, (_, index): FieldLine => ['Cookie', `name${index}=${'c'.repeat(4_000)}`]),
  duplicates: [
    ['X-Twice', '1'],
    ['X-Other', '2'],
    ['x-twice', '3'],
    ['X-TWICE', '1'],
    ['Accept', 'a/b'],
    ['accept', 'c/d;q=0.5'],
  ],
  'set-cookie': [
    ['Set-Cookie', 'a=1; Path=/; HttpOnly'],
    ['set-cookie', 'b=2, c=3; Expires=Wed, 21 Oct 2015 07:28:00 GMT'],
    ['Set-Cookie', 'a=1; Path=/; HttpOnly'],
  ],
  traps: ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf', '0', '-1', 'length'].map((name): FieldLine => [name, 'set']),
  empty: [
    ['X-Empty', ''],
    ['Accept', ''],
    ['x-empty', ''],
    ['X-After', 'full'],
  ],
  'obs-text': [
    ['X-Latin', 'caf\xe9 \x80\xa0\xff'],
    ['X-Utf8', Buffer.from('snow ☃').toString('latin1')],
  ],
  tokens: [
    ["!#$%&'*+-.^_`|~", 'every mark of a token'],
    ['UPPER-lower', 'Case'],
    ['z', '1'],
    ['x_under', 'score'],
  ],
  values: [
    ['X-Tab', 'a\tb'],
    ['X-Quoted', '"a, \\"b\\"; c" , , ;=,'],
    ['X-Colon', ': : GET / HTTP/1.1'],
    ['X-Percent', '%0d%0aX-Injected: 1'],
    ['X-Length', 'Content-Length: 5'],
  ],
  'look-alikes': [
    ['Content-Length-', '5'],
    ['X-Content-Length', '5'],
    ['Transfer-Encodin', 'chunked'],
    ['Content_Length', '7'],
    ['Connectionn', 'close'],
    ['Hos', 'a'],
  ],
  ordinary: [
    ['User-Agent', 'Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36'],
    ['Accept', 'text/html,application/xhtml+xml;q=0.9,*/*;q=0.8'],
    ['Accept-Encoding', 'gzip, deflate, br, zstd'],
    ['Content-Type', 'application/octet-stream'],
    ['Cache-Control', 'no-cache, no-store'],
    ['ETag', 'W/"a"'],
    ['Vary', '*'],
    ['Via', '1.0 fred, 1.1 p.example'],
    ['Authorization', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='],
    ['Range', 'bytes=0-9'],
    ['X-Forwarded-For', '10.0.0.1'],
  ],
};

/** Field shapes both ways, with and without a body. */
function fieldShapes(): Plan[] {
  return Object.entries(FIELDS).flatMap(([name, fields]) => [
    plan(`fields/${name}/plain`, { fields }, { fields, body: 0 }),
    plan(
      `fields/${name}/chunked`,
      { method: 'POST', fields, framing: 'chunked', body: 50, pieceBytes: 20 },
      { fields, framing: 'chunked', body: 50 },
    ),
    plan(`fields/${name}/head`, { method: 'HEAD', fields }, { status: 404, reason: 'Not Found', fields, body: 5 }),
  ]);
}

function targetShapes(): Plan[] {
  const targets: Readonly<Record<string, string>> = {
    root: '/',
    query: '/?',
    'long-query': `/q?${'a=b&'.repeat(500)}`,
    'double-slash': '//a//b/',
    dots: '/a/../b/./c',
    percent: '/%2e%2e%2f%00%0d%0a?%20',
    marks: "/-._~!$&'()*+,;=:@",
    'request-line': '/HTTP/1.1',
    absolute: 'http://other.example:81/path?q=1',
    'absolute-root': 'http://other.example',
    'absolute-query': 'http://other.example?q',
    'long-path': `/${'p'.repeat(7_000)}`,
  };
  return [
    ...Object.entries(targets).map(([name, target]) => plan(`target/${name}`, { target })),
    plan('target/asterisk', { method: 'OPTIONS', target: '*' }),
    plan('host/plain', { host: 'example.com' }),
    plan('host/ipv6', { host: '[2001:db8::1]:8080' }),
    plan('te/trailers', { fields: [['TE', 'trailers']] }, { framing: 'chunked', body: 10, trailers: TRAILERS }),
    plan(
      'trailer/announced',
      { method: 'POST', fields: [['Trailer', 'X-Sum, x-empty']], framing: 'chunked', body: 10, trailers: TRAILERS },
      { fields: [['trailer', 'X-Sum']], framing: 'chunked', body: 10, trailers: TRAILERS },
    ),
  ];
}

function interimShapes(): Plan[] {
  const hints: readonly FieldLine[] = [
    ['Link', '</style.css>; rel=preload; as=style'],
    ['X-Hint', '1'],
  ];
  const series: Readonly<Record<string, ResponsePlan['interim']>> = {
    '102': [{ status: 102, fields: [] }],
    '103': [{ status: 103, fields: hints }],
    '102-103-103': [
      { status: 102, fields: [] },
      { status: 103, fields: hints },
      { status: 103, fields: hints.slice(0, 1) },
    ],
    '110-199': [
      { status: 110, fields: [['X-Progress', '10']] },
      { status: 199, fields: [] },
    ],
    'unasked-100': [{ status: 100, fields: [] }],
    '100-103': [
      { status: 100, fields: [] },
      { status: 103, fields: hints },
    ],
  };
  return Object.entries(series).flatMap(([name, interim]) => [
    plan(`interim/${name}/get`, {}, { interim }),
    plan(`interim/${name}/head`, { method: 'HEAD' }, { interim }),
    plan(`interim/${name}/204`, {}, { interim, status: 204, reason: 'No Content', body: 0 }),
    plan(
      `interim/${name}/post`,
      { method: 'POST', framing: 'chunked', body: 1_000, pieceBytes: 300 },
      { interim, framing: 'chunked', body: 1_000, trailers: TRAILERS },
    ),
    plan(`interim/${name}/until-close`, {}, { interim, framing: 'untilClose', body: 100 }),
  ]);
}

function expectationShapes(): Plan[] {
  const bodies: Readonly<Record<string, Partial<RequestPlan>>> = {
    length: { framing: 'length', body: 300 },
    chunked: { framing: 'chunked', body: 300, pieceBytes: 100, trailers: TRAILERS },
    large: { framing: 'length', body: 1_048_576, pieceBytes: 65_536 },
  };
  const hint = [{ status: 103, fields: [['Link', '</a>; rel=preload'] as FieldLine] }];
  return Object.entries(bodies).flatMap(([name, body]) => [
    plan(`expect/waits/${name}`, { method: 'POST', expectation: 'waits', ...body }),
    plan(`expect/waits-103/${name}`, { method: 'PUT', expectation: 'waits', ...body }, { interim: hint }),
    plan(`expect/sends/${name}`, { method: 'POST', expectation: 'sends', ...body }),
    plan(
      `expect/refused-417/${name}`,
      { method: 'POST', expectation: 'waits', ...body },
      { when: 'refused', status: 417, reason: 'Expectation Failed' },
    ),
    plan(
      `expect/refused-401/${name}`,
      { method: 'POST', expectation: 'waits', ...body },
      { when: 'refused', status: 401, reason: 'Unauthorized', framing: 'chunked', body: 30 },
    ),
    plan(`expect/refused-200/${name}`, { method: 'PUT', expectation: 'waits', ...body }, { when: 'refused', isLast: true }),
  ]);
}

function earlyShapes(): Plan[] {
  const shapes: Plan[] = [];
  for (const size of [20, 20_000, 200_000]) {
    for (const framing of ['length', 'chunked'] as const) {
      const request: Partial<RequestPlan> = { method: 'POST', framing, body: size, pieceBytes: size / 4 };
      shapes.push(plan(`early/${framing}/${size}/413`, request, { when: 'early', status: 413, reason: 'Too Large', body: 50 }));
      shapes.push(plan(`early/${framing}/${size}/chunked`, request, { when: 'early', framing: 'chunked', body: 5_000, pieceBytes: 1_000 }));
    }
  }
  return shapes;
}

function connectionShapes(): Plan[] {
  const shapes: Plan[] = [];
  for (const connection of ['none', 'close', 'keep-alive'] as const) {
    for (const isLast of [false, true]) {
      for (const [name, response] of Object.entries(RESPONSE_FRAMINGS)) {
        if (response.framing === 'untilClose') continue;
        const id = `connection/${connection}/${isLast ? 'server-ends' : 'server-keeps'}/${name}`;
        shapes.push(plan(id, { method: 'POST', framing: 'length', body: 20, connection }, { isLast, ...response }));
      }
    }
  }
  return shapes;
}

function http10Shapes(): Plan[] {
  const shapes: Plan[] = [];
  for (const connection of ['none', 'close', 'keep-alive'] as const) {
    for (const [name, response] of Object.entries(RESPONSE_FRAMINGS)) {
      const id = `http10/${connection}/${name}`;
      shapes.push(plan(`${id}/get`, { minorVersion: 0, connection }, response));
      shapes.push(plan(`${id}/post`, { method: 'POST', framing: 'length', body: 99, minorVersion: 0, connection }, response));
    }
    shapes.push(plan(`http10/${connection}/head`, { method: 'HEAD', minorVersion: 0, connection }));
    shapes.push(
      plan(`http10/${connection}/interim`, { minorVersion: 0, connection }, { interim: [{ status: 103, fields: [['X-Hint', '1']] }] }),
    );
  }
  return shapes;
}
