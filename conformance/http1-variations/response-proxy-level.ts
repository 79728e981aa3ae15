/** The proxy level of responses: an origin sends the bytes of a case through a running proxy to a client that takes apart what it gets. */
import type { Outcome } from '../runner.ts';
import { atOnce } from './proxy-level.ts';
import type { Line } from './request-case.ts';
import type { ResponseCase } from './response-case.ts';
import { ask, type SeenAnswer } from './response-client.ts';
import type { ScriptedOrigin } from './scripted-origin.ts';

/** How long a proxy may stay silent. */
const QUIET_MS = 5_000;

/** What is run, and against what. */
export interface ResponseProxyRun {
  readonly port: number;
  readonly origin: ScriptedOrigin;
  /** Null while the proxy runs. */
  exit(): string | null;
}

/** Runs cases through a proxy; `cases` are the ones that the origin was made with. */
export async function runResponsesThroughProxy(
  cases: readonly ResponseCase[],
  { port, origin, exit }: ResponseProxyRun,
): Promise<readonly Outcome[]> {
  const outcomes = await atOnce([...cases.entries()], async ([index, one]): Promise<Outcome | null> => {
    if (one.proxy === 'none' || one.methods.length !== 1 || exit() !== null) return null;
    const answer = await ask(port, one.methods[0] as string, `/r/${index}`, QUIET_MS);
    return { id: `proxy/response/${one.id}`, problem: judgeSeen(one, answer) };
  });
  const { reuses, malformed } = origin.take();
  return [
    ...outcomes.filter((outcome) => outcome !== null),
    {
      id: 'proxy/response: no connection is used again that must not be',
      problem: reuses.length === 0 ? null : `${reuses.length} were, as ${reuses.slice(0, 5).join('; ')}`,
    },
    {
      id: 'proxy/response: the origin understands every request',
      problem: malformed.length === 0 ? null : malformed.slice(0, 5).join('; '),
    },
  ];
}

/** Interim responses to one request that a client is told of; the others are dropped. */
const MAX_TOLD_INTERIM = 8;

/** @returns what is wrong, or null */
export function judgeSeen(one: ResponseCase, { interim, final, rest, isClosed }: SeenAnswer): string | null {
  if (rest !== '' && final !== null) return `${JSON.stringify(rest.slice(0, 80))} came behind the response`;
  if (rest.includes('smuggled')) return `${JSON.stringify(rest.slice(0, 80))} came instead of a response`;
  if (!isClosed) return 'neither an end nor a byte came in time';
  const isRefused = one.proxy === 'refused' || one.proxy === 'refused-only' || one.ending === 'refused' || one.ending === 'lost';
  const isForwarded = !isRefused && one.ending !== 'cut';
  const told = JSON.stringify(interim);
  const due = JSON.stringify(one.interim.slice(0, MAX_TOLD_INTERIM));
  // What was forwarded before a refusal was right when it was.
  if (isForwarded ? told !== due : one.proxy === 'same' && !due.startsWith(told.slice(0, -1))) {
    return `interim responses ${told} instead of ${due}`;
  }
  if (isRefused) return final?.status === 502 && final.isComplete ? null : `answered ${final?.status ?? 'nothing'}, where 502 is due`;
  if (one.ending === 'cut') {
    return final === null || final.status === 502 || !final.isComplete
      ? null
      : `the client takes ${JSON.stringify(final.body.slice(0, 80))} for the whole of a body that was cut`;
  }
  const expected = one.finals[0];
  if (expected === undefined) throw new TypeError(`${one.id}: ends '${one.ending}' without a response`);
  if (final === null) return 'no response came';
  const names = new Set(expected.fields.map(([name]) => name.toLowerCase()));
  const seen = {
    status: final.status,
    reason: expected.reason === null ? null : final.reason,
    body: final.body,
    trailers: expected.trailers === null ? null : final.trailers,
    fields: final.fields.filter(([name]) => names.has(name)),
    isComplete: final.isComplete,
  };
  const wanted = {
    ...expected,
    trailers: expected.trailers === null ? null : lowered(expected.trailers),
    fields: lowered(expected.fields),
    isComplete: true,
  };
  const [a, b] = [seen, wanted].map(({ status, reason, body, trailers, fields, isComplete }) =>
    JSON.stringify({ status, reason, body, trailers, fields, isComplete }),
  );
  return a === b ? null : `the client saw ${a?.slice(0, 300)} instead of ${b?.slice(0, 300)}`;
}

function lowered(lines: readonly Line[]): readonly Line[] {
  return lines.map(([name, value]): Line => [name.toLowerCase(), value]);
}
