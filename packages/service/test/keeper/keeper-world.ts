/** A world for the keeper's mind: processes that do what a test says, sockets that are only counted, and a clock that is moved by hand. */
import { ManualClock } from '@ferrata/clock';
import type { GenerationMessage, KeeperMessage } from '../../src/keeper/generation-messages.ts';
import type { ProcessEnd, ProcessWatcher } from '../../src/keeper/generation-process.ts';
import { Keeper } from '../../src/keeper/keeper.ts';
import type { KeeperSettings } from '../../src/keeper/keeper-ports.ts';
import type { Notice } from '../../src/service.ts';
import type { SocketSpec } from '../../src/socket-spec.ts';

/** A process that exists only here. */
export class FakeProcess {
  readonly number: number;
  /** There are descriptors for so many. */
  readonly threads: number;
  /** In its environment. */
  readonly keptOptions: string | null;
  readonly received: KeeperMessage[] = [];
  readonly #watcher: ProcessWatcher;
  /** Keys of the sockets that it listens on. */
  keys: readonly string[] = [];
  isAlive = true;
  isReady = false;
  wasKilled = false;
  /** It has said that it ends. */
  isSentAway = false;

  constructor(number: number, threads: number, watcher: ProcessWatcher, keptOptions: string | null) {
    this.number = number;
    this.threads = threads;
    this.keptOptions = keptOptions;
    this.#watcher = watcher;
  }

  get pid(): number {
    return 1_000 + this.number;
  }

  /** The keeper's side. */
  send(message: KeeperMessage): void {
    if (this.isAlive) this.received.push(message);
  }

  kill(): void {
    this.wasKilled = true;
  }

  /** The test's side. */
  say(message: GenerationMessage): void {
    if (message.kind === 'need' || message.kind === 'failed' || (message.kind === 'stopped' && !this.isReady)) this.isSentAway = true;
    if (this.isAlive) this.#watcher.onMessage(message);
  }

  ready(specs: readonly SocketSpec[], config?: Uint8Array | null): void {
    this.isReady = true;
    this.keys = specs.map(({ key }) => key);
    this.say({ kind: 'ready', threads: 2, sockets: specs, ...(config === undefined ? null : { config }) });
  }

  end(end: Partial<ProcessEnd> = { code: 0 }): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.keys = [];
    this.#watcher.onEnd({ code: null, signal: null, why: null, ...end });
  }

  has(kind: KeeperMessage['kind']): boolean {
    return this.received.some((message) => message.kind === kind);
  }

  last<K extends KeeperMessage['kind']>(kind: K): Extract<KeeperMessage, { kind: K }> {
    const found = this.received.findLast((message) => message.kind === kind);
    if (found === undefined) throw new Error(`process ${this.number} has got no ${kind}`);
    return found as Extract<KeeperMessage, { kind: K }>;
  }
}

export const settings: KeeperSettings = {
  threads: 2,
  graceMs: 60_000,
  preStopDelayMs: 3_000,
  upgradeGraceMs: 30_000,
  upgradeOverlapMs: 500,
  readyTimeoutMs: 10_000,
};

/** Port 9 is that of the admin endpoint. */
export function spec(port: number): SocketSpec {
  return { key: `tcp 127.0.0.1:${port}`, transport: 'tcp', host: '127.0.0.1', port, ...(port === 9 ? { isForDraining: true } : null) };
}

/** A keeper in such a world. */
export class KeeperWorld {
  readonly clock = new ManualClock();
  readonly processes: FakeProcess[] = [];
  readonly notices: Notice[] = [];
  readonly phases: string[] = [];
  readonly told: string[] = [];
  readonly held = new Set<string>();
  /** Keys that cannot be opened. */
  readonly taken = new Set<string>();
  readonly keeper: Keeper;
  readyCalls = 0;
  exitCode: number | null = null;

  constructor(held: readonly SocketSpec[] = [spec(1)], watchdogMs: number | null = null, changed: Partial<KeeperSettings> = {}) {
    for (const { key } of held) this.held.add(key);
    const { told } = this;
    this.keeper = new Keeper(
      { ...settings, ...changed },
      {
        clock: this.clock,
        sockets: new FakeSockets(this.held, this.taken),
        manager: {
          watchdogMs,
          ready: () => told.push('ready'),
          reloading: () => told.push('reloading'),
          stopping: () => told.push('stopping'),
          status: () => {},
          feedWatchdog: () => told.push('watchdog'),
        },
        spawn: (number, threads, keptOptions, watcher) => {
          const process = new FakeProcess(number, threads, watcher, keptOptions);
          this.processes.push(process);
          return { process, sockets: [] };
        },
        notify: (notice) => this.notices.push(notice),
        onPhase: (phase) => this.phases.push(phase),
        onReady: () => (this.readyCalls += 1),
      },
    );
  }

  /** A world in which the first generation serves. */
  static serving(...args: ConstructorParameters<typeof KeeperWorld>): KeeperWorld {
    const world = new KeeperWorld(...args);
    world.run();
    world.process(1).ready([...world.held].map((key) => spec(Number(key.split(':')[1]))));
    return world;
  }

  run(): void {
    void this.keeper.run().then((code) => {
      this.exitCode = code;
    });
  }

  process(number: number): FakeProcess {
    const process = this.processes[number - 1];
    if (process === undefined) throw new Error(`there is no process ${number}`);
    return process;
  }

  get alive(): FakeProcess[] {
    return this.processes.filter(({ isAlive }) => isAlive);
  }

  said(pattern: RegExp): boolean {
    return this.notices.some(({ text }) => pattern.test(text));
  }

  /** Lets promises settle. */
  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

class FakeSockets {
  readonly #held: Set<string>;
  readonly #taken: ReadonlySet<string>;

  constructor(held: Set<string>, taken: ReadonlySet<string>) {
    this.#held = held;
    this.#taken = taken;
  }

  get keys(): readonly string[] {
    return [...this.#held];
  }

  async open(specs: readonly SocketSpec[]): Promise<void> {
    await Promise.resolve();
    const missing = specs.filter(({ key }) => !this.#held.has(key));
    for (const { key } of missing) if (this.#taken.has(key)) throw new Error(`${key} is in use`);
    for (const { key } of missing) this.#held.add(key);
  }

  mismatches(specs: readonly SocketSpec[]): string[] {
    return specs.filter(({ mode }) => mode !== undefined).map(({ key }) => `${key} has another mode`);
  }

  async release(keys: readonly string[]): Promise<void> {
    for (const key of keys) this.#held.delete(key);
    await Promise.resolve();
  }

  releaseAll(): Promise<void> {
    return this.release(this.keys);
  }
}
