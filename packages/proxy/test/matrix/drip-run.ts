/** Answers, and heads of requests, that come one byte a second: U9 and C1 of the fault list. */
import { FrameType } from '@ferrata/http2-framing';
import { REQUESTS } from './client-plan.ts';
import type { Cell } from './ends.ts';
import { type Finding, findingsOf } from './findings.ts';
import { MatrixWorld } from './matrix-world.ts';
import type { OriginRequest } from './origin-end.ts';
import { answerScript, bodyOf, requestScript, type Script } from './scripts.ts';
import { SCENARIOS, type Scenario } from './upstream-plan.ts';

/** An answer that drips. */
export interface DripCase {
  readonly name: string;
  readonly cell: Cell;
  readonly scenario: Scenario;
}

/** All answers of the matrix, side by side. */
export function dripBatches(cell: Cell): DripCase[][] {
  return [SCENARIOS.map((scenario) => ({ name: `${cell.name}: ${scenario.name}`, cell, scenario }))];
}

/** U9: who is slow and goes on is waited for. */
export async function runDrips(cases: readonly DripCase[]): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell);
  const runs = await Promise.all(
    cases.map(async ({ name, scenario, cell }, index) => {
      const target = `/case/${index}`;
      const requests: OriginRequest[] = [];
      world.origin(cell.up, [target], (request) => void requests.push(request));
      const client = await world.connect();
      const asking = client.ask(target, scenario.request);
      return { name, scenario, target, requests, asking, script: answerScript(cell.up.protocol, scenario.answer) };
    }),
  );
  await world.settle();
  const dripping = runs.map(({ requests, script }) => ({ request: requests[0], script, drops: dropsOf(script) }));
  while (dripping.some(({ drops }) => drops.length > 0)) {
    for (const { request, script, drops } of dripping) {
      const drop = drops.shift();
      if (drop === undefined) continue;
      request?.write(drop);
      if (drops.length === 0 && script.isEndedByClose) request?.fault('end');
    }
    await world.pass(1_000);
  }
  const findings = runs.map(({ name, scenario, target, asking }) => {
    const { status, body, ending } = asking.seen();
    const [log] = world.logsOf(target);
    const isFine =
      status === scenario.answer.status && body === bodyOf(scenario.answer) && ending === 'whole' && log?.outcome === 'completed';
    const seen = JSON.stringify({ status, body, ending, log });
    return { name, breaches: isFine ? [] : [seen] };
  });
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: await world.finish() });
}

/** One byte each; but HEADERS of HTTP/2 hold up the whole connection (RFC 9113 §4.3), and have to come within 10 s: those come whole. */
function dropsOf({ bytes, frameEnds }: Script): Uint8Array[] {
  const drops: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const isFrame = at === 0 || frameEnds.includes(at);
    const end = frameEnds.find((frameEnd) => frameEnd > at);
    const next = end !== undefined && isFrame && bytes[at + 3] === FrameType.headers ? end : at + 1;
    drops.push(bytes.slice(at, next));
    at = next;
  }
  return drops;
}

/** A request that drips. */
export interface SlowCase {
  readonly name: string;
  readonly cell: Cell;
  readonly target: string;
  readonly script: Script;
}

export function slowBatches(cell: Cell): SlowCase[][] {
  const cases = Object.entries(REQUESTS).map(([what, request], index) => {
    const target = `/case/${index}`;
    return { name: `${cell.name}: ${what}`, cell, target, script: requestScript(cell.down.protocol, request, target) };
  });
  return [cases];
}

/** How long a head may take, and a little more. */
const HEAD_SECONDS = 12;

/** C1: whoever sends a head byte by byte is waited for 10 s, however often a byte comes. */
export async function runSlow(cases: readonly SlowCase[]): Promise<Finding[]> {
  const [first] = cases;
  if (first === undefined) return [];
  const world = new MatrixWorld(first.cell);
  const runs = await Promise.all(
    cases.map(async (it) => {
      const origin = world.origin(it.cell.up, [it.target], () => {});
      const client = await world.connect();
      return { it, origin, client, asking: client.askRaw(it.script.bytes.slice(0, 1), false) };
    }),
  );
  await world.settle();
  for (let at = 1; at <= HEAD_SECONDS; at++) {
    await world.pass(1_000);
    for (const { it, client } of runs) client.sayRaw(it.script.bytes.slice(at, at + 1));
  }
  // What is said to its end is read on for a while, so that the client sees the answer.
  await world.pass(4_000);
  const findings = runs.map(({ it, origin, client, asking }) => {
    const seen = asking.seen();
    const isFine =
      seen.status === (it.cell.down.protocol === 'http1' ? 408 : 0) &&
      client.isOver &&
      world.logsOf(it.target).length === 0 &&
      origin.connections.length === 0;
    return { name: it.name, breaches: isFine ? [] : [JSON.stringify({ seen, isOver: client.isOver, logs: world.logsOf(it.target) })] };
  });
  return findingsOf(findings, { name: `the world of ${first.cell.name}`, breaches: await world.finish() });
}
