/**
 * What a fuzz target is: a module in `targets/` whose first comment states its invariant and which exports `options` and `fuzz`.
 *
 * `fuzz` gets bytes that nobody rewrites, itself included, and returns if the invariant held. It keeps nothing between two calls. It
 * may throw a `WireError`: a decoder that refuses bytes has done its work. Any other throw is a finding, a `WireError` of type `internal`
 * included, so a broken invariant is thrown as `InvariantBroken`.
 */
import { isWireError } from '@ferrata/error';

/** How the fuzzer should feed a target. */
export interface TargetOptions {
  /** Names of files in `dictionaries/`, without `.txt`. Default: none. */
  readonly dictionaries?: readonly string[];
  /** Longest input in bytes. Default 1024. More finds limits, fewer runs faster. */
  readonly maxLength?: number;
}

/** A loaded target module. */
export interface Target {
  readonly options?: TargetOptions;
  /** A promise is waited for; all that the execution set going must be over by then. */
  fuzz(data: Uint8Array): void | Promise<void>;
}

/** A law that a target checks does not hold. `law` names it; equal laws are counted as one finding. */
export class InvariantBroken extends Error {
  readonly law: string;

  constructor(law: string, details: string) {
    super(`${law}: ${details}`);
    this.law = law;
  }

  override get name(): string {
    return 'InvariantBroken';
  }
}

/**
 * Throws unless `holds`.
 *
 * @param law the name of the law, the same for every input that breaks it
 * @param details what was seen; called only on failure
 * @throws {InvariantBroken}
 */
export function invariant(holds: boolean, law: string, details: () => string): asserts holds {
  if (!holds) throw new InvariantBroken(law, details());
}

/** Runs one input. @returns what was thrown, or null if the invariant held */
export async function runOnce(target: Target, data: Uint8Array): Promise<Error | null> {
  try {
    const running = target.fuzz(data);
    if (running !== undefined) await running;
    return null;
  } catch (thrown) {
    // Of type `internal` is what a decoder made of a throw that it did not expect: a bug, not a refusal.
    if (isWireError(thrown) && thrown.type !== 'internal') return null;
    return thrown instanceof Error ? thrown : new TypeError(`the target threw what is no Error: ${String(thrown)}`);
  }
}

/** True if `module` has the shape of a target. */
export function isTarget(module: unknown): module is Target {
  return typeof module === 'object' && module !== null && 'fuzz' in module && typeof module.fuzz === 'function';
}
