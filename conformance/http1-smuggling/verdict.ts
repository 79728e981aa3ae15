/** The judge: what was observed of one case against what it demands. Knows nothing of decoders or sockets. */
import type { ObservedRequest } from '../rig/recording-origin.ts';
import type { SeenRequest, SmugglingCase } from './cases.ts';
import { dueStatus, maySayNothing } from './statuses.ts';

/** What a case did. */
export interface Observation {
  /** The requests that arrived whole, in order. */
  readonly requests: readonly ObservedRequest[];
  /** The targets of all heads that arrived, those of unfinished requests included. */
  readonly targets: readonly string[];
  /** How it ended for the client: status codes of the final responses in order, whether the connection was closed, or nothing came. */
  readonly statuses: readonly number[];
  readonly isClosed: boolean;
  /** Nothing more came within the time allowed. */
  readonly isWaiting: boolean;
  /** What the other side received that was no HTTP at all. */
  readonly malformed: readonly string[];
}

/** @returns what is wrong, or null */
export function judge(one: SmugglingCase, seen: Observation): string | null {
  const problem = judgeAlways(one, seen) ?? (one.verdict === 'reject' ? judgeReject(one, seen) : judgeAccept(one, seen));
  return problem === null ? null : `${problem} [${one.verdict} wanted: ${one.why}, RFC ${one.rfc}]`;
}

function judgeAlways(one: SmugglingCase, seen: Observation): string | null {
  if (seen.malformed.length > 0) return `the origin received what it cannot parse: ${seen.malformed.join('; ')}`;
  if (one.neverServe !== null && seen.targets.includes(one.neverServe)) return `${one.neverServe} reached the origin`;
  return null;
}

function judgeReject(one: SmugglingCase, seen: Observation): string | null {
  const [served = []] = one.sees;
  const expected = served.slice(0, one.after);
  if (!isSameList(expected, seen.requests)) return `the origin saw ${tell(seen.requests)}`;
  const statuses = seen.statuses.slice(one.after);
  if (seen.statuses.slice(0, one.after).some((status) => status !== 200)) return `answered ${seen.statuses.join(', ')}`;
  const [status] = statuses;
  const due = dueStatus(one);
  if (status === undefined) {
    if (maySayNothing(one) && (seen.isClosed || (seen.isWaiting && one.hangOk))) return null;
    return seen.isClosed ? `no status came; ${due} is demanded` : 'neither refused nor closed';
  }
  if (status !== due) return `answered ${status}; ${due} is demanded`;
  if (statuses.length > 1) return `answered ${statuses.join(', ')} to what it refused`;
  if (!seen.isClosed) return `answered ${status} and left the connection open`;
  return null;
}

function judgeAccept(one: SmugglingCase, seen: Observation): string | null {
  if (!one.sees.some((list) => isSameList(list, seen.requests))) {
    return `the origin saw ${tell(seen.requests)} instead of ${tell(one.sees[0] ?? [])}, statuses ${seen.statuses.join(', ') || 'none'}`;
  }
  if (seen.statuses.length !== seen.requests.length || seen.statuses.some((status) => status !== 200)) {
    return `answered ${seen.statuses.join(', ') || 'nothing'} to ${seen.requests.length} requests`;
  }
  if (one.mustClose && !seen.isClosed) return 'the connection stayed open';
  const forbidden = one.originMustNotSee.filter((name) => seen.requests.some((request) => request.fieldNames.includes(name)));
  return forbidden.length === 0 ? null : `the origin saw ${forbidden.join(', ')}`;
}

function isSameList(expected: readonly SeenRequest[], seen: readonly ObservedRequest[]): boolean {
  return expected.length === seen.length && expected.every((request, index) => isSame(request, seen[index]));
}

function isSame(expected: SeenRequest, seen: ObservedRequest | undefined): boolean {
  return (
    seen !== undefined &&
    seen.method === expected.method &&
    seen.target === expected.target &&
    seen.body === expected.body &&
    (expected.host === undefined || seen.host === expected.host)
  );
}

function tell(requests: readonly SeenRequest[]): string {
  if (requests.length === 0) return 'nothing';
  return requests.map(({ method, target, body, host }) => JSON.stringify({ method, target, body: body.slice(0, 60), host })).join(' ');
}
