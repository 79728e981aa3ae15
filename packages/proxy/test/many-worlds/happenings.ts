/** What has come to pass in a world, by name: how origins answered and left, how clients ended, where the network failed. A world in which nothing goes wrong proves little. */

import type { Token } from '../world/messages.ts';
import type { AnswerPlan, ClientPlan, FaultPlan, RequestPlan } from '../world/plan.ts';
import { ENDS, type Tally } from '../world/replay.ts';
import type { Received } from '../world-http2/records.ts';

const ANSWER_FAULTS: readonly FaultPlan['kind'][] = ['reset', 'end', 'stall', 'garbage', 'contradiction', 'shortLength', 'storm'];
const AFTERWARDS: readonly AnswerPlan['after'][] = ['keep', 'sayClose', 'closeSilently', 'resetSilently', 'strayBytes', 'strayResponse'];
const CLIENT_ENDINGS: readonly ClientPlan['ending'][] = ['leave', 'stay', 'halfClose', 'reset', 'vanish', 'garbage'];
const NETWORK_FAULTS = ['reset', 'stall', 'end', 'delay'] as const;

/** What worlds in which anything may go wrong must have seen, if there were enough of them. */
export const RUDE_HAPPENINGS: readonly string[] = [
  ...ENDS,
  'retries',
  ...ANSWER_FAULTS.map((kind) => `origin ${kind}`),
  ...AFTERWARDS.map((after) => `origin ${after}`),
  ...CLIENT_ENDINGS.map((ending) => `client ${ending}`),
  ...networkFaults(),
];

/** Of the network alone. */
export function networkFaults(): readonly string[] {
  return NETWORK_FAULTS.map((kind) => `network ${kind}`);
}

/** How clients were to end. */
export function countClients(tally: Tally, clients: readonly ClientPlan[]): void {
  for (const { ending } of clients) tally.count(`client ${ending}`);
}

/** What origins have done to each request that has come to them, so often as it has. */
export function countAnswers(tally: Tally, plans: ReadonlyMap<Token, RequestPlan>, comings: ReadonlyMap<Token, number>): void {
  for (const [token, count] of comings) {
    const answers = plans.get(token)?.answers ?? [];
    for (let attempt = 0; attempt < count; attempt++) {
      const answer = answers[Math.min(attempt, answers.length - 1)];
      if (answer !== undefined) tally.count(`origin ${answer.fault?.kind ?? answer.after}`);
    }
  }
}

/** How often a request came that was, or will be, answered: one that came in part has no answer where that waits for all of it. */
export function comingsOf(plans: ReadonlyMap<Token, RequestPlan>, served: readonly Received[]): ReadonlyMap<Token, number> {
  const comings = new Map<Token, number>();
  for (const { token, isWhole } of served) {
    const before = comings.get(token) ?? 0;
    const answers = plans.get(token)?.answers ?? [];
    if (isWhole || answers[Math.min(before, answers.length - 1)]?.begins === 'early') comings.set(token, before + 1);
  }
  return comings;
}

/**
 * Faults of the network that were reached: as many bytes had gone that way as the plan says. Read from the trace of the world:
 *
 * ```text
 * 12.345 server of #3: incoming@120 reset, outgoing@0 delay 50
 * 13.456 #3> 170 1a2b3c4d
 * ```
 */
export function countNetwork(tally: Tally, trace: readonly string[]): void {
  const passed = new Map<string, number>();
  const planned: (readonly [kind: string, at: number, link: string])[] = [];
  for (const line of trace) {
    const [, link, bytes] = /^[\d.]+ (#\d+[<>]) (\d+) /.exec(line) ?? [];
    if (link !== undefined) {
      passed.set(link, (passed.get(link) ?? 0) + Number(bytes));
      continue;
    }
    const [, end, connection, plan = ''] = /^[\d.]+ (client|server) of (#\d+): (.*)$/.exec(line) ?? [];
    if (end === undefined) continue;
    for (const [, direction, at, kind = ''] of plan.matchAll(/(incoming|outgoing)@(\d+) (\w+)/g)) {
      // What the client's end sends goes by the way that the server's end gets it.
      const isUp = (end === 'client') === (direction === 'outgoing');
      planned.push([kind, Number(at), `${connection}${isUp ? '>' : '<'}`]);
    }
  }
  for (const [kind, at, link] of planned) if ((passed.get(link) ?? 0) >= at) tally.count(`network ${kind}`);
}
