/**
 * A simulated world: an open stream of requests to backends that are models, through a real `LoadBalancer` with its real algorithm, passive health and health checks.
 *
 * Time is a `ManualClock`, chance a seed: the same seed gives the same world to the last bit. Arrivals, keys and service times have sequences of their own, so that two algorithms are asked
 * the same questions. Whatever the balancer does by itself (ticks, checks) runs by the clock; promises are given their turn before the next event of the world.
 */
import { setImmediate } from 'node:timers/promises';
import { ManualClock, type Random, seededRandom } from '@ferrata/clock';
import { connectError } from '@ferrata/error';
import { HttpEnvironment } from '@ferrata/http';
import { type Backend, type Flight, type HealthCheck, LoadBalancer, Outcome } from '@ferrata/load-balancing';
import { Agenda, SimulatedBackend, type SimulatedTry, type TryEnd } from './backends-model.ts';
import { ALGORITHMS, type AlgorithmId, GONE_MS, SCENARIOS, type Scenario, VICTIM, WORLD } from './scenarios.ts';

/** Which world, and whose choice. */
export interface SimulationJob {
  readonly scenario: string;
  readonly algorithm: AlgorithmId;
  /** With passive health. */
  readonly ejects: boolean;
  readonly seed: number;
  /** Times `WORLD.seconds` after which nothing changes any more: longer worlds have more quiet at the end. Default 1. */
  readonly length?: number;
}

/** What has been measured. */
export interface SimulationResult extends SimulationJob {
  readonly requests: number;
  /** Those whose last try was not answered as it should be. */
  readonly failed: number;
  /** Of those that were answered, with all tries, ms. */
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  /** Tries at backends that were not ready, while others were. */
  readonly sentToUnready: number;
  /** Most that were out at once. */
  readonly mostEjected: number;
  readonly ejections: number;
  /** By backend: tries. */
  readonly tries: readonly number[];
  /** What became of tries. */
  readonly ends: Readonly<Record<TryEnd, number>>;
  /** In `gone`: from the return of the backend until it was found to be well, and until it had a request, ms. */
  readonly foundAfterMs: number | null;
  readonly usedAfterMs: number | null;
  /** In `gone`: its share of the tries in the second after it was found, and of the last five. */
  readonly shareAtFirst: number | null;
  readonly shareAtLast: number | null;
  /** Requests under way by the counts of the balancer, less those that are. */
  readonly miscounted: number;
}

class Request {
  readonly at: number;
  readonly key: string | null;
  readonly isRepeatable: boolean;
  readonly tried: Backend<number>[] = [];

  constructor(at: number, key: string | null, isRepeatable: boolean) {
    this.at = at;
    this.key = key;
    this.isRepeatable = isRepeatable;
  }
}

class Try implements SimulatedTry {
  readonly place: number;
  state: SimulatedTry['state'] = 'on its way';
  readonly request: Request;
  readonly flight: Flight<number>;
  readonly at: number;

  constructor(request: Request, flight: Flight<number>, at: number) {
    this.place = flight.backend.extension;
    this.request = request;
    this.flight = flight;
    this.at = at;
  }
}

/** Lives through one world. @throws {RangeError} when there is no such scenario */
export async function simulate(job: SimulationJob): Promise<SimulationResult> {
  const scenario = SCENARIOS.find(({ id }) => id === job.scenario);
  if (scenario === undefined) throw new RangeError(`there is no scenario ${job.scenario}`);
  const world = new World(job, scenario);
  return await world.live();
}

class World {
  readonly #job: SimulationJob;
  readonly #scenario: Scenario;
  readonly #clock = new ManualClock({ maxWakeupsPerAdvance: 100_000 });
  readonly #agenda = new Agenda<Try>();
  readonly #backends: readonly SimulatedBackend<Try>[];
  readonly #balancer: LoadBalancer<number>;
  readonly #arrivals: Random;
  readonly #keys: KeyDraw | null;
  /** All tries in the order in which they began: as each may take the same time, in the order in which they are given up. */
  readonly #patience: Try[] = [];
  #patienceHead = 0;
  readonly #latencies: number[] = [];
  readonly #endMs: number;
  #nextArrivalAt = 0;
  #nextTurn = 0;
  #requests = 0;
  #failed = 0;
  #underWay = 0;
  #sentToUnready = 0;
  #mostEjected = 0;
  #ejections = 0;
  #foundAt: number | null = null;
  #usedAt: number | null = null;
  readonly #tries: number[];
  /** Tries of the victim and of all in the second after it was found to be back, and in the last five. */
  readonly #atFirst = { victim: 0, all: 0 };
  readonly #atLast = { victim: 0, all: 0 };
  readonly #ends: Record<TryEnd, number> = { answered: 0, refused: 0, reset: 0, failed: 0, full: 0, timedOut: 0 };

  constructor(job: SimulationJob, scenario: Scenario) {
    this.#job = job;
    this.#scenario = scenario;
    const randomOf = (purpose: number): Random => seededRandom(job.seed * 64 + purpose);
    this.#arrivals = randomOf(1);
    this.#keys = scenario.keys === 0 ? null : new KeyDraw(scenario.keys, randomOf(2));
    this.#backends = scenario.sizes.map((size, place) => new SimulatedBackend<Try>(size, this.#agenda, randomOf(10 + place)));
    this.#tries = scenario.sizes.map(() => 0);
    this.#endMs = WORLD.seconds * 1_000 * (job.length ?? 1);
    this.#balancer = new LoadBalancer<number>({
      environment: new HttpEnvironment({ clock: this.#clock, random: randomOf(3) }),
      algorithm: ALGORITHMS[job.algorithm].make(),
      backends: scenario.sizes.map((_, place) => ({ address: `192.0.2.${place + 1}:80`, extension: place })),
      slowStartMs: WORLD.slowStartMs,
      outliers: job.ejects ? WORLD.outliers : false,
      health: { check: this.#check(), intervalMs: WORLD.checkIntervalMs, jitter: WORLD.checkJitter },
      observer: {
        onEjected: () => this.#countEjected(),
        onHealthChange: ({ extension }, isHealthy) => {
          if (isHealthy && extension === VICTIM && this.#foundAt === null) this.#foundAt = this.#clock.now();
        },
      },
    });
  }

  async live(): Promise<SimulationResult> {
    const clock = this.#clock;
    this.#balancer.start();
    await setImmediate();
    for (;;) {
      const at = Math.min(this.#nextArrivalAt, this.#agenda.nextAt, this.#givingUpAt(), this.#turnAt());
      if (at > this.#endMs) break;
      while (clock.nextWakeAt <= at) {
        clock.runNext();
        await setImmediate();
      }
      if (at > clock.now()) clock.advanceTo(at);
      if (this.#turnAt() === at) this.#turn(at);
      else if (this.#agenda.nextAt === at) this.#happen(at);
      else if (this.#givingUpAt() === at) this.#end(this.#patience[this.#patienceHead] as Try, 'timedOut', at);
      else this.#arrive(at);
    }
    const counted = this.#balancer.backends.reduce((sum, backend) => sum + this.#balancer.stateOf(backend).inflight, 0);
    this.#balancer.close();
    return this.#result(counted - this.#underWay);
  }

  /** Looks whether a backend can be connected to, and no further. */
  #check(): HealthCheck<number> {
    return {
      name: 'tcp',
      check: async ({ extension, name }) => {
        if (this.#backends[extension]?.behaviour.refuses === true) throw connectError('CONNECT_REFUSED', `${name} refuses`);
      },
    };
  }

  #countEjected(): void {
    this.#ejections++;
    const out = this.#balancer.backends.filter((backend) => this.#balancer.stateOf(backend).isEjected).length;
    this.#mostEjected = Math.max(this.#mostEjected, out);
  }

  #turnAt(): number {
    return this.#scenario.turns[this.#nextTurn]?.atMs ?? Infinity;
  }

  #turn(now: number): void {
    const { place, behaviour } = this.#scenario.turns[this.#nextTurn++] as Scenario['turns'][number];
    this.#backends[place]?.behave(behaviour, now);
  }

  // ---- requests ------------------------------------------------------------------------------------------------------------------

  #arrive(now: number): void {
    const random = this.#arrivals;
    this.#nextArrivalAt = now - (Math.log(1 - random.next()) * 1_000) / WORLD.requestsPerSecond;
    const request = new Request(now, this.#keys === null ? null : this.#keys.next(), random.next() < WORLD.repeatableShare);
    this.#try(request, now);
  }

  #try(request: Request, now: number): void {
    const balancer = this.#balancer;
    const { tried, key } = request;
    const backend = tried.length === 0 ? balancer.select(key) : balancer.select(key, { exclude: tried });
    if (backend === null) {
      this.#requests++;
      this.#failed++;
      return;
    }
    if (!balancer.isReady(backend) && balancer.status().distress === 'none') this.#sentToUnready++;
    tried.push(backend);
    const one = new Try(request, balancer.begin(backend), now);
    this.#underWay++;
    this.#note(one.place, now);
    this.#patience.push(one);
    this.#backends[one.place]?.receive(one, now);
  }

  #note(place: number, now: number): void {
    this.#tries[place] = (this.#tries[place] ?? 0) + 1;
    const isVictim = place === VICTIM;
    if (isVictim && this.#usedAt === null && now >= WORLD.faultFromMs + GONE_MS) this.#usedAt = now;
    const counts = this.#foundAt !== null && now <= this.#foundAt + 1_000 ? this.#atFirst : this.#atLast;
    if (counts === this.#atLast && now < this.#endMs - 5_000) return;
    counts.all++;
    if (isVictim) counts.victim++;
  }

  #happen(now: number): void {
    const event = this.#agenda.take();
    if (event === null) return;
    const { subject, end } = event;
    const isLost = end === 'answered' && this.#backends[subject.place]?.finish(subject, now) === false;
    if (!isLost && subject.state !== 'over') this.#end(subject, end, now);
  }

  #givingUpAt(): number {
    const patience = this.#patience;
    while (this.#patienceHead < patience.length) {
      const first = patience[this.#patienceHead] as Try;
      if (first.state !== 'over') return first.at + WORLD.timeoutMs;
      this.#patienceHead++;
    }
    return Infinity;
  }

  #end(one: Try, end: TryEnd, now: number): void {
    const { request, flight, place } = one;
    this.#backends[place]?.giveUp(one);
    this.#underWay--;
    this.#ends[end]++;
    if (end === 'answered') flight.end(Outcome.success, now - one.at);
    else flight.end(Outcome.failure);
    if (end !== 'answered' && request.tried.length < 2 && (end === 'refused' || request.isRepeatable)) {
      this.#try(request, now);
      return;
    }
    this.#requests++;
    if (end === 'answered') this.#latencies.push(now - request.at);
    else this.#failed++;
  }

  #result(miscounted: number): SimulationResult {
    const sorted = Float64Array.from(this.#latencies).toSorted();
    const quantile = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
    const returnAt = WORLD.faultFromMs + GONE_MS;
    const isGone = this.#scenario.id === 'gone';
    const since = (at: number | null): number | null => (isGone && at !== null ? at - returnAt : null);
    const shareOf = ({ victim, all }: { readonly victim: number; readonly all: number }): number | null => (isGone ? victim / all : null);
    return {
      ...this.#job,
      requests: this.#requests,
      failed: this.#failed,
      p50: quantile(0.5),
      p99: quantile(0.99),
      p999: quantile(0.999),
      sentToUnready: this.#sentToUnready,
      mostEjected: this.#mostEjected,
      ejections: this.#ejections,
      tries: this.#tries,
      ends: this.#ends,
      foundAfterMs: since(this.#foundAt),
      usedAfterMs: since(this.#usedAt),
      shareAtFirst: shareOf(this.#atFirst),
      shareAtLast: shareOf(this.#atLast),
      miscounted,
    };
  }
}

/** Draws keys: the k-th in proportion to 1 ÷ k. */
class KeyDraw {
  readonly #sums: Float64Array;
  readonly #random: Random;

  constructor(count: number, random: Random) {
    this.#sums = new Float64Array(count);
    this.#random = random;
    let sum = 0;
    for (let index = 0; index < count; index++) this.#sums[index] = sum += 1 / (index + 1);
  }

  next(): string {
    const sums = this.#sums;
    const at = this.#random.next() * (sums.at(-1) as number);
    let low = 0;
    let high = sums.length - 1;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((sums[middle] as number) <= at) low = middle + 1;
      else high = middle;
    }
    return `key-${low}`;
  }
}
