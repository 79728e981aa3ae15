/** @ferrata/clock: time and chance as values to inject; the machine's own, and ones moved by hand or by a seed. */
export { type Clock, type Wakeup } from './clock.ts';
export { ManualClock, type ManualClockOptions } from './manual-clock.ts';
export { type Random } from './random.ts';
export { seededRandom } from './seeded-random.ts';
export { systemClock } from './system-clock.ts';
export { systemRandom } from './system-random.ts';
