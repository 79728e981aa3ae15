/** @ferrata/limits: counting and limiting by key in fixed memory, which all threads of a program may share. No I/O; time comes in. */

// Counting.
export { Estimator, type EstimatorOptions, type SketchError, type SketchSize } from './estimator.ts';
// Limiting.
export { Gcra, type GcraOptions } from './gcra.ts';
export { Inflight, type InflightGuard, type InflightOptions } from './inflight.ts';
export { KeyedGcra, type KeyedGcraOptions } from './keyed-gcra.ts';
export { type JoinOptions, type KeyedOptions, type MemoryOptions, type SketchOptions } from './options.ts';
export { Rate, type RateComponents, type RateOptions } from './rate.ts';
export { TokenBucket, type TokenBucketOptions } from './token-bucket.ts';
