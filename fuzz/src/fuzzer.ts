/**
 * The loop: pick an input, mutate it, run the target, keep what reached something new, report what broke the invariant.
 *
 * Everything depends on the seed and the corpus alone: the same seed gives the same inputs in the same order. Only how far a run gets
 * within its time is up to the machine.
 */
import { type Random, seededRandom } from '@ferrata/clock';
import { Corpus, type Seed } from './corpus.ts';
import { FeatureMap, instrumentedBranches, resetCounters } from './coverage.ts';
import { readDictionaries } from './dictionary.ts';
import { describeFinding, type Finding, minimise, signatureOf } from './finding.ts';
import { Mutator } from './mutator.ts';
import { runOnce, type Target } from './target.ts';

/** Options of `runFuzzer`. */
export interface FuzzerOptions {
  /** Inputs to begin with, run as they are first. */
  readonly seeds: readonly Seed[];
  /** Default 1. */
  readonly seed?: number;
  /** Stop after this many executions. Default: none. The seeds run whatever it says; with 0, they alone. */
  readonly maxExecutions?: number;
  /** Stop after this time, read from `clock`. Default: none. The seeds run whatever it says; with 0, they alone. */
  readonly maxMs?: number;
  /** Stop after this many different findings. Default 1. */
  readonly maxFindings?: number;
  /** Monotonic milliseconds; needed only with `maxMs`. */
  readonly clock?: () => number;
  /** Called before each execution with its input: a watchdog's sign of life. */
  readonly onExecution?: (data: Uint8Array) => void;
  /** Called with each finding when it has been made short: what is found must not be lost with the run. */
  readonly onFinding?: (finding: Finding) => void;
  /** Ends the run soon after it is aborted. With it, the run gives way to the event loop now and then, so that it can be. */
  readonly signal?: AbortSignal;
  /** Called about once a second of `clock`. */
  readonly onProgress?: (state: FuzzerState) => void;
}

/** How far a run has come. */
export interface FuzzerState {
  readonly executions: number;
  readonly branches: number;
  readonly instrumentedBranches: number;
  readonly features: number;
  readonly corpus: number;
  readonly findings: number;
}

/** What a run came to. */
export interface FuzzerReport extends FuzzerState {
  readonly found: readonly Finding[];
  /** The inputs that brought new coverage and are not among the seeds. */
  readonly grown: readonly Uint8Array[];
}

/** Executions between two looks at the clock, and two turns of the event loop. */
const CLOCK_EVERY = 256;

/** Fuzzes a target until one of the limits is reached. */
export async function runFuzzer(target: Target, options: FuzzerOptions): Promise<FuzzerReport> {
  // An error's stack costs more than the parse that refused; it is collected again when a finding is described.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return await new Fuzzer(target, options).run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

class Fuzzer {
  readonly #target: Target;
  readonly #options: FuzzerOptions;
  readonly #random: Random;
  readonly #mutator: Mutator;
  readonly #corpus = new Corpus();
  readonly #features = new FeatureMap();
  readonly #findings = new Map<string, Finding>();
  #executions = 0;
  #seedInputs = 0;

  constructor(target: Target, options: FuzzerOptions) {
    this.#target = target;
    this.#options = options;
    this.#random = seededRandom(options.seed ?? 1);
    this.#mutator = new Mutator({
      random: this.#random,
      maxLength: target.options?.maxLength ?? 1024,
      dictionary: readDictionaries(target.options?.dictionaries ?? []),
    });
  }

  async run(): Promise<FuzzerReport> {
    await this.#runSeeds();
    await this.#runMutations();
    return { ...this.#state(), found: [...this.#findings.values()], grown: this.#corpus.inputs.slice(this.#seedInputs) };
  }

  /** Each seed runs as it is, whole: the committed findings are regressions, also those longer than `maxLength`. */
  async #runSeeds(): Promise<void> {
    for (const { data } of this.#options.seeds) await this.#execute(data);
    if (this.#corpus.size === 0) this.#corpus.add(new Uint8Array(0));
    this.#seedInputs = this.#corpus.size;
  }

  async #runMutations(): Promise<void> {
    const {
      maxExecutions = Number.POSITIVE_INFINITY,
      maxMs = Number.POSITIVE_INFINITY,
      maxFindings = 1,
      clock,
      onProgress,
      signal,
    } = this.#options;
    // None at all: the seeds alone.
    if (maxMs <= 0) return;
    const start = clock?.() ?? 0;
    let nextProgress = start + 1000;
    while (this.#executions < maxExecutions && this.#findings.size < maxFindings) {
      if (clock !== undefined && this.#executions % CLOCK_EVERY === 0) {
        const now = clock();
        if (now - start >= maxMs) return;
        if (now >= nextProgress) {
          nextProgress = now + 1000;
          onProgress?.(this.#state());
        }
      }
      if (signal !== undefined && this.#executions % CLOCK_EVERY === 0) {
        await new Promise<void>((resolve) => void setImmediate(resolve));
        if (signal.aborted) return;
      }
      await this.#execute(this.#mutator.mutate(this.#corpus.pick(this.#random), this.#corpus.pick(this.#random)));
    }
  }

  async #execute(data: Uint8Array): Promise<void> {
    this.#executions++;
    this.#options.onExecution?.(data);
    const thrown = await runOnce(this.#target, data);
    if (thrown !== null) {
      await this.#report(data, thrown);
      return;
    }
    if (this.#features.absorb() === 0) return;
    // A second run puts the counters back, for the corpus to read.
    await runOnce(this.#target, data);
    this.#corpus.add(data);
    resetCounters();
  }

  async #report(data: Uint8Array, thrown: Error): Promise<void> {
    resetCounters();
    const signature = signatureOf(thrown);
    if (this.#findings.has(signature)) return;
    const shortest = await minimise(this.#target, data, signature);
    const finding = await describeFinding(this.#target, shortest, { signature, execution: this.#executions });
    this.#findings.set(signature, finding);
    resetCounters();
    this.#options.onFinding?.(finding);
  }

  #state(): FuzzerState {
    return {
      executions: this.#executions,
      branches: this.#features.branches,
      instrumentedBranches: instrumentedBranches(),
      features: this.#features.features,
      corpus: this.#corpus.size,
      findings: this.#findings.size,
    };
  }
}
