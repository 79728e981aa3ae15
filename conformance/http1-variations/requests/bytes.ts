/**
 * Bytes where none belongs: at every position of whole requests one of the bytes that readers take for a blank, a line end or nothing at all, put
 * in and put in place of what is there; and every one of the 256 bytes at chosen places.
 */
import {
  BAD_REQUEST,
  expectRequest,
  type RequestCase,
  RequestCases,
  type RequestTraits,
  TOKEN,
  trimBlanks,
  visible,
} from '../request-case.ts';
import {
  BODY_OF_NINE,
  CHUNKED,
  EOL,
  fieldLine,
  LENGTH_OF_NINE,
  linesOfMeaning,
  type Segment,
  segment,
  syntax,
  textOf,
  textOfMeaning,
  variationsAt,
} from '../segments.ts';
import { STRAYS } from './spellings.ts';

const TOKEN_RULE = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const HOST_RULE = /^[\t ]*(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+(?::[0-9]{0,4})?[\t ]*$/;

function start(method: string): readonly Segment[] {
  return [
    segment('method', method, TOKEN_RULE),
    syntax(' '),
    segment('target', `/${TOKEN}/a`, /^\/[\x21\x22\x24-\x7e]*$/),
    syntax(' '),
    segment('version', 'HTTP/1.1', /^HTTP\/1\.[0-9]$/),
    EOL,
    syntax('Host'),
    syntax(':'),
    syntax(' ', /^[\t ]*$/),
    segment('host', 'localhost', HOST_RULE),
    EOL,
  ];
}

const GET: readonly Segment[] = [...start('GET'), ...fieldLine('X-Some', 'some value'), ...fieldLine('X-Empty', ''), EOL];

const REQUESTS: readonly (readonly [name: string, segments: readonly Segment[]])[] = [
  ['get', GET],
  ['length', [...start('POST'), ...LENGTH_OF_NINE, ...fieldLine('X-Last', '1'), EOL, BODY_OF_NINE]],
  ['chunked', [...start('PUT'), ...CHUNKED]],
];

/** Stray bytes at every position, all 256 at chosen places, line breaks everywhere. @returns the cases, with `TOKEN_` still in them */
export function byteCases(): readonly RequestCase[] {
  const cases: RequestCase[] = [];
  for (const [name, segments] of REQUESTS) {
    const list = new RequestCases(
      `bytes-${name}`,
      'no control byte, no bare CR or LF, no blank but where the grammar has one (RFC 9112 §2.2, §3, §5, §7.1; RFC 9110 §5.5)',
    );
    const { length } = textOf(segments);
    for (let at = 0; at < length; at++) for (const byte of STRAYS) vary(list, segments, at, byte);
    cases.push(...list.cases);
  }
  const list = new RequestCases('every-byte', 'which of the 256 bytes may stand where (RFC 9110 §5.1, §5.5, §5.6.2, §9.1; RFC 9112 §3)');
  const text = textOf(GET);
  const places = ['ET', 'EN_', '/a HTTP', '1.1', '.1', 'ocal', ' some', 'ome value', ' value'].map((near) => text.indexOf(near));
  for (const at of places) for (let code = 0; code < 256; code++) vary(list, GET, at, String.fromCharCode(code));
  cases.push(...list.cases, ...names(), ...lineBreaks());
  return cases;
}

function vary(list: RequestCases, segments: readonly Segment[], at: number, byte: string): void {
  for (const variation of variationsAt(segments, at, byte)) {
    const { id, raw } = variation;
    if (variation.segments === null) list.refuse(id, raw, { statuses: statusesOf(raw) });
    else if (variation.isShifted) list.refuse(id, raw, { after: [expectRequest(meaningOf(variation.segments))] });
    // HTTP/1.0 without keep-alive ends the connection.
    else if (textOfMeaning(variation.segments, 'version') === 'HTTP/1.0') list.acceptLast(id, raw, meaningOf(variation.segments));
    else list.accept(id, raw, meaningOf(variation.segments));
  }
}

/** 505 for another major version, if it is the only thing wrong in the request line (RFC 9110 §15.6.6). */
function statusesOf(raw: string): readonly number[] {
  return /^[A-Z]+ \/[\x21\x22\x24-\x7e]* HTTP\/[02-9]\.[0-9]\r\n/.test(raw) ? [505] : BAD_REQUEST;
}

/** Every byte in a field name: before, inside, in place of, behind. */
function names(): readonly RequestCase[] {
  const list = new RequestCases(
    'every-name-byte',
    'field-name = token (RFC 9110 §5.1), and nothing between it and the colon (RFC 9112 §5.1)',
  );
  for (let code = 0; code < 256; code++) {
    const byte = String.fromCharCode(code);
    for (const name of [`${byte}X-Name`, `X-${byte}Name`, `X-${byte}ame`, `X-Name${byte}`]) {
      const raw = `${textOf(start('GET'))}${name}: v\r\n\r\n`;
      const colon = name.indexOf(':');
      const [real, value] = colon < 0 ? [name, 'v'] : [name.slice(0, colon), trimBlanks(`${name.slice(colon + 1)}: v`)];
      if (TOKEN_RULE.test(real)) list.accept(visible(name), raw, { fields: [[real, value]] });
      else list.refuse(visible(name), raw);
    }
  }
  return list.cases;
}

/** Line breaks and what looks like one, put in everywhere: only whole ones between lines mean anything, and there they end the head. */
function lineBreaks(): readonly RequestCase[] {
  const list = new RequestCases(
    'line-break',
    'CRLF ends a line and nothing else does; an empty line ends the head, and what follows is another request (RFC 9112 §2.1, §2.2)',
  );
  const text = textOf(GET);
  const hostEnd = text.indexOf('\r\n', text.indexOf('Host')) + 2;
  // Up to the last CR: behind it lies the next request.
  for (let at = 0; at < text.length - 1; at++) {
    const isBetweenLines = at === 0 || text.startsWith('\r\n', at) || text.startsWith('\r\n', at - 2);
    for (const end of ['\r\n', '\r\n ', '\r\n\t', '\r\r\n', '\n\n', '\n ', '\r ', ' \r\n ', '\r\n:', '\0\r\n']) {
      const id = `${at} ${visible(end)}`;
      const raw = text.slice(0, at) + end + text.slice(at);
      const isWhole = end === '\r\n';
      if (isWhole && at === 0) list.accept(id, raw, {});
      else if (isWhole && isBetweenLines && at >= text.length - 4) list.accept(id, raw, {});
      else if (isWhole && isBetweenLines && at >= hostEnd - 2) list.refuse(id, raw, { after: [expectRequest()] });
      // At the beginning of a line: it ends the head, and something that is no request follows.
      else if (end.startsWith('\r\n') && text.startsWith('\r\n', at - 2) && at >= hostEnd)
        list.refuse(id, raw, { after: [expectRequest()] });
      else list.refuse(id, raw);
    }
  }
  return list.cases;
}

function meaningOf(segments: readonly Segment[]): RequestTraits {
  const trailers = linesOfMeaning(segments, 'trailer');
  return {
    method: textOfMeaning(segments, 'method'),
    target: textOfMeaning(segments, 'target'),
    host: trimBlanks(textOfMeaning(segments, 'host')),
    fields: linesOfMeaning(segments, 'field'),
    body: textOfMeaning(segments, 'body') + textOfMeaning(segments, 'data'),
    trailers: trailers.length === 0 ? null : trailers,
  };
}
