/** What was thrown, in words for the operator. */
import { textOf } from '@ferrata/error';

const MAX_LENGTH = 1_000;

/** An error as half a sentence of a bounded length: with its code where that says more, and the place that it comes from, as far as there is one. Never throws. */
export function describeThrown(thrown: unknown): string {
  const text = textOf(thrown);
  const { code, place } = detailsOf(thrown);
  const coded = code === null || text.includes(code) ? text : `${code}: ${text}`;
  const whole = place === null ? coded : `${coded} (${place})`;
  return whole.length > MAX_LENGTH ? `${whole.slice(0, MAX_LENGTH)}…` : whole;
}

function detailsOf(thrown: unknown): { readonly code: string | null; readonly place: string | null } {
  try {
    const { code, stack } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as {
      readonly code?: unknown;
      readonly stack?: unknown;
    };
    // Blanks of one line alone: a message has any number of line ends in it, and to look from each of them to the last would take their square.
    const place = typeof stack === 'string' ? /^[ \t]+(at .+)$/m.exec(stack)?.[1] : undefined;
    return { code: typeof code === 'string' ? code : null, place: place ?? null };
  } catch {
    // A getter, or a proxy, of whoever threw it.
    return { code: null, place: null };
  }
}
