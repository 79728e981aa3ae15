/** The field lines of a plan as HTTP/2 has them: pseudo-header fields first, names in lower case, no framing but a length. */
import type { FieldLine } from '@ferrata/testkit';
import { lengthOf, type Plan, TOKEN_FIELD } from '../http1-peers/plan.ts';

/** RFC 9113 §8.3.1. */
export function requestFieldLines({ request }: Plan, token: string): FieldLine[] {
  const { method, target, host, fields, expectation, framing, body } = request;
  const lines: FieldLine[] = [
    [':method', method],
    [':scheme', 'http'],
    [':authority', host],
    [':path', target],
    [TOKEN_FIELD.toLowerCase(), token],
    ...lowerCase(fields),
  ];
  if (expectation !== 'none') lines.push(['expect', '100-continue']);
  if (framing === 'length') lines.push(['content-length', String(lengthOf(body))]);
  return lines;
}

/** RFC 9113 §8.3.2. */
export function responseFieldLines(one: Plan, token: string): FieldLine[] {
  const { status, framing, body, fields } = one.response;
  const lines: FieldLine[] = [[':status', String(status)], [TOKEN_FIELD.toLowerCase(), token], ...lowerCase(fields)];
  if (framing === 'length' && status !== 204) lines.push(['content-length', String(lengthOf(body))]);
  return lines;
}

/** Names in lower case (RFC 9113 §8.2). */
export function lowerCase(fields: readonly FieldLine[]): FieldLine[] {
  return fields.map(([name, value]): FieldLine => [name.toLowerCase(), value]);
}

/** The lines of a received section without its pseudo-header fields, and `:authority` as the Host it stands for. */
export function withoutPseudo(lines: readonly FieldLine[]): FieldLine[] {
  return lines.flatMap(([name, value]): FieldLine[] => {
    if (name === ':authority') return [['host', value]];
    return name.startsWith(':') ? [] : [[name, value]];
  });
}

/** The value of a pseudo-header field, or an empty string. */
export function pseudoOf(lines: readonly FieldLine[], name: string): string {
  return lines.find((line) => line[0] === name)?.[1] ?? '';
}
