/**
 * How often llhttp, strict, in two builds (undici's WebAssembly and Node's own parser), differs from the rules. It is information, not a
 * verdict: a difference is no fault of ours, and says where the parsers in use are more lenient or know fewer methods.
 */
import { type Http1Oracle, LlhttpOracle, NodeParserOracle, type OracleMessage, type OracleResult } from '@ferrata/testkit';
import type { RequestCase } from './request-case.ts';
import type { ResponseCase } from './response-case.ts';

/** The longest case that is shown to the oracles. */
const MAX_BYTES = 524_288;

/** What an oracle makes of a case. */
export type Difference = 'accepts what is to be refused' | 'refuses what is to be accepted' | 'reads another message';

/** Options of `compareWithOracles`. */
export interface OracleReportOptions {
  /** A line for each class, not only the sums. */
  readonly isDetailed: boolean;
}

/** @returns lines to print */
export function compareWithOracles(
  requests: readonly RequestCase[],
  responses: readonly ResponseCase[],
  { isDetailed }: OracleReportOptions,
): readonly string[] {
  const lines: string[] = [];
  const oracles: readonly (readonly [string, Http1Oracle])[] = [
    ['llhttp of undici', new LlhttpOracle(MAX_BYTES)],
    ["Node's parser", new NodeParserOracle()],
  ];
  for (const [name, oracle] of oracles) {
    for (const [kind, cases] of [
      ['requests', requests.map((one) => [one.id, requestDifference(one, oracle)] as const)],
      ['responses', responses.map((one) => [one.id, responseDifference(one, oracle)] as const)],
    ] as const) {
      const different = cases.filter(([, difference]) => difference !== null);
      const sums = [...Map.groupBy(different, ([, difference]) => difference)].map(
        ([difference, list]) => `${difference ?? ''}: ${list.length} (${classesOf(list, isDetailed)})`,
      );
      lines.push(
        `${name} differs from the rules on ${different.length} of ${cases.length} ${kind}${sums.map((sum) => `\n    ${sum}`).join('')}`,
      );
    }
  }
  return lines;
}

function classesOf(list: readonly (readonly [id: string, difference: Difference | null])[], isDetailed: boolean): string {
  const counts = [...Map.groupBy(list, ([id]) => id.slice(0, id.indexOf('/')))].map(
    ([name, members]) => [name, members.length, members[0]?.[0] ?? ''] as const,
  );
  const sorted = counts.toSorted((one, other) => other[1] - one[1]);
  return sorted
    .map(([name, count, example]) => (isDetailed ? `\n      ${name} ${count}, as ${JSON.stringify(example)}` : `${name} ${count}`))
    .join(', ');
}

/** @returns null if the oracle agrees */
export function requestDifference(one: RequestCase, oracle: Http1Oracle): Difference | null {
  const data = Buffer.from(one.raw, 'latin1');
  // Limits are everybody's own.
  if (data.length > MAX_BYTES || one.id.startsWith('limit/')) return null;
  const result = oracle.parse(data, { kind: 'request', isEnded: one.ending === 'truncated' });
  const { messages } = result;
  const expected = one.serves.map(({ method, target, body }) => JSON.stringify([method, target, body]));
  const seen = messages.filter(({ isComplete }) => isComplete).map(({ start, rest, body }) => JSON.stringify([start, rest, body]));
  return difference({
    expected,
    seen,
    isRefusal: one.ending === 'refused' || one.ending === 'truncated',
    isOpen: one.ending === 'open',
    result,
  });
}

/** @returns null if the oracle agrees */
export function responseDifference(one: ResponseCase, oracle: Http1Oracle): Difference | null {
  const data = Buffer.from(one.raw, 'latin1');
  // What nobody asked for, an oracle that is not told who asked cannot know; and tunnels are no HTTP.
  if (
    data.length > MAX_BYTES ||
    one.id.startsWith('limit/') ||
    one.proxy === 'refused-only' ||
    one.ending === 'tunnel' ||
    one.ending === 'stray'
  )
    return null;
  const result = oracle.parse(data, { kind: 'response', isBodyless: (index) => one.methods[index] === 'HEAD', isEnded: one.isEnded });
  const expected = one.finals.map(({ status, body }) => JSON.stringify([String(status), body]));
  const seen = result.messages
    .filter(({ isComplete, start }: OracleMessage) => isComplete && Number(start) >= 200)
    .map(({ start, body }) => JSON.stringify([start, body]));
  const isRefusal = one.ending === 'refused' || one.ending === 'cut' || one.ending === 'lost';
  return difference({ expected, seen, isRefusal, isOpen: one.ending === 'reusable', result });
}

interface Compared {
  readonly expected: readonly string[];
  readonly seen: readonly string[];
  readonly isRefusal: boolean;
  readonly isOpen: boolean;
  readonly result: OracleResult;
}

function difference({ expected, seen, isRefusal, isOpen, result }: Compared): Difference | null {
  const common = expected.every((text, index) => text === seen[index]);
  if (isRefusal) {
    if (!common) return result.error === null ? 'reads another message' : 'refuses what is to be accepted';
    // A message that is never complete is as good as refused.
    return seen.length > expected.length ? 'accepts what is to be refused' : null;
  }
  if (common) return isOpen && result.error !== null ? 'refuses what is to be accepted' : null;
  return result.error === null ? 'reads another message' : 'refuses what is to be accepted';
}
