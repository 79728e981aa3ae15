/**
 * Requests of other classes turned into responses: what Content-Length, Transfer-Encoding, chunks and trailers mean, and what is wrong with
 * them, does not depend on the direction (RFC 9112 §6, §7). Only a message that names no length differs: such a response ends with its
 * connection.
 */
import { NEXT, type RequestCase, SMUGGLED, TOKEN } from '../request-case.ts';
import { chunkCases } from '../requests/chunks.ts';
import { contentLengthCases } from '../requests/content-length.ts';
import { trailerCases } from '../requests/trailers.ts';
import { transferEncodingCases } from '../requests/transfer-encoding.ts';
import { type ExpectedResponse, expectResponse, type ResponseCase, ResponseCases, SMUGGLED_RESPONSE } from '../response-case.ts';

const REQUEST_LINE = `POST /${TOKEN}/a HTTP/1.`;

/** The framing, chunks and trailers of the requests, as responses. @returns the cases */
export function mirroredCases(): readonly ResponseCase[] {
  const cases: ResponseCase[] = [];
  // Framing is judged at the end of the head, chunks and trailers when the head has been an event already.
  for (const [requests, isInBody] of [
    [contentLengthCases(), false],
    [transferEncodingCases(), false],
    [chunkCases(), true],
    [trailerCases(), true],
  ] as const) {
    for (const [name, group] of Map.groupBy(requests, ({ id }) => id.slice(0, id.indexOf('/')))) {
      const list = new ResponseCases(`as-${name}`, `as in a request: ${group[0]?.rule ?? ''}`);
      for (const one of group) if (one.raw.startsWith(REQUEST_LINE)) mirror(list, one, isInBody);
      cases.push(...list.cases);
    }
  }
  return cases;
}

function mirror(list: ResponseCases, one: RequestCase, isInBody: boolean): void {
  const name = one.id.slice(one.id.indexOf('/') + 1);
  const tail = one.ending === 'truncated' ? '' : one.ending === 'open' ? NEXT : SMUGGLED;
  const raw = one.raw.slice(0, one.raw.length - tail.length).replace(/^POST \S+ (HTTP\/1\.\d)/, '$1 200 OK');
  const finals = one.serves
    .filter(({ path }) => !path.endsWith('/next'))
    .map(({ body, trailers, fields }): ExpectedResponse => expectResponse({ body, trailers, fields }));
  switch (one.ending) {
    case 'open': {
      const isFramed = /\r\n(?:content-length|transfer-encoding):/i.test(raw);
      // An empty line behind a request is skipped; behind a response nothing is.
      if (/empty lines? behind/.test(name)) list.add(name, raw, finals, 'stray');
      else if (isFramed) list.add(name, raw, finals, 'reusable');
      else list.add(name, raw, finals, 'last', { isEnded: true });
      return;
    }
    case 'refused':
      if (finals.length > 0) list.add(name, raw, finals, 'stray');
      else list.add(name, raw + SMUGGLED_RESPONSE, [], isInBody ? 'cut' : 'refused');
      return;
    case 'truncated':
      list.add(name, raw, [], 'cut', { isEnded: true, proxy: one.proxy === 'none' ? 'none' : 'same' });
      return;
    default:
      throw new TypeError(`${one.id}: a request that ends '${one.ending}' has no mirror`);
  }
}
