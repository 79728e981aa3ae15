/**
 * A thread that selects from two balancers while their sets are swapped: one that follows what is published, and one that updates itself. It looks at each set that comes into force, and at each
 * backend that it is given, and tells `threads.ts` what was wrong.
 */
import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { HttpEnvironment } from '@ferrata/http';
import { type Backend, BalancerSpace, type Flight, LoadBalancer, powerOfTwo } from '@ferrata/load-balancing';
import { type Question, type SetSource, SIZE, setOf, swappedSets, type ThreadWord } from './swapped-sets.ts';

/** Selections between two turns of the event loop. */
const AT_A_TIME = 200;
/** Requests under way at once, at each balancer. */
const MOST_FLIGHTS = 40;

/** A balancer, and what is known of its set. */
class Watched {
  readonly balancer: LoadBalancer;
  readonly #problems: string[];
  #backends: readonly Backend<undefined>[] = [];
  #marker = '';
  #flights: Flight<undefined>[] = [];
  sets = 0;
  selections = 0;

  constructor(balancer: LoadBalancer, problems: string[]) {
    this.balancer = balancer;
    this.#problems = problems;
  }

  get marker(): string {
    return this.#marker;
  }

  /** Selects once. */
  look(): void {
    const { balancer } = this;
    this.#lookAtSet();
    const chosen = balancer.select();
    this.selections++;
    if (chosen === null) return this.#blame('nobody was chosen');
    const { name, metadata } = chosen;
    if (metadata['set'] !== this.#marker || balancer.find(name) !== chosen)
      this.#blame(`${name} of set ${String(metadata['set'])} was chosen while ${this.#marker} is in force`);
    if (this.#flights.length >= MOST_FLIGHTS) this.#flights.shift()?.end();
    this.#flights.push(balancer.begin(chosen));
  }

  /** @param places which of the set */
  hold(places: number): void {
    for (const backend of this.balancer.backends.slice(0, places)) this.#flights.push(this.balancer.begin(backend));
  }

  endAll(): void {
    for (const flight of this.#flights) flight.end();
    this.#flights = [];
  }

  inflight(): number {
    this.#lookAtSet();
    return this.balancer.backends.reduce((sum, backend) => sum + this.balancer.stateOf(backend).inflight, 0);
  }

  #lookAtSet(): void {
    const { backends } = this.balancer;
    // None has come as yet.
    if (backends === this.#backends || (backends.length === 0 && this.#backends.length === 0)) return;
    this.#backends = backends;
    this.sets++;
    this.#marker = backends[0]?.metadata['set'] ?? '';
    const strangers = backends.filter(({ metadata }) => metadata['set'] !== this.#marker).length;
    if (backends.length !== SIZE || strangers > 0)
      this.#blame(`set ${this.#marker} has ${backends.length} backends, ${strangers} of them of another`);
  }

  #blame(problem: string): void {
    if (this.#problems.length < 10) this.#problems.push(`${this.balancer.config.name}: ${problem}`);
  }
}

const { memory, place } = workerData as { readonly memory: SharedArrayBuffer; readonly place: number };
const problems: string[] = [];
const space = new BalancerSpace({ environment: new HttpEnvironment(), memory });
const source: SetSource = swappedSets();
const onDiscoveryFailed = (error: Error): void => void problems.push(error.message);
const published = new Watched(
  new LoadBalancer({ space, name: 'published', algorithm: powerOfTwo(), discovery: source, observer: { onDiscoveryFailed } }),
  problems,
);
const own = new Watched(new LoadBalancer({ space, name: `own-${place}`, algorithm: powerOfTwo(), backends: setOf('own', 0) }), problems);
published.balancer.start();
own.balancer.start();

parentPort?.on('message', (question: Question) => void answer(question));

async function answer(question: Question): Promise<void> {
  if (question.kind === 'run') await run(question.forMs);
  else if (question.kind === 'hold') published.hold(question.places);
  else if (question.kind === 'end') published.endAll();
  const word: ThreadWord = {
    leads: space.leads,
    inflight: published.inflight() + own.inflight(),
    marker: published.marker,
    sets: published.sets,
    ownSets: own.sets,
    selections: published.selections + own.selections,
    problems,
  };
  parentPort?.postMessage(word);
}

async function run(forMs: number): Promise<void> {
  const until = performance.now() + forMs;
  const isOver = (): boolean => performance.now() >= until;
  const updating = space.leads ? source.swap(isOver) : updateOwn(isOver);
  while (!isOver()) {
    for (let count = 0; count < AT_A_TIME; count++) {
      published.look();
      own.look();
    }
    await setImmediate();
  }
  await updating;
  published.endAll();
  own.endAll();
}

async function updateOwn(isOver: () => boolean): Promise<void> {
  try {
    for (let number = 1; !isOver(); number++) {
      await own.balancer.updateInSlices(setOf('own', number));
      await setImmediate();
    }
  } catch (thrown) {
    problems.push(String(thrown));
  }
}
