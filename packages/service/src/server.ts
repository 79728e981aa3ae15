/**
 * A server, as a program builds it at the top of its module.
 *
 * The module runs in each of the three roles (see `role.ts`), and `run` plays the one of the thread it is called in. Nothing starts before `run`.
 */
import { parentPort } from 'node:worker_threads';
import { Signals } from './keeper/signals.ts';
import { type Phase, PhaseFeed, type PhaseWatcher } from './phase.ts';
import { type Role, roleOfThread } from './role.ts';
import { type ResolvedServerOptions, resolveServerOptions, type ServerOptions } from './server-options.ts';
import type { ServerPlan } from './server-plan.ts';
import type { Service } from './service.ts';
import { SharedRegistry, type SharedSpec } from './supervisor/shared-registry.ts';

/** A service that has been added to a server. */
export interface ServiceHandle {
  readonly name: string;
  /**
   * Starts this service only when those are ready.
   *
   * @throws {TypeError} if one of them belongs to another server, or is this one
   */
  dependsOn(...services: readonly ServiceHandle[]): this;
}

/** Services on threads, behind sockets that outlive them. */
export class Server<C = undefined> {
  readonly #options: ResolvedServerOptions;
  readonly #role: Role;
  readonly #services: Service<unknown>[] = [];
  readonly #handles = new Map<string, AddedService>();
  readonly #shared: SharedRegistry;
  readonly #phases = new PhaseFeed();
  #hasRun = false;

  /**
   * @throws {TypeError} if an option is unknown or of the wrong kind
   * @throws {RangeError} if an option is out of range
   */
  constructor(options: ServerOptions<C> = {}) {
    this.#role = roleOfThread();
    this.#options = resolveServerOptions(options);
    this.#shared = new SharedRegistry(this.#role.kind === 'worker' ? this.#role.seed.shared : null);
  }

  /** The phase that the server is in, as far as this thread knows. */
  get phase(): Phase {
    return this.#phases.current;
  }

  /**
   * Adds a service. To be called in the same order in every thread: at the top of the module, before `run`.
   *
   * @throws {TypeError} if it has no proper name, or one that another service has
   */
  addService(service: Service<C>): ServiceHandle {
    if (this.#hasRun) throw new TypeError('addService was called after run; services are added before it');
    checkService(service);
    if (this.#handles.has(service.name)) throw new TypeError(`there is a service ${service.name} already; names are unique in a server`);
    const handle = new AddedService(service.name, this.#handles);
    this.#handles.set(service.name, handle);
    this.#services.push(service);
    return handle;
  }

  /**
   * Memory that all workers share, by a name: made once in each generation.
   *
   * @throws whatever `spec` throws
   */
  shared<T>(name: string, spec: SharedSpec<T>): T {
    return this.#shared.use(name, spec);
  }

  /**
   * Tells of the phases that begin from now on: in the process that was started, those of the generation that serves, and the end.
   *
   * @returns what ends it
   */
  watchPhase(watcher: PhaseWatcher): () => void {
    return this.#phases.watch(watcher);
  }

  /**
   * Runs the server until it has been told to stop. To be called once, with the program's own `import.meta`.
   *
   * When it has ended, and something of the program's own still keeps the process alive (a timer, a client), the process is ended 5 s later, with the exit code that the program has set, or
   * else that of the server.
   *
   * An exception that nobody caught does not end the process that was started: it is told as a notice, as the sockets outlive whatever the program does there.
   *
   * @returns the exit code: 0 ended in order · 1 could not start · 2 configuration wrong · 130, 143: a second SIGINT or SIGTERM cut the end short
   * @throws {TypeError} if it is called a second time, or in a worker thread that the program has made
   */
  async run(meta: ImportMeta): Promise<number> {
    if (this.#hasRun) throw new TypeError('run was called a second time; a server runs once');
    const role = this.#role;
    if (role.kind === 'foreignThread') throw new TypeError('run must be called in the main thread: this is a worker thread of the program');
    const moduleUrl: unknown = meta?.url;
    if (typeof moduleUrl !== 'string') throw new TypeError('run needs the import.meta of the module that calls it');
    this.#hasRun = true;
    if (role.kind !== 'worker') outliveStandardStreams();
    const plan: ServerPlan = {
      options: this.#options,
      services: this.#services,
      dependencies: new Map([...this.#handles.values()].map((handle) => [handle.name, [...handle.dependencies]])),
      shared: this.#shared,
      phases: this.#phases,
      moduleUrl,
    };
    return await play(role, plan);
  }
}

/** A full disk, or a reader that has gone: what logs is not worth the server. Without a listener such an error ends the process. */
function outliveStandardStreams(): void {
  for (const name of ['stdout', 'stderr'] as const) {
    try {
      process[name].on('error', () => {});
    } catch {
      // It was closed by whoever started us.
    }
  }
}

/** Each role loads only what it needs. */
async function play(role: Exclude<Role, { kind: 'foreignThread' }>, plan: ServerPlan): Promise<number> {
  switch (role.kind) {
    case 'keeper': {
      // Before anything is loaded: a signal that came meanwhile would end the process without a word, or be lost.
      using signals = new Signals();
      const { runKeeper } = await import('./keeper/run-keeper.ts');
      return await runKeeper(plan, signals);
    }
    case 'generation': {
      const { runSupervisor } = await import('./supervisor/supervisor.ts');
      // The process is spawned where its keeper was started, so that relative paths of Node's own options hold; its own paths are relative to this.
      if (plan.options.workingDirectory !== null) process.chdir(plan.options.workingDirectory);
      return await runSupervisor(plan);
    }
    case 'worker': {
      const { runWorker } = await import('./worker/worker.ts');
      if (parentPort === null) throw new TypeError('a worker has no port to its main thread');
      await runWorker(plan, role.seed, parentPort);
      return 0;
    }
  }
}

class AddedService implements ServiceHandle {
  readonly name: string;
  readonly dependencies = new Set<string>();
  /** All services of the server, to tell those of another one. */
  readonly #siblings: ReadonlyMap<string, ServiceHandle>;

  constructor(name: string, siblings: ReadonlyMap<string, ServiceHandle>) {
    this.name = name;
    this.#siblings = siblings;
  }

  dependsOn(...services: readonly ServiceHandle[]): this {
    for (const service of services) {
      // A longer cycle is found when the order of starting is worked out.
      if (service === this) throw new TypeError(`Circular dependency: ${this.name} depends on itself`);
      if (this.#siblings.get(service.name) !== service)
        throw new TypeError(`${this.name} cannot depend on ${service.name}: it belongs to another server`);
      this.dependencies.add(service.name);
    }
    return this;
  }
}

function checkService(service: unknown): asserts service is Service<unknown> {
  if (typeof service !== 'object' || service === null) throw new TypeError('a service must be an object');
  const { name, placement, listeners, start } = service as Partial<Service<unknown>>;
  if (typeof name !== 'string' || !/^[\w.-]{1,100}$/.test(name)) {
    throw new TypeError(`the name of a service has letters, digits, "-", "_" and ".", not ${JSON.stringify(name)}`);
  }
  if (placement !== 'workers' && placement !== 'oneWorker' && placement !== 'main') {
    throw new TypeError(`service ${name} has the placement ${JSON.stringify(placement)}; it is "workers", "oneWorker" or "main"`);
  }
  if (typeof listeners !== 'function' || typeof start !== 'function')
    throw new TypeError(`service ${name} must have the methods listeners and start`);
}
