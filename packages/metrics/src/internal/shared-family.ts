/** Finds the series of a metric in its tree, or has them made. */
import type { LabelValue, LabelValues, MetricFamily } from '../metric-family.ts';
import type { LabelNames } from '../options.ts';
import type { LabelTree, Metric, Series } from './metric.ts';
import type { MetricTable } from './metric-table.ts';

export class SharedFamily<Handle, Names extends LabelNames> implements MetricFamily<Handle, Names> {
  readonly name: string;
  readonly labels: Names;
  readonly #metric: Metric;
  readonly #table: MetricTable;
  readonly #tree: LabelTree;

  constructor(metric: Metric, table: MetricTable) {
    const { name, labels } = metric.definition;
    this.name = name;
    this.labels = labels as unknown as Names;
    this.#metric = metric;
    this.#table = table;
    this.#tree = metric.tree;
  }

  with(values: LabelValues<Names>): Handle {
    const names = this.labels;
    let found: LabelTree | Series | undefined = this.#tree;
    for (let at = 0; at < names.length; at++) {
      const name = names[at] as Names[number];
      found = (found as LabelTree).get(textOf(values[name], name));
      if (found === undefined) return this.#resolve(names.map((each: Names[number]) => values[each]));
    }
    return found as Handle;
  }

  withValues(...values: { readonly [At in keyof Names]: LabelValue }): Handle {
    const names = this.labels;
    if (values.length !== names.length)
      throw new TypeError(`${this.name} has ${names.length} labels (${names.join(', ')}), not ${values.length}`);
    let found: LabelTree | Series | undefined = this.#tree;
    for (let at = 0; at < names.length; at++) {
      found = (found as LabelTree).get(textOf(values[at], names[at] as string));
      if (found === undefined) return this.#resolve(values);
    }
    return found as Handle;
  }

  #resolve(values: readonly (LabelValue | undefined)[]): Handle {
    const texts = values.map((value, at) => textOf(value, this.labels[at] as string));
    return this.#table.resolve(this.#metric, texts) as Handle;
  }
}

function textOf(value: LabelValue | undefined, name: string): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  throw new TypeError(`the value of label ${name} must be a string or a number, not ${value === null ? 'null' : typeof value}`);
}
