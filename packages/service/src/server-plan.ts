/** What a server is made of, as its program says it: the same in the process that was started, in the one that serves, and in each of its workers. */
import type { PhaseFeed } from './phase.ts';
import type { ResolvedServerOptions } from './server-options.ts';
import type { Service } from './service.ts';
import type { SharedRegistry } from './supervisor/shared-registry.ts';

/** Everything that `run` needs in each role. */
export interface ServerPlan {
  readonly options: ResolvedServerOptions;
  /** In the order in which they were added. */
  readonly services: readonly Service<unknown>[];
  /** By the name of a service: the names of those that must be ready before it starts. */
  readonly dependencies: ReadonlyMap<string, readonly string[]>;
  readonly shared: SharedRegistry;
  readonly phases: PhaseFeed;
  /** The program's own module, which workers run again: `import.meta.url`. */
  readonly moduleUrl: string;
}
