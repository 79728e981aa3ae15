/**
 * The process that was started: makes ready what outlives every generation, and then keeps it, until it is told to stop.
 *
 * ```
 *   directory ─► configuration (once, to know the sockets) ─► sockets: inherited, then opened ─► pid file ─► user and group ─► first generation
 * ```
 * What fails on the way fails the start, with a sentence; nothing is left behind then. A signal that ends the server is heard from the first moment on.
 */
import { systemClock } from '@ferrata/clock';
import { textOf } from '@ferrata/error';
import { describeDescriptor, descriptorLimit, holdSockets } from '@ferrata/net';
import { callUser } from '@ferrata/stream';
import { takeVariables } from '../environment.ts';
import { MAX_TIME_MS, type ReadyListener } from '../server-options.ts';
import type { ServerPlan } from '../server-plan.ts';
import type { Notice } from '../service.ts';
import { type ConfigReading, readConfig } from '../supervisor/config-reading.ts';
import { sortServices } from '../supervisor/service-graph.ts';
import { ownProgram, type Program, spawnGeneration } from './generation-process.ts';
import { HeldListeners } from './held-listeners.ts';
import { listenVariables, matchSockets, type PassedSocket, passedSockets } from './inherited-sockets.ts';
import { Keeper } from './keeper.ts';
import { PidFile } from './pid-file.ts';
import { dropPrivileges, tryPrivileges } from './privileges.ts';
import type { ServiceManager } from './service-manager.ts';
import type { Signals } from './signals.ts';
import { notifyVariables, serviceManager } from './systemd-notify.ts';

/** What `run` gives to the shell. */
const ExitCode = { ok: 0, notStarted: 1, wrongConfiguration: 2 } as const;

/** For what the program does after the end of its server; then the process ends, whatever else the program has begun in it. */
const LINGER_MS = 5_000;

/**
 * Keeps a server until it ends, and sees to it that the process ends soon after.
 *
 * @param signals caught since before this file was loaded
 * @returns the exit code, see `Server.run`
 * @throws {TypeError} if the program is no file that can be run again
 */
export async function runKeeper(plan: ServerPlan, signals: Signals): Promise<number> {
  const program = ownProgram(process.cwd());
  // Nothing else keeps the process alive between the death of a generation and the next one: timers of our clock do not.
  const staying = setInterval(() => {}, MAX_TIME_MS);
  const housekeeping = new Housekeeping(plan, program);
  // The program runs here, too, and may have begun something of its own (a client, a timer, the watching of a file). Were this process to die of that, all would.
  const outlive = (thrown: unknown): void => housekeeping.handleUncaught(thrown);
  process.on('uncaughtException', outlive);
  let exitCode: number = ExitCode.notStarted;
  try {
    exitCode = await housekeeping.run(signals);
    return exitCode;
  } finally {
    process.removeListener('uncaughtException', outlive);
    clearInterval(staying);
    // The same timer or client would keep it for ever, without a server; as PID 1 it would not even die of a SIGTERM that nobody hears any more.
    setTimeout(() => housekeeping.endProcess(exitCode), LINGER_MS).unref();
  }
}

/** A start that failed, with the exit code that says at which point. */
class StartFailure extends Error {
  readonly exitCode: number;

  constructor(exitCode: number, thrown: unknown) {
    super(textOf(thrown), { cause: thrown });
    this.exitCode = exitCode;
  }
}

class Housekeeping {
  readonly #plan: ServerPlan;
  readonly #program: Program;
  readonly #passed: readonly PassedSocket[];
  readonly #manager: ServiceManager;
  readonly #sockets: HeldListeners;
  readonly #keeper: Keeper;
  /** Of the reading of the configuration, which may last for ever. */
  readonly #givingUp = new AbortController();
  #reading: ConfigReading | null = null;
  #pidFile: PidFile | null = null;

  constructor(plan: ServerPlan, program: Program) {
    this.#plan = plan;
    this.#program = program;
    // Whatever the program spawns would speak to systemd in our name, or take descriptors that it does not have.
    const env = takeVariables([...notifyVariables, ...listenVariables]);
    this.#passed = passedSockets(env, process.pid);
    this.#manager = serviceManager({ env, pid: process.pid, onTrouble: (text) => this.#warn(text) });
    this.#sockets = new HeldListeners({
      hold: holdSockets,
      threads: plan.options.threads,
      descriptorLimit: descriptorLimit(),
      onTrouble: (text) => this.#warn(text),
    });
    this.#keeper = new Keeper(plan.options, {
      clock: systemClock,
      sockets: this.#sockets,
      manager: this.#manager,
      spawn: (generation, threads, keptOptions, watcher) => {
        const { stdio, sockets } = this.#sockets.inheritance(threads);
        return { process: spawnGeneration(this.#program, { generation, keptOptions, stdio }, watcher), sockets };
      },
      notify: (notice) => this.#notify(notice),
      onPhase: (phase) => plan.phases.set(phase),
      onReady: () => this.#tellReady(),
    });
  }

  async run(signals: Signals): Promise<number> {
    const stopped = Promise.withResolvers<'stopped'>();
    signals.hear((signal) => {
      this.#keeper.signal(signal);
      if (!this.#keeper.isEnding) return;
      this.#givingUp.abort('the server is stopping');
      stopped.resolve('stopped');
    });
    try {
      // A configuration may take for ever to load: that must not keep anybody from ending the server.
      const start = this.#prepare();
      if (this.#plan.options.test) {
        const outcome = await Promise.race([start, stopped.promise]);
        if (outcome !== 'stopped') this.#notify({ severity: 'info', text: 'the configuration is good' });
        return outcome === 'stopped' ? ExitCode.notStarted : ExitCode.ok;
      }
      await Promise.race([start, stopped.promise]);
      start.catch(() => {});
      return await this.#keeper.run();
    } catch (thrown) {
      const isTest = this.#plan.options.test;
      this.#notify({ severity: 'error', text: isTest ? textOf(thrown) : `the server could not start: ${textOf(thrown)}` });
      await this.#sockets.releaseAll();
      return thrown instanceof StartFailure ? thrown.exitCode : ExitCode.notStarted;
    } finally {
      const trouble = this.#pidFile?.remove() ?? null;
      if (trouble !== null) this.#warn(trouble);
      this.#plan.phases.set('terminated');
    }
  }

  /** An exception that nobody caught, or a rejection that nobody handled. */
  handleUncaught(thrown: unknown): void {
    const text = `the process that was started met an exception that nobody caught, and goes on: ${textOf(thrown)}`;
    this.#notify({ severity: 'error', text });
  }

  /** With the exit code that the program has set; else with that of the server: the program may not have come to set it. */
  endProcess(exitCode: number): never {
    this.#warn('something that the program has begun keeps the process that was started, and it is ended');
    process.exit(process.exitCode ?? exitCode);
  }

  /** All that comes before the first generation. Ends early, with nothing more done, if the server is told to end meanwhile. */
  async #prepare(): Promise<void> {
    const { options, services, dependencies } = this.#plan;
    const reading = await failing(ExitCode.wrongConfiguration, async () => {
      if (options.workingDirectory !== null) process.chdir(options.workingDirectory);
      sortServices(
        services.map(({ name }) => name),
        dependencies,
      );
      const read = (): Promise<ConfigReading> =>
        readConfig(this.#plan, { clock: systemClock, limitMs: options.readyTimeoutMs, givenUp: this.#givingUp.signal });
      const first = await read();
      if (!options.test || (options.user === null && options.group === null)) return first;
      // Each generation reads it again, as whom it serves: what only root may read is no good.
      tryPrivileges(options);
      return await read();
    });
    this.#reading = reading;
    if (options.test || this.#keeper.isEnding) return;
    await failing(ExitCode.notStarted, async () => {
      this.#adoptPassed(reading);
      await this.#sockets.open(reading.sockets.all);
      if (this.#keeper.isEnding) return this.#sockets.releaseAll();
      if (options.pidFile !== null) this.#pidFile = PidFile.write(options.pidFile);
      dropPrivileges(options);
    });
  }

  #adoptPassed({ sockets: { byService, admin } }: ConfigReading): void {
    if (this.#passed.length === 0) return;
    const all = admin === null ? byService : new Map([...byService, ['admin', [...(byService.get('admin') ?? []), admin]]]);
    const { matched, unmatched } = matchSockets(this.#passed, all, describeDescriptor);
    this.#sockets.adopt(matched);
    for (const text of unmatched) this.#warn(text);
  }

  #tellReady(): void {
    const { onReady } = this.#plan.options;
    if (onReady === null || this.#reading === null) return;
    const ready: ReadyListener[] = [];
    for (const [service, listeners] of this.#reading.listeners) {
      for (const { listen, spec } of listeners)
        ready.push({ service, listen, address: this.#sockets.addressOf(spec.key) ?? { kind: 'unset' } });
    }
    callUser(
      () => onReady(ready),
      (thrown) => this.#warn(`onReady has thrown: ${textOf(thrown)}`),
    );
  }

  #warn(text: string): void {
    this.#notify({ severity: 'warning', text });
  }

  #notify(notice: Notice): void {
    callUser(() => this.#plan.options.onNotice(notice));
  }
}

async function failing<T>(exitCode: number, act: () => T | Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (thrown) {
    throw new StartFailure(exitCode, thrown);
  }
}
