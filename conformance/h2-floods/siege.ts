/**
 * A server under one attack after another, watched from outside: its memory, its descriptors, what it tells of its exchanges, and how a
 * well-behaved client fares beside it.
 *
 * Most attacks run a few at a time, some alone. Where a group of them breaks a bound, each is run again by
 * itself, so that the blame falls on the right one. What was only slow is run once more before it is judged.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Code, headers, requestBlock } from '../rig/http2-bytes.ts';
import { connectRawHttp2 } from '../rig/raw-http2-client.ts';
import { type Outcome, outcomeOf } from '../runner.ts';
import { type Attack, contextFor } from './attack.ts';
import { Probe } from './probe.ts';
import { descriptorCount, MemoryWatch, residentBytes } from './process-memory.ts';
import { type Server, type ServerName, startServer } from './servers.ts';

/** The bounds that hold for every attack. */
const MAX_GROWTH_BYTES = 64 * 1_048_576;
/** What may be left when all is over. */
const MAX_LEFT_LIVE_BYTES = 16 * 1_048_576;
const MAX_LEFT_RESIDENT_BYTES = 128 * 1_048_576;
const MAX_PROBE_MS = 1_000;
/** How long connections and exchanges may take to be gone when the attack is. */
const SETTLE_MS = 4_000;
/** Descriptors that come and go by themselves: those of the probe. */
const SPARE_DESCRIPTORS = 12;
/** Connections that a proxy may keep to its origin when nothing runs (`maxIdlePerPeer` is 1 024), and those of the probe. */
const MAX_KEPT = 1_036;
/** An attack that hangs is one that failed. */
const MAX_ATTACK_MS = 15_000;
const AT_ONCE = { quick: 8, slow: 4 } as const;

/** Servers for some attacks only. */
const SPECIAL: ReadonlySet<ServerName> = new Set(['http-hurried', 'proxy']);

/** How a siege goes. */
export interface SiegeOptions {
  /** One attack at a time, each with its figures. */
  readonly isAlone: boolean;
  /** Of a server that nobody attacks. */
  readonly controlPort: number;
  /** Each group with its figures. */
  readonly isVerbose: boolean;
  /** Is told what was seen while attacks ran. */
  note(ids: readonly string[], growthBytes: number, worstMs: number): void;
  say(line: string): void;
}

/** Runs all attacks that are meant for a server. */
export async function besiege(name: ServerName, attacks: readonly Attack[], options: SiegeOptions): Promise<Outcome[]> {
  const meant = attacks.filter(({ servers }) => (servers === undefined ? !SPECIAL.has(name) : servers.includes(name)));
  if (meant.length === 0) return [];
  const startedAt = performance.now();
  const siege = new Siege(name, options);
  const outcomes: Outcome[] = [];
  try {
    await siege.begin();
    for (const group of groupsOf(meant, options.isAlone)) outcomes.push(...(await siege.group(group)));
    outcomes.push(await siege.conclude());
  } catch (error) {
    outcomes.push({ id: name, problem: `the siege broke off: ${error instanceof Error ? error.message : String(error)}` });
  } finally {
    await siege.end();
  }
  options.say(
    `h2-floods: ${name}: ${meant.length} attacks in ${((performance.now() - startedAt) / 1_000).toFixed(0)} s, ${siege.figures()}`,
  );
  return outcomes;
}

/** Attacks that run at the same time. */
export function groupsOf(attacks: readonly Attack[], isAlone: boolean): readonly (readonly Attack[])[] {
  if (isAlone) return attacks.map((attack) => [attack]);
  const groups: (readonly Attack[])[] = [];
  for (const pace of ['quick', 'slow'] as const)
    groups.push(
      ...spread(
        attacks.filter((attack) => (attack.pace ?? 'quick') === pace),
        AT_ONCE[pace],
      ),
    );
  return [...groups, ...attacks.filter(({ pace }) => pace === 'alone').map((attack) => [attack])];
}

/** Groups of at most `size`, with no more than one in each that holds much memory: the bound is that of one attack. */
function spread(attacks: readonly Attack[], size: number): readonly (readonly Attack[])[] {
  const heavy = attacks.filter(({ isHeavy }) => isHeavy === true);
  const groups: Attack[][] = heavy.map((attack) => [attack]);
  for (const attack of attacks) {
    if (attack.isHeavy === true) continue;
    let group = groups.find(({ length }) => length < size);
    if (group === undefined) groups.push((group = []));
    group.push(attack);
  }
  return groups;
}

/** What was seen from outside while something went on. */
interface Seen {
  readonly growthBytes: number;
  readonly worstMs: number;
  readonly tookMs: number;
  readonly problems: readonly string[];
  /** Nothing is wrong but how long an answer took: a machine may stand still once, what an attack costs is seen again. */
  readonly isOnlySlow: boolean;
}

class Siege {
  readonly #name: ServerName;
  readonly #options: SiegeOptions;
  #server: Server | null = null;
  #probe: Probe | null = null;
  #control: Probe | null = null;
  #startBytes = 0;
  #startLiveBytes = 0;
  #leftBytes = 0;
  #largestGrowthBytes = 0;
  #slowestMs = 0;
  #seed = 1;

  constructor(name: ServerName, options: SiegeOptions) {
    this.#name = name;
    this.#options = options;
  }

  async begin(): Promise<void> {
    const server = await startServer(this.#name);
    this.#server = server;
    await warmUp(server.port);
    this.#startLiveBytes = (await server.liveBytes()) ?? 0;
    this.#startBytes = residentBytes(server.pid);
    this.#probe = new Probe(server.port);
    this.#control = new Probe(this.#options.controlPort);
    await delay(200);
    await this.#probe.take();
  }

  async group(attacks: readonly Attack[]): Promise<Outcome[]> {
    const problems = new Map<string, string | null>();
    const watch = (): Promise<Seen> =>
      this.#watch(async () => {
        // What an attack found the first time stands.
        await Promise.all(attacks.map(async (attack) => problems.set(attack.id, problems.get(attack.id) ?? (await this.#run(attack)))));
      });
    let seen = await watch();
    if (seen.isOnlySlow) {
      this.#options.say(`h2-floods: ${this.#name}: once more, ${seen.problems.join('; ')}: ${attacks.map(({ id }) => id).join(' ')}`);
      seen = await watch();
    }
    this.#options.note(
      attacks.map(({ id }) => id),
      seen.growthBytes,
      seen.worstMs,
    );
    if (seen.problems.length > 0 && attacks.length > 1) {
      // Whose fault is it? If nobody's alone, the group's.
      if (this.#options.isVerbose) this.#options.say(`${this.#name}: together: ${seen.problems.join('; ')}`);
      const outcomes: Outcome[] = [];
      for (const attack of attacks) outcomes.push(...(await this.group([attack])));
      if (outcomes.every(({ problem }) => problem === null)) {
        outcomes.push({ id: `${this.#name}/together: ${attacks.map(({ id }) => id).join(' ')}`, problem: seen.problems.join('; ') });
      }
      return outcomes;
    }
    return attacks.map(({ id }) => {
      const all = [...(problems.get(id) === null ? [] : [problems.get(id) ?? 'did not run']), ...seen.problems];
      if (this.#options.isVerbose) this.#options.say(figuresOf(this.#name, id, seen, all));
      return { id: `${this.#name}/${id}`, problem: all.length === 0 ? null : all.join('; ') };
    });
  }

  /** What must hold at the very end: that nothing was left behind by any of it. */
  async conclude(): Promise<Outcome> {
    return await outcomeOf(`${this.#name}/afterwards`, async () => {
      const server = this.#running();
      // What the allocator keeps of pages that it may use again is no leak: where the process can tell what is in use, that counts.
      const end = performance.now() + SETTLE_MS;
      let growth: number;
      let max: number;
      do {
        const live = await server.liveBytes();
        growth = live === null ? residentBytes(server.pid) - this.#startBytes : live - this.#startLiveBytes;
        max = live === null ? MAX_LEFT_RESIDENT_BYTES : MAX_LEFT_LIVE_BYTES;
        // Memory beside the heap is freed a while after a collection.
        if (growth > max) await delay(200);
      } while (growth > max && performance.now() < end);
      this.#leftBytes = growth;
      if (growth > max) return `after all attacks the process holds ${mib(growth)} more than before`;
      const probed = await this.#probe?.take();
      return probed === undefined || probed.failures.length > 0 ? `no longer serves: ${probed?.failures.join(', ') ?? 'no probe'}` : null;
    });
  }

  async end(): Promise<void> {
    await this.#probe?.stop();
    await this.#control?.stop();
    await this.#server?.stop();
    this.#probe = null;
    this.#control = null;
    this.#server = null;
  }

  figures(): string {
    return `at most ${mib(this.#largestGrowthBytes)} more memory, ${mib(this.#leftBytes)} left at the end, the slowest answer beside them ${this.#slowestMs.toFixed(0)} ms`;
  }

  #running(): Server {
    if (this.#server === null) throw new Error('no server');
    return this.#server;
  }

  async #run(attack: Attack): Promise<string | null> {
    const { context, end } = contextFor(this.#running().port, this.#name, this.#seed++);
    const timeOut = delay(MAX_ATTACK_MS, `the attack hung for ${MAX_ATTACK_MS} ms`, { ref: false });
    try {
      return await Promise.race([attack.run(context), timeOut]);
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      await end();
    }
  }

  async #watch(run: () => Promise<void>): Promise<Seen> {
    const server = this.#running();
    const descriptors = descriptorCount(server.pid);
    const before = await server.counts();
    const kept = await server.keptCount();
    await this.#probe?.take();
    await this.#control?.take();
    const memory = new MemoryWatch(server.pid);
    const startedAt = performance.now();
    await run();
    const problems: string[] = [];
    let isSlow = false;
    const left = await this.#settled(server, descriptors - kept, before === null ? 0 : before.begun - before.closed);
    const growthBytes = memory.stop();
    const { worstMs, failures, count } = (await this.#probe?.take()) ?? { worstMs: 0, failures: [], count: 0 };
    const exit = server.exit();
    if (exit !== null) {
      problems.push(`the server ${exit}`);
    } else {
      if (left !== null) problems.push(left);
      if (growthBytes > MAX_GROWTH_BYTES) problems.push(`memory grew by ${mib(growthBytes)}`);
      // Nobody attacks that one: what its client waits is the machine's own doing, when it has more to do than it can.
      const unattackedMs = (await this.#control?.take())?.worstMs ?? 0;
      if (worstMs > MAX_PROBE_MS + unattackedMs) {
        isSlow = true;
        problems.push(
          `a well-behaved client waited ${worstMs.toFixed(0)} ms (one of a server that is not attacked ${unattackedMs.toFixed(0)} ms)`,
        );
      }
      if (failures.length > 0) problems.push(`a well-behaved client was not served: ${failures.join(', ')} (${count} probes)`);
    }
    if (problems.length > 0) {
      // A server that suffers still must not be blamed on the next attack.
      await this.end();
      await this.begin();
    }
    this.#largestGrowthBytes = Math.max(this.#largestGrowthBytes, growthBytes);
    this.#slowestMs = Math.max(this.#slowestMs, worstMs);
    return { growthBytes, worstMs, tookMs: performance.now() - startedAt, problems, isOnlySlow: isSlow && problems.length === 1 };
  }

  /** Waits until the server has let go of everything but connections that it keeps for use. @returns what it has not */
  async #settled(server: Server, descriptors: number, open: number): Promise<string | null> {
    const end = performance.now() + SETTLE_MS;
    for (;;) {
      if (server.exit() !== null) return null;
      const counts = await server.counts();
      const kept = await server.keptCount();
      const extra = descriptorCount(server.pid) - Math.min(kept, MAX_KEPT) - descriptors;
      // The probe's own requests come and go.
      const left = counts === null ? 0 : counts.begun - counts.closed - open;
      if (extra <= SPARE_DESCRIPTORS && left <= 2) return null;
      if (performance.now() > end)
        return `${SETTLE_MS} ms after the attack there are still ${extra} descriptors and ${left} exchanges of it`;
      await delay(25);
    }
  }
}

function figuresOf(server: string, id: string, { growthBytes, worstMs, tookMs }: Seen, problems: readonly string[]): string {
  return `${server}/${id}: ${problems.length === 0 ? 'ok' : `FAILED ${problems.join('; ')}`}; +${mib(growthBytes)}, probe ${worstMs.toFixed(0)} ms, took ${tookMs.toFixed(0)} ms`;
}

function mib(bytes: number): string {
  return `${(bytes / 1_048_576).toFixed(1)} MiB`;
}

/** Ordinary requests, so that what a process takes for itself when it starts to work is not held against an attack. */
async function warmUp(port: number): Promise<void> {
  for (let connection = 0; connection < 8; connection++) {
    const peer = await connectRawHttp2({ port });
    await peer.until(() => peer.settingsCount > 0, 1_000);
    let id = 1;
    for (let round = 0; round < 30 && !peer.isOver; round++) {
      const last = id + 2 * 29;
      const frames: Buffer[] = [];
      for (; id <= last; id += 2) frames.push(headers(id, requestBlock('GET', '/')));
      peer.write(...frames);
      if (!(await peer.until(() => peer.stream(last).isEnded || peer.isOver, 2_000))) break;
    }
    if (peer.isOver)
      throw new Error(`ordinary requests are not served: GOAWAY ${peer.goaways[0]?.code ?? Code.noError} ${peer.goaways[0]?.debug ?? ''}`);
    peer.destroy();
  }
}
