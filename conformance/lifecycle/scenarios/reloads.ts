/** Ten reloads a second under load: no request fails, none sees a mix of two configurations, none sees an older one than before (I21). */
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { ConfigurationsSeen } from '../configurations-seen.ts';
import { Http1Connection, openSocket } from '../http1-connection.ts';
import { everything, unanswered } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { reasonOf, type Tally } from '../tally.ts';
import type { Target } from '../targets.ts';

const EVERY_MS = 100;

/** Of those that are asked for: a slow machine leaves many out. */
const LEAST_DONE = 11;

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, graceMs: 30_000 });
  const seen = new ConfigurationsSeen();
  const isEcho = stage.targetName === 'echo-server';
  const load = stage.load(target, everything(), isEcho ? seen.watch : undefined);
  await load.hasBegun();
  const before = await versionOf(target);
  const reloading = new AbortController();
  const slow = isEcho ? inFlight(target, load.tally, reloading.signal, seen) : null;
  const count = stage.isLong ? 600 : 70;
  const stale: Promise<string | null>[] = [];
  for (let number = 2; number <= count + 1; number++) {
    const next = performance.now() + EVERY_MS;
    target.configureNumber(number);
    if (number % 10 === 0 && isEcho) stale.push(reloadAndAsk(target, load.tally, number).catch(reasonOf));
    else target.server.signal('SIGHUP');
    await delay(Math.max(0, next - performance.now()));
  }
  reloading.abort();
  // The last one wins, however many were left out before it.
  const last = configuredIn(target);
  const isLast = await target.server.until(async () => (await seenOf(target, load.tally)) === last, 60_000);
  stage.must('the last configuration is in force', isLast, `${await seenOf(target, load.tally)}, not ${last}`);
  // One that comes while another is under way waits, and the next takes its place.
  const done = (await versionOf(target)) - before;
  stage.must('many of them were done', done >= LEAST_DONE && done <= count, `${done} of ${count}`);
  stage.figure(`${count} reloads asked for, ${done} done`);
  if (isEcho) {
    const problems = await Promise.all(stale);
    stage.check('a request that comes after a reload sees it', problems.find((problem) => problem !== null) ?? null);
    const kept = await slow;
    stage.check('a request that runs keeps its configuration', kept?.problem ?? null);
    stage.must('some ran while others came into force', (kept?.overtaken ?? 0) > 0, 'none did');
    stage.must('many of them were seen', seen.versions >= LEAST_DONE, `only ${seen.versions}`);
    stage.figure(`${seen.versions} versions seen`);
  }
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  stage.check('clients of every kind were answered', unanswered(load.tally, isEcho));
  await stage.settles(target);
  if (isEcho) stage.check('every connection was counted', await uncounted(target, load.tally.connections));
  stage.check('it stops in order', await target.stop());
}

/** The number of the configuration in force, as the server counts: another one each time that a reload changes something. */
async function versionOf(target: Target): Promise<number> {
  return Number((await target.server.admin('GET', '/phase')).value['configVersion']);
}

/** What is to be seen of the configuration that stands in its file. */
function configuredIn(target: Target): string {
  const text = readFileSync(target.configFile, 'utf8');
  return target.name === 'echo-server'
    ? (JSON.parse(text) as { readonly message: string }).message
    : new X509Certificate(text).fingerprint256;
}

/** What a new connection sees of the configuration: the message, or the certificate. */
async function seenOf(target: Target, tally: Tally): Promise<string> {
  if (target.name === 'echo-server') return await messageOf(target, tally);
  const { https } = target.load;
  if (https === null) throw new Error('the proxy has no door for TLS');
  const socket = await openSocket(https);
  const { fingerprint256 = 'none' } = (socket as TLSSocket).getPeerX509Certificate() ?? {};
  socket.destroy();
  return fingerprint256;
}

/** A reload by the admin endpoint, which says when it is done: what is asked behind that must see it. */
async function reloadAndAsk(target: Target, tally: Tally, number: number): Promise<string | null> {
  const { status, value } = await target.server.admin('POST', '/reload');
  // One that was asked for by a signal may be under way.
  if (status === 409) return null;
  if (status !== 200) return `the admin endpoint answers ${status} ${JSON.stringify(value)}`;
  const message = await messageOf(target, tally);
  return Number(message.slice(1)) >= number ? null : `m${number} was in force, and the answer was ${message}`;
}

async function messageOf(target: Target, tally: Tally): Promise<string> {
  const connection = await Http1Connection.open(target.load.http);
  tally.connections++;
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
  tally: Tally,
  over: AbortSignal,
  seen: ConfigurationsSeen,
): Promise<{ readonly overtaken: number; readonly problem: string | null }> {
  let overtaken = 0;
  let problem: string | null = null;
  while (!over.aborted && problem === null) {
    try {
      const connection = await Http1Connection.open(target.load.http);
      tally.connections++;
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

/** What clients and this file have opened by HTTP, TCP and TLS is what the server has accepted, and nothing was shed (I12). */
async function uncounted(target: Target, opened: number): Promise<string | null> {
  const { value } = await target.server.admin('GET', '/connections');
  const services = value['services'] as Readonly<Record<string, { readonly accepted: number; readonly shed: number }>>;
  const accepted = (services['http']?.accepted ?? 0) + (services['tcp']?.accepted ?? 0);
  if (services['http']?.shed !== 0) return `shed some: ${JSON.stringify(services)}`;
  return accepted === opened ? null : `${opened} were opened, ${accepted} accepted: ${JSON.stringify(services)}`;
}

/** Ten reloads a second. */
export const reloads: Scenario = { id: 'reloads', targets: ['echo-server', 'reverse'], isHeavy: true, run };
