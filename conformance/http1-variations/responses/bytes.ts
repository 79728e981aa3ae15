/** Bytes where none belongs, at every position of whole responses; and the limits, each reached and passed by one. */
import { trimBlanks } from '../request-case.ts';
import { STRAYS } from '../requests/spellings.ts';
import { type ResponseCase, ResponseCases, type ResponseTraits, response } from '../response-case.ts';
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

const START: readonly Segment[] = [
  segment('version', 'HTTP/1.1', /^HTTP\/1\.[1-9]$/),
  syntax(' '),
  syntax('200'),
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the grammar has a tab
  segment('reason', ' All right', /^ [\t\x20-\x7e\x80-\xff]*$/),
  EOL,
];

const RESPONSES: readonly (readonly [name: string, segments: readonly Segment[]])[] = [
  ['length', [...START, ...LENGTH_OF_NINE, ...fieldLine('X-Some', 'some value'), ...fieldLine('X-Empty', ''), EOL, BODY_OF_NINE]],
  ['chunked', [...START, ...fieldLine('X-First', '1'), ...CHUNKED]],
];

/** Stray bytes at every position of responses, and the limits of their heads. @returns the cases */
export function responseByteCases(): readonly ResponseCase[] {
  const cases: ResponseCase[] = [];
  for (const [name, segments] of RESPONSES) {
    const list = new ResponseCases(
      `bytes-${name}`,
      'no control byte, no bare CR or LF, no blank but where the grammar has one (RFC 9112 §2.2, §4, §5, §7.1; RFC 9110 §5.5)',
    );
    const text = textOf(segments);
    const headEnd = text.indexOf('\r\n\r\n') + 4;
    for (let at = 0; at < text.length; at++) for (const byte of STRAYS) vary(list, segments, at, { byte, headEnd });
    cases.push(...list.cases);
  }
  return [...cases, ...limits()];
}

function vary(
  list: ResponseCases,
  segments: readonly Segment[],
  at: number,
  { byte, headEnd }: { readonly byte: string; readonly headEnd: number },
): void {
  for (const { id, raw, segments: changed, isShifted } of variationsAt(segments, at, byte)) {
    if (changed !== null) {
      if (isShifted) list.stray(id, raw, meaningOf(changed));
      else list.accept(id, raw, meaningOf(changed));
    } else if (textOf(segments).slice(0, headEnd) === raw.slice(0, headEnd)) {
      list.cut(id, raw);
    } else {
      list.refuse(id, raw);
    }
  }
}

function meaningOf(segments: readonly Segment[]): ResponseTraits {
  const trailers = linesOfMeaning(segments, 'trailer');
  return {
    fields: linesOfMeaning(segments, 'field'),
    body: textOfMeaning(segments, 'body') + textOfMeaning(segments, 'data'),
    trailers: trailers.length === 0 ? null : trailers.map(([name, value]) => [name, trimBlanks(value)]),
  };
}

function limits(): readonly ResponseCase[] {
  const list = new ResponseCases('limit', 'the limits of the README: what reaches one is served, what passes one is refused');
  const hello = { body: 'hello' };
  const lengthed = (lines: readonly string[], start?: string): string => response(['Content-Length: 5', ...lines], 'hello', start);
  list.accept('status line of 8192', lengthed([], `HTTP/1.1 200 ${'r'.repeat(8_192 - 13)}`), hello);
  for (const length of [8_193, 20_000]) list.refuse(`status line of ${length}`, lengthed([], `HTTP/1.1 200 ${'r'.repeat(length - 13)}`));
  list.accept('name of 256', lengthed([`${'n'.repeat(256)}: 1`]), hello);
  list.refuse('name of 257', lengthed([`${'n'.repeat(257)}: 1`]));
  list.accept('field line of 16384', lengthed([`X: ${'v'.repeat(16_384 - 3)}`]), hello);
  for (const length of [16_385, 100_000]) list.refuse(`field line of ${length}`, lengthed([`X: ${'v'.repeat(length - 3)}`]));
  const many = (count: number): readonly string[] => Array.from({ length: count }, (_, index) => `X-${index}: ${index}`);
  for (const count of [199, 200]) list.accept(`${count} fields`, lengthed(many(count - 1)), hello);
  for (const count of [201, 5_000]) list.refuse(`${count} fields`, lengthed(many(count - 1)));
  const headOf = (length: number): string => {
    const lines = ['Content-Length: 5', `A: ${'v'.repeat(15_000)}`, `B: ${'v'.repeat(10_000)}`];
    const used = `HTTP/1.1 200 OK\r\n${lines.join('\r\n')}\r\nC: \r\n\r\n`.length;
    return response([...lines, `C: ${'v'.repeat(length - used)}`], 'hello');
  };
  for (const length of [32_767, 32_768]) list.accept(`head of ${length}`, headOf(length), hello);
  for (const length of [32_769, 40_000]) list.refuse(`head of ${length}`, headOf(length));
  const chunked = (rest: string): string => response(['Transfer-Encoding: chunked'], rest);
  list.accept('chunk line of 256', chunked(`5;${'e'.repeat(254)}\r\nhello\r\n0\r\n\r\n`), hello);
  list.cut('chunk line of 257', chunked(`5;${'e'.repeat(255)}\r\nhello\r\n0\r\n\r\n`));
  const trailed = (lines: readonly string[]): string => chunked(`5\r\nhello\r\n0\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`);
  list.accept('32 trailers', trailed(many(32)), hello);
  list.cut('33 trailers', trailed(many(33)));
  list.accept('trailer section of 8192', trailed([`X: ${'v'.repeat(8_192 - 7)}`]), hello);
  list.cut('trailer section of 8193', trailed([`X: ${'v'.repeat(8_193 - 7)}`]));
  return list.cases;
}
