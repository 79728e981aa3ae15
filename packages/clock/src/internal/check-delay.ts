/** Checks a delay given by the programmer. @returns the delay @throws {RangeError} when it is negative or not finite */
export function checkDelay(delayMs: number): number {
  if (delayMs >= 0 && delayMs < Infinity) return delayMs;
  throw new RangeError(`delayMs must be a finite number of milliseconds, 0 or more: ${String(delayMs)}`);
}
