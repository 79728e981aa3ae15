/** Checks of options that are neither numbers nor names. */
import type { Clock } from '@ferrata/clock';

/** @throws {TypeError} unless it is a function or undefined */
export function checkCallback(name: string, value: unknown): void {
  if (value !== undefined) checkFunction(name, value);
}

/** @throws {TypeError} unless it is a function */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw new TypeError(`${name} must be a function, not ${shown(value)}`);
}

/** @returns the value, or `fallback` for undefined @throws {TypeError} for anything else than true and false */
export function checkBoolean(name: string, value: boolean | undefined, fallback: boolean): boolean {
  if (value === undefined) return fallback;
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, not ${shown(value)}`);
  return value;
}

/**
 * Checks that an object has methods, whatever class made it: a program may have this package twice.
 *
 * @throws {TypeError} if it does not
 */
export function checkMethods(name: string, value: unknown, what: string, methods: readonly string[]): void {
  const isFit = isObject(value) && methods.every((method) => typeof value[method] === 'function');
  if (!isFit) throw new TypeError(`${name} must be ${what}, not ${shown(value)}`);
}

/** @throws {TypeError} unless it is a clock or undefined */
export function checkClock(clock: Clock | undefined): void {
  if (clock !== undefined) checkMethods('clock', clock, 'a Clock', ['now', 'schedule']);
}

/** @throws {TypeError} unless it is an object, of which null is none */
export function checkObject(name: string, value: unknown): void {
  if (!isObject(value)) throw new TypeError(`${name} must be an object, not ${shown(value)}`);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 100)) : `another ${typeof value}`;
}
