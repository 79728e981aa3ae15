/** A check of the program's own. */
import type { Backend } from '../backend.ts';
import type { HealthCheck, HealthCheckContext } from './health-check.ts';

/**
 * Makes a check of a function: fulfilled, or returned from, the backend is well; rejected, or thrown from, it is not.
 *
 * It should give up when `context.signal` is aborted: the backend is not checked again before it has come back, and counts as failed meanwhile.
 *
 * @param name what stands in notices and metrics
 * @throws {TypeError} when the name is empty, or there is no function
 */
export function customCheck<Extension = unknown>(
  name: string,
  check: (backend: Backend<Extension>, context: HealthCheckContext) => Promise<void> | void,
): HealthCheck<Extension> {
  if (typeof name !== 'string' || name === '') throw new TypeError('the name of a check must be text that is not empty');
  if (typeof check !== 'function') throw new TypeError(`the check ${name} must be a function`);
  return { name, check: async (backend, context) => check(backend, context) };
}
