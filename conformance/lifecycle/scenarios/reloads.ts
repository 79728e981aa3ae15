/** Ten reloads a second under load: no request fails, none sees a mix of two configurations, none sees an older one than before (I21). */
import { setTimeout as delay } from 'node:timers/promises';
import { ConfigurationsSeen } from '../configurations-seen.ts';
import { Http1Connection } from '../http1-connection.ts';
import { everything } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { reasonOf } from '../tally.ts';
import type { Target } from '../targets.ts';

const EVERY_MS = 100;

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: 30_000 });
  const seen = new ConfigurationsSeen();
  const isEcho = stage.targetName === 'echo-server';
  const load = stage.load(target, everything(), isEcho ? seen.watch : undefined);
  const end = performance.now() + (stage.isLong ? 60_000 : 7_000);
  const slow = isEcho ? inFlight(target, end, seen) : null;
  let asked = 0;
  const stale: Promise<string>[] = [];
  while (performance.now() < end) {
    const next = performance.now() + EVERY_MS;
    asked++;
    target.configure({ message: `m${asked + 1}` });
    if (asked % 10 === 0 && isEcho) stale.push(reloadAndAsk(target, asked + 1).catch(reasonOf));
    else target.server.signal('SIGHUP');
    await delay(Math.max(0, next - performance.now()));
  }
  // The last one wins, however many were left out before it.
  if (isEcho) {
    const isLast = await target.server.until(async () => (await messageOf(target)) === `m${asked + 1}`, 60_000);
    stage.must('the last configuration is in force', isLast, `${await messageOf(target)}, not m${asked + 1}`);
    stage.check('a request that comes after a reload sees it', (await Promise.all(stale)).find((problem) => problem !== '') ?? null);
    const kept = await slow;
    stage.check('a request that runs keeps its configuration', kept?.problem ?? null);
    stage.must('some ran while others came into force', (kept?.overtaken ?? 0) > 0, 'none did');
    stage.must('many of them were seen', seen.versions > 10, `only ${seen.versions}`);
    stage.figure(`${asked} reloads, ${seen.versions} versions seen`);
  } else {
    stage.figure(`${asked} reloads`);
  }
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  await stage.settles(target);
  if (isEcho) stage.check('every connection was counted', await uncounted(target, load.tally.connections));
  stage.check('it stops in order', await target.stop());
}

/** A reload by the admin endpoint, which says when it is done: what is asked behind that must see it. */
async function reloadAndAsk(target: Target, number: number): Promise<string> {
  const { status, value } = await target.server.admin('POST', '/reload');
  // One that was asked for by a signal may be under way.
  if (status === 409) return '';
  if (status !== 200) return `the admin endpoint answers ${status} ${JSON.stringify(value)}`;
  const message = await messageOf(target);
  return Number(message.slice(1)) >= number ? '' : `m${number} was in force, and the answer was ${message}`;
}

async function messageOf(target: Target): Promise<string> {
  const connection = await Http1Connection.open(target.load.http);
  try {
    const answer = await connection.exchange({
      bytes: Buffer.from('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'),
      timeoutMs: 30_000,
    });
    return answer.body.toString().trim();
  } finally {
    connection.close();
  }
}

/**
 * Requests that begin with one configuration and end when there are others: each answer must be whole of the one it began with.
 *
 * @returns how many of them ended when a newer one had been seen elsewhere, and what was wrong with one of them
 */
async function inFlight(
  target: Target,
  end: number,
  seen: ConfigurationsSeen,
): Promise<{ readonly overtaken: number; readonly problem: string | null }> {
  let overtaken = 0;
  let problem: string | null = null;
  while (performance.now() < end && problem === null) {
    try {
      const connection = await Http1Connection.open(target.load.http);
      const bytes = Buffer.from('GET /slow?ms=1000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
      const { fields, body } = await connection.exchange({ bytes, timeoutMs: 30_000 }).finally(() => connection.close());
      const [version = '', message] = (fields.get('x-config') ?? '').split(' ');
      if (message !== body.toString().trim()) problem = `head ${fields.get('x-config')}, body ${body.toString().trim()}`;
      if (Number(version) < seen.highest) overtaken++;
    } catch (error) {
      problem = reasonOf(error);
    }
  }
  return { overtaken, problem };
}

/** What clients have opened by HTTP, TCP and TLS is what the server has accepted, and nothing was shed (I12). */
async function uncounted(target: Target, opened: number): Promise<string | null> {
  const { value } = await target.server.admin('GET', '/connections');
  const services = value['services'] as Readonly<Record<string, { readonly accepted: number; readonly shed: number }>>;
  const accepted = (services['http']?.accepted ?? 0) + (services['tcp']?.accepted ?? 0);
  // What this file itself has asked is in it, too.
  const own = accepted - opened;
  if (services['http']?.shed !== 0) return `shed some: ${JSON.stringify(services)}`;
  return own >= 0 && own < 500 ? null : `${opened} were opened, ${accepted} accepted: ${JSON.stringify(services)}`;
}

/** Ten reloads a second. */
export const reloads: Scenario = { id: 'reloads', targets: ['echo-server', 'reverse'], isHeavy: true, run };
