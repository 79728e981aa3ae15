/** What a scenario is, and what it gets: servers to start, checks to make, a line of figures to leave. */
import type { PeerProgram } from '@ferrata/tools/peers';
import type { Outcome } from '../runner.ts';
import { type AnswerWatcher, type Load, type LoadClient, startLoad } from './load.ts';
import type { Tally } from './tally.ts';
import type { Target, TargetName, TargetOptions, TargetRig } from './targets.ts';

/** Something that happens to a server. */
export interface Scenario {
  /** Unique. */
  readonly id: string;
  readonly targets: readonly TargetName[];
  /** Both cores are needed, and nothing else may run beside it. */
  readonly isHeavy: boolean;
  /** Programs that it needs. They are installed before anything runs: that holds up everything, clients too. */
  readonly programs?: readonly PeerProgram[];
  run(stage: Stage): Promise<void>;
}

/** Figures of one scenario on one target. */
export interface FigureLine {
  readonly scenario: string;
  readonly target: string;
  readonly sent: number;
  readonly failed: number;
  readonly cut: number;
  readonly retried: number;
  readonly slowestMs: number;
  readonly seconds: number;
  /** Figures of its own. */
  readonly more: string;
}

/** One run of one scenario. */
export class Stage {
  readonly rig: TargetRig;
  readonly isLong: boolean;
  readonly targetName: TargetName;
  readonly outcomes: Outcome[] = [];
  readonly #prefix: string;
  readonly #say: (line: string) => void;
  readonly #started: Target[] = [];
  readonly #loads: Load[] = [];
  readonly #tallies: Tally[] = [];
  readonly #more: string[] = [];
  readonly #since = performance.now();

  constructor(parts: {
    readonly rig: TargetRig;
    readonly isLong: boolean;
    readonly targetName: TargetName;
    readonly scenario: Scenario;
    readonly say: (line: string) => void;
  }) {
    this.rig = parts.rig;
    this.isLong = parts.isLong;
    this.targetName = parts.targetName;
    this.#prefix = `${parts.targetName}/${parts.scenario.id}`;
    this.#say = parts.say;
  }

  /** Starts the server of this run. It is killed at the end, if it has not been stopped by then. */
  async start(options: TargetOptions = {}): Promise<Target> {
    const target = await this.rig.start(this.targetName, options);
    this.#started.push(target);
    return target;
  }

  /** Starts clients of a server. They are abandoned at the end, if they have not been stopped by then. */
  load(target: Pick<Target, 'load'>, clients: readonly LoadClient[], watch?: AnswerWatcher): Load {
    const load = startLoad(target.load, clients, watch);
    this.#loads.push(load);
    return load;
  }

  /** Notes how one thing has gone: null for well. */
  check(name: string, problem: string | null): void {
    this.outcomes.push({ id: `${this.#prefix}/${name}`, problem });
  }

  /** The same for something that must be so. */
  must(name: string, isSo: boolean, problem: string): void {
    this.check(name, isSo ? null : problem);
  }

  /** Says what could not be looked at here: in CI a failure. */
  skip(name: string, why: string): void {
    if ((process.env['CI'] ?? '') === '') this.#say(`SKIPPED ${this.#prefix}/${name}: ${why}`);
    else this.check(name, `could not be run: ${why}`);
  }

  say(line: string): void {
    this.#say(`${this.#prefix}: ${line}`);
  }

  /** Adds counts to the line of figures. */
  count(tally: Tally): void {
    this.#tallies.push(tally);
  }

  /** Adds a figure of its own to the line. */
  figure(text: string): void {
    this.#more.push(text);
  }

  /** The bar of everything but killed workers: nothing failed, nothing was cut. */
  nothingFailed(name: string, tally: Tally): void {
    this.count(tally);
    this.check(`${name}, counts`, tally.imbalance());
    this.must(`${name}, requests were sent`, tally.sent > 0, 'none was');
    this.check(
      name,
      tally.failed + tally.cut === 0 ? null : `${tally.failed} failed and ${tally.cut} cut of ${tally.sent}: ${tally.failureText()}`,
    );
  }

  /** After a load: no connection is left, and what was accepted has been closed (I12). */
  async settles(target: Target, name = 'gauges'): Promise<void> {
    let seen = 'nothing';
    const isSettled = await target.server
      .until(async () => {
        const { value } = await target.server.admin('GET', '/connections');
        seen = JSON.stringify(value);
        const services = Object.values((value['services'] ?? {}) as Readonly<Record<string, { readonly connections: number }>>);
        return services.length > 0 && services.every(({ connections }) => connections === 0);
      }, 30_000)
      .catch((error: unknown) => {
        seen = `the admin endpoint fails: ${String(error)}`;
        return false;
      });
    this.must(`${name} are back to 0`, isSettled, seen);
  }

  /** The last that the servers have said. */
  lastWords(): string {
    return this.#started.map(({ server }) => server.output.trim().slice(-1_500)).join('\n—\n');
  }

  /** Ends what still runs, and gives the figures. */
  async end(): Promise<FigureLine> {
    for (const load of this.#loads) load.abandon();
    for (const target of this.#started) await target.kill();
    const [target = '', scenario = ''] = this.#prefix.split('/');
    const sum = (of: (tally: Tally) => number): number => this.#tallies.reduce((total, tally) => total + of(tally), 0);
    return {
      scenario,
      target,
      sent: sum((tally) => tally.sent),
      failed: sum((tally) => tally.failed),
      cut: sum((tally) => tally.cut),
      retried: sum((tally) => tally.retried),
      slowestMs: Math.max(0, ...this.#tallies.map((tally) => tally.slowestMs)),
      seconds: (performance.now() - this.#since) / 1000,
      more: this.#more.join(', '),
    };
  }
}
