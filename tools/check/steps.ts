/**
 * Steps of a check: what one is, and how several run, at most so many at a time, each after those it needs.
 *
 * A step never throws for what it checks: a finding is a failure in its result, with the output that shows it.
 * One that does throw is a failed step, and the others go on.
 */

/** What a step found. */
export interface StepResult {
  readonly passed: number;
  readonly failed: number;
  /** A few words for the table: how much was looked at. */
  readonly note: string;
  /** What to show when something failed. */
  readonly output?: string;
}

export interface Step {
  readonly name: string;
  /** Names of steps that have to end first, well or badly. */
  readonly after?: readonly string[];
  run(): Promise<StepResult>;
}

/** A step that ended. */
export interface Finished extends StepResult {
  readonly name: string;
  readonly ms: number;
}

/** Told of every start and end. */
export interface StepObserver {
  onStart(name: string): void;
  onFinish(step: Finished): void;
}

/** Runs all steps, in order, `lanes` at a time. @returns their results, in the order of `steps` */
export async function runSteps(steps: readonly Step[], lanes: number, observer: StepObserver): Promise<readonly Finished[]> {
  const waiting = [...steps];
  const finished = new Map<string, Finished>();

  const isReady = (step: Step): boolean =>
    (step.after ?? []).every((name) => finished.has(name) || !steps.some((other) => other.name === name));

  await new Promise<void>((resolve) => {
    let running = 0;
    const fill = (): void => {
      if (waiting.length === 0 && running === 0) resolve();
      for (let index = waiting.findIndex(isReady); running < lanes && index !== -1; index = waiting.findIndex(isReady)) {
        const [step] = waiting.splice(index, 1);
        if (step === undefined) return;
        running += 1;
        void runStep(step, observer).then((result) => {
          running -= 1;
          finished.set(step.name, result);
          fill();
        });
      }
    };
    fill();
  });
  return steps.map((step) => finished.get(step.name)).filter((result) => result !== undefined);
}

async function runStep(step: Step, observer: StepObserver): Promise<Finished> {
  const started = performance.now();
  observer.onStart(step.name);
  let result: StepResult;
  try {
    result = await step.run();
  } catch (error) {
    const output = error instanceof Error ? (error.stack ?? error.message) : String(error);
    result = { passed: 0, failed: 1, note: 'the step itself broke', output };
  }
  const finished = { ...result, name: step.name, ms: performance.now() - started };
  observer.onFinish(finished);
  return finished;
}
