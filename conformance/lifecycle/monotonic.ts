/** @returns milliseconds of the machine's monotonic clock: processes and threads can hold theirs against each other */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
