/** What the modules of one request run with, wherever they stand. */
import { checkNumber, checkWholeNumber, type WireError } from '@ferrata/error';
import type { ReadonlyResponseHead } from '@ferrata/headers';
import type { HttpEnvironment } from '@ferrata/http';
import type { Awaitable } from './http-module.ts';

/** Options of whoever runs modules. */
export interface ModuleOptions {
  /** Where the time limit of promises comes from. */
  readonly environment: HttpEnvironment;
  /** How long a promise of a module may take, above 0; default 30 s. The exchange ends with `MODULE_TIMEOUT`, 500. */
  readonly moduleTimeoutMs?: number;
  /**
   * Bytes of a body that may wait while a module works on a piece, from whoever does not wait himself; default 1 MiB. Beyond it the exchange ends. A body that a
   * connection brings is paused instead, and one piece is what waits.
   */
  readonly maxQueuedBytes?: number;
}

/** `ModuleOptions` with every bound set. */
export interface ResolvedModuleOptions {
  readonly environment: HttpEnvironment;
  readonly moduleTimeoutMs: number;
  readonly maxQueuedBytes: number;
}

/** Fills in the defaults, and checks. @throws {RangeError} for a bound out of range */
export function resolveModuleOptions(options: ModuleOptions): ResolvedModuleOptions {
  const { environment, moduleTimeoutMs = 30_000, maxQueuedBytes = 1_048_576 } = options;
  checkNumber('moduleTimeoutMs', moduleTimeoutMs, { above: 0, max: environment.deadlines.maxDelayMs });
  checkWholeNumber('maxQueuedBytes', maxQueuedBytes);
  return Object.freeze({ environment, moduleTimeoutMs, maxQueuedBytes });
}

/** Ends an exchange in whose response, or body, a module has failed; in place of `abort` and `cancel`. What is answered then goes past the modules. */
export type OnModuleFailed = (error: WireError) => void;

/** Called with the head of an upstream's final response before the modules see it. A throw or a rejection is a failure of the exchange. */
export type BeforeResponse = (head: ReadonlyResponseHead) => Awaitable<void>;

/** What one exchange may have in place of its chain's options. */
export interface ModuleOverrides extends Partial<ModuleOptions> {
  /** Default: the exchange is ended by `abort`, or `cancel`. */
  readonly onModuleFailed?: OnModuleFailed;
  /** Of `follow` only. */
  readonly beforeResponse?: BeforeResponse;
}

/** The options of an exchange: those of the chain where nothing is in their place, which costs nothing. @throws {RangeError} for a bound out of range */
export function overrideModuleOptions(options: ResolvedModuleOptions, overrides: ModuleOverrides): ResolvedModuleOptions {
  const { environment, moduleTimeoutMs, maxQueuedBytes } = overrides;
  if (environment === undefined && moduleTimeoutMs === undefined && maxQueuedBytes === undefined) return options;
  return resolveModuleOptions({
    environment: environment ?? options.environment,
    moduleTimeoutMs: moduleTimeoutMs ?? options.moduleTimeoutMs,
    maxQueuedBytes: maxQueuedBytes ?? options.maxQueuedBytes,
  });
}
