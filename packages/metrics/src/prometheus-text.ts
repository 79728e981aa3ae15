/**
 * Prometheus' text format, version 0.0.4.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
 */
import type { MetricSnapshot, MetricsSnapshot } from './snapshot.ts';

/** The `Content-Type` of the text. */
export const prometheusTextType = 'text/plain; version=0.0.4; charset=utf-8';

/** Writes a snapshot as text, for Prometheus and what reads its format. The same snapshot always gives the same text. */
export function writePrometheusText(snapshot: MetricsSnapshot): string {
  let text = '';
  for (const metric of snapshot) text += metricText(metric);
  return text;
}

function metricText(metric: MetricSnapshot): string {
  const { name, help, type, labels } = metric;
  let text = `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
  if (metric.type === 'histogram') {
    const bounds = [...metric.buckets, Infinity].map(numberText);
    for (const { labelValues, cumulativeCounts, count, sum } of metric.series) {
      const pairs = labelPairs(labels, labelValues);
      const opening = pairs === '' ? '' : `${pairs},`;
      for (const [at, bound] of bounds.entries()) {
        text += `${name}_bucket{${opening}le="${bound}"} ${numberText(cumulativeCounts[at] as number)}\n`;
      }
      const braces = inBraces(pairs);
      text += `${name}_sum${braces} ${numberText(sum)}\n${name}_count${braces} ${numberText(count)}\n`;
    }
    return text;
  }
  for (const { labelValues, value } of metric.series) text += `${name}${inBraces(labelPairs(labels, labelValues))} ${numberText(value)}\n`;
  return text;
}

function inBraces(pairs: string): string {
  return pairs === '' ? '' : `{${pairs}}`;
}

function labelPairs(labels: readonly string[], values: readonly string[]): string {
  let pairs = '';
  for (const [at, label] of labels.entries()) pairs += `${at === 0 ? '' : ','}${label}="${escapeLabelValue(values[at] as string)}"`;
  return pairs;
}

function escapeLabelValue(value: string): string {
  // Nearly no value has any of them.
  return /[\\"\n]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n') : value;
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (value === Infinity) return '+Inf';
  if (value === -Infinity) return '-Inf';
  return String(value);
}
