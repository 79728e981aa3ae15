export {
  type BenchCase,
  type ComparedMeasurement,
  type CompareOptions,
  type Comparison,
  compare,
  formatComparison,
  jsonFileOf,
  type Measurement,
  type MeasureOptions,
  measure,
} from './harness.ts';
export { median, medianRatio, spread } from './statistics.ts';
export { type Cell, formatFigure, formatTable } from './table.ts';
