/** Options that are written once. */
import { UsageError } from './usage-error.ts';

/** What `parseArgs` says of each argument, as far as it matters here. */
interface OptionToken {
  readonly kind: string;
  readonly name?: string;
}

/**
 * Of two values, `parseArgs` would keep the last without a word, and nobody means the first to be thrown away. A switch that is on is on, however often it is written.
 *
 * @throws {UsageError}
 */
export function checkOnce(
  tokens: readonly OptionToken[],
  options: Readonly<Record<string, { readonly type: string; readonly multiple?: boolean }>>,
): void {
  const seen = new Set<string>();
  for (const { kind, name } of tokens) {
    if (kind !== 'option' || name === undefined) continue;
    const { type, multiple } = options[name] ?? {};
    if (type !== 'string' || multiple === true) continue;
    if (seen.has(name)) throw new UsageError(`--${name} is written twice; it takes one value`);
    seen.add(name);
  }
}
