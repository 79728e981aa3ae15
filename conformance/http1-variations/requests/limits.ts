/** Limits: each exactly reached, which is right, and passed by one. */
import { get, message, post, type RequestCase, RequestCases, TOKEN } from '../request-case.ts';

const PATH = `/${TOKEN}/a`;
const traits = { method: 'POST', body: 'hello' };

/** Puts `length` bytes of field lines, CRLFs included, in lines that break no other limit. */
function fieldsOf(length: number): string {
  let rest = length;
  let text = '';
  while (rest > 0) {
    const size = rest > 8_000 ? 4_000 : rest > 4_000 ? rest - 3_000 : rest;
    text += `X: ${'v'.repeat(size - 5)}\r\n`;
    rest -= size;
  }
  return text;
}

/** Each limit, reached and passed by one. @returns the cases, with `TOKEN_` still in them */
export function limitCases(): readonly RequestCase[] {
  const list = new RequestCases(
    'limit',
    'the limits of the README: what reaches one is served, what passes one is refused (RFC 9110 §5.4, §15.5.15; RFC 6585 §5)',
  );
  const start = `GET ${PATH} HTTP/1.1\r\nHost: localhost\r\n`;

  const target = (length: number): string => PATH + 'x'.repeat(length - PATH.length);
  list.accept('target of 8192', get().replace(PATH, target(8192)), { target: target(8192) });
  for (const length of [8193, 10_000, 40_000]) list.refuse(`target of ${length}`, get().replace(PATH, target(length)), { statuses: [414] });

  list.accept('name of 256', get([`${'n'.repeat(256)}: 1`]));
  for (const length of [257, 1000, 40_000]) list.refuse(`name of ${length}`, get([`${'n'.repeat(length)}: 1`]), { statuses: [431] });

  list.accept('field line of 16384', get([`X: ${'v'.repeat(16_384 - 3)}`]));
  for (const length of [16_385, 30_000, 100_000])
    list.refuse(`field line of ${length}`, get([`X: ${'v'.repeat(length - 3)}`]), { statuses: [431] });
  list.refuse('field line of blanks', get([`X:${' '.repeat(16_384)}v`]), { statuses: [431] });

  const many = (count: number): readonly string[] => Array.from({ length: count - 1 }, (_, index) => `X-${index}: ${index}`);
  for (const count of [99, 100]) list.accept(`${count} fields`, get(many(count)));
  for (const count of [101, 200, 1000]) list.refuse(`${count} fields`, get(many(count)), { statuses: [431] });

  // All of a head counts: request line, lines, the empty line. A proxy adds fields of its own to what it forwards.
  const headOf = (length: number): string => `${start}${fieldsOf(length - start.length - 2)}\r\n`;
  for (const length of [32_000, 32_767, 32_768]) list.accept(`head of ${length}`, headOf(length));
  for (const length of [32_769, 33_000, 65_536]) list.refuse(`head of ${length}`, headOf(length), { statuses: [431] });

  for (const length of [255, 256])
    list.accept(
      `chunk line of ${length}`,
      post(['Transfer-Encoding: chunked'], `5;${'e'.repeat(length - 2)}\r\nhello\r\n0\r\n\r\n`),
      traits,
    );
  for (const length of [257, 300, 5_000])
    list.refuse(`chunk line of ${length}`, post(['Transfer-Encoding: chunked'], `5;${'e'.repeat(length - 2)}\r\nhello\r\n0\r\n\r\n`));

  // 64 extensions of 256 bytes make 16 384; one byte more is too many.
  const extended = (count: number, more: string): string =>
    post(
      ['Transfer-Encoding: chunked'],
      `${`10;${'e'.repeat(253)}\r\n0123456789abcdef\r\n`.repeat(count)}10${more}\r\n0123456789abcdef\r\n0\r\n\r\n`,
    );
  const extendedBody = '0123456789abcdef'.repeat(65);
  list.accept('16256 bytes of extensions', extended(64, ''), { method: 'POST', body: extendedBody });
  list.accept('16384 bytes of extensions', extended(64, `;${'e'.repeat(127)}`), { method: 'POST', body: extendedBody });
  list.refuse('16385 bytes of extensions', extended(64, `;${'e'.repeat(128)}`), { statuses: [413] });

  const trailed = (lines: readonly string[]): string =>
    post(['Transfer-Encoding: chunked'], `5\r\nhello\r\n0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
  list.accept('32 trailers', trailed(many(33)), traits);
  for (const count of [33, 100]) list.refuse(`${count} trailers`, trailed(many(count + 1)), { statuses: [431] });
  list.accept('trailer section of 8192', trailed([`X: ${'v'.repeat(8_192 - 2 - 2 - 3)}`]), traits);
  for (const length of [8_193, 20_000])
    list.refuse(`trailer section of ${length}`, trailed([`X: ${'v'.repeat(length - 2 - 2 - 3)}`]), { statuses: [431] });

  const tiny = (count: number): string => post(['Transfer-Encoding: chunked'], `${'1\r\n.\r\n'.repeat(count)}0\r\n\r\n`);
  list.accept('65536 tiny chunks', tiny(65_536), { method: 'POST', body: '.'.repeat(65_536) });
  list.refuse('65537 tiny chunks', tiny(65_537), { statuses: [413] });

  list.refuse(
    'a head that never ends',
    message(`GET ${PATH} HTTP/1.1`, ['Host: localhost', ...Array.from({ length: 50_000 }, (_, index) => `X-${index}: y`)]),
    { statuses: [431] },
  );
  return list.cases;
}
