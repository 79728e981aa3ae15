/**
 * How a metric or a series is written as a text of the log.
 *
 * ```
 *  definition  [0][0] JSON, an array of its parts
 *  series      [number of its metric + 1: high, low] [length] value [length] value …       each [] one unit of UTF-16
 * ```
 *
 * Definitions are the program's, and few. Label values are often the peers': with lengths before them they take 2 bytes a character whatever
 * they are, while JSON writes a control character as six.
 */
import { defineMetric, type MetricDefinition, type MetricType } from './definition.ts';
import { damagedLog } from './definition-log.ts';

/** A text of the log, understood. */
export type LogRecord = MetricDefinition | SeriesRecord;

/** A series: which metric's, and its label values. */
export interface SeriesRecord {
  readonly metricId: number;
  readonly labelValues: readonly string[];
}

const definitionMark = '\0\0';
const types: readonly unknown[] = ['counter', 'gauge', 'histogram'] satisfies readonly MetricType[];

/** Writes a metric. */
export function writeDefinition({ type, name, help, unit, labels, buckets, maxSeries }: MetricDefinition): string {
  return definitionMark + JSON.stringify([type, name, help, unit, labels, buckets, maxSeries]);
}

/** Writes a series. Values are of 65 535 units at most. */
export function writeSeries(metricId: number, labelValues: readonly string[]): string {
  const number = metricId + 1;
  let text = String.fromCharCode(number >>> 16, number & 0xffff);
  for (const value of labelValues) text += String.fromCharCode(value.length) + value;
  return text;
}

/** Units that `writeSeries` will write. */
export function lengthOfSeries(labelValues: readonly string[]): number {
  let length = 2 + labelValues.length;
  for (const value of labelValues) length += value.length;
  return length;
}

/** Reads what one of the two wrote. @throws {TypeError} when neither did */
export function parseRecord(text: string): LogRecord {
  const number = text.charCodeAt(0) * 0x1_0000 + text.charCodeAt(1);
  if (Number.isNaN(number)) throw damagedLog('a record is too short');
  if (number === 0) return parseDefinition(text.slice(definitionMark.length));
  const labelValues: string[] = [];
  let at = 2;
  while (at < text.length) {
    const end = at + 1 + text.charCodeAt(at);
    if (end > text.length) throw damagedLog('a label value goes on after its record');
    labelValues.push(text.slice(at + 1, end));
    at = end;
  }
  // The same texts, but with a body of their own instead of a window on the record, and the short ones once in the whole thread: V8 then
  // finds them in a Map by address. It saves 24 bytes a series and a fifth of a look-up.
  return { metricId: number - 1, labelValues: JSON.parse(JSON.stringify(labelValues)) as readonly string[] };
}

function parseDefinition(json: string): MetricDefinition {
  try {
    const [type, name, help, unit, labels, buckets, maxSeries] = JSON.parse(json) as [
      type: MetricType,
      name: string,
      help: string,
      unit: string,
      labels: readonly string[],
      buckets: readonly number[],
      maxSeries: number,
    ];
    if (!types.includes(type)) throw new TypeError(`no type of a metric: ${JSON.stringify(type)}`);
    // Checked like any other: who joins trusts the memory no more than its caller.
    return defineMetric(type, name, { help, unit, labels, buckets, maxSeries }, maxSeries);
  } catch (cause) {
    throw damagedLog('a definition cannot be read', cause);
  }
}
