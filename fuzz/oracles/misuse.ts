/**
 * Tells the errors that sources throw for misuse from those that the engine throws for a crash: both are `TypeError` and `RangeError`, and a
 * message of the engine can be any text.
 *
 * While a command runs, the global constructors note what they make. The engine makes its own errors without them.
 */
import { InvariantBroken } from '../src/target.ts';

const engine = { TypeError: globalThis.TypeError, RangeError: globalThis.RangeError } as const;
let made = new WeakSet<Error>();
const noting: ProxyHandler<typeof engine.TypeError | typeof engine.RangeError> = {
  construct(target, args, newTarget) {
    const error = Reflect.construct(target, args, newTarget) as Error;
    made.add(error);
    return error;
  },
};
const TypeErrorOfSources = new Proxy(engine.TypeError, noting);
const RangeErrorOfSources = new Proxy(engine.RangeError, noting);

/**
 * Runs a command that may be refused.
 *
 * @returns the refusal, or null if there was none
 * @throws {InvariantBroken} if anything else was thrown than a `TypeError` or a `RangeError` of the sources
 */
export function refusalOf(command: () => unknown): TypeError | RangeError | null {
  globalThis.TypeError = TypeErrorOfSources;
  globalThis.RangeError = RangeErrorOfSources;
  try {
    command();
    return null;
  } catch (error) {
    if ((error instanceof engine.TypeError || error instanceof engine.RangeError) && made.has(error)) return error;
    throw new InvariantBroken('misuse is a TypeError or a RangeError of ours', String(error));
  } finally {
    globalThis.TypeError = engine.TypeError;
    globalThis.RangeError = engine.RangeError;
    made = new WeakSet();
  }
}

const TOKEN = /^[!#$%&'*+.^_`|~\w-]+$/;
const VALUE = /^(?![\t ])[\t\x20-\x7e\x80-\xff]*(?<![\t ])$/;
/** Names beyond this are refused by `HeaderMap`, as by decoders. */
const MAX_NAME_BYTES = 256;
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;

/** What is certainly valid, by the grammar and the length of names; the encoders may take more. */
export const isValid = {
  field: (name: string, value: string): boolean => TOKEN.test(name) && name.length <= MAX_NAME_BYTES && VALUE.test(value),
  value: (value: string): boolean => VALUE.test(value),
  extension: (extension: string): boolean => extension === '' || TOKEN.test(extension),
  /** Of an ordinary method, and a path that no two readers differ on. */
  request: (method: string, target: string): boolean => TOKEN.test(method) && method !== 'CONNECT' && /^\/[\w/.?=&-]*$/.test(target),
  response: (status: number, reason: string): boolean => Number.isInteger(status) && status >= 100 && status <= 999 && REASON.test(reason),
  length: (bodyLength: number): boolean => Number.isSafeInteger(bodyLength) && bodyLength >= 0,
} as const;
