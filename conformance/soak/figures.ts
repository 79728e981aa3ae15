/** What is made of a row of samples: whether memory grows, and what was left over at the end. */
import { booksProblem, type ProxyFigures } from '../rig/proxy-process.ts';

const MIB = 1_048_576;

/** What memory may grow by in a minute. */
export const MAX_GROWTH_PER_MINUTE = MIB;

/** Figures of a quiet moment, after a collection. */
export interface Sample {
  readonly atMs: number;
  readonly residentBytes: number;
  readonly liveBytes: number;
}

/** A straight line through points, by least squares. */
export interface Line {
  readonly slope: number;
  /** The standard error of the slope. */
  readonly error: number;
}

/** @throws {RangeError} for fewer than three points, or points of one abscissa */
export function fitLine(points: readonly (readonly [x: number, y: number])[]): Line {
  const count = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  const squares = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  if (count < 3 || squares === 0) throw new RangeError(`no line goes through ${count} points`);
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / squares;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - slope * (x - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (count - 2) / squares) };
}

/** A line as bytes a minute. */
export function growthOf(samples: readonly Sample[], what: 'residentBytes' | 'liveBytes'): Line {
  return fitLine(samples.map((sample) => [sample.atMs / 60_000, sample[what]]));
}

/**
 * Holds growth against what is allowed. Only what is beyond two standard errors counts, as memory comes and goes in pieces of the allocator's; so where these are more
 * than what is allowed the samples say nothing, which is no pass.
 *
 * @param allowed bytes a minute
 * @returns why it is too much, or cannot be told, or null
 */
export function tooMuch(what: string, { slope, error }: Line, allowed = MAX_GROWTH_PER_MINUTE): string | null {
  const figure = `${inMib(slope)} ± ${inMib(2 * error)} MiB a minute`;
  if (slope - 2 * error > allowed) return `${what} grows by ${figure}`;
  return 2 * error <= allowed ? null : `whether ${what} grows cannot be told: by ${figure}, where ${inMib(allowed)} are allowed`;
}

/** @returns what is left over, or null */
export function leftOver(before: ProxyFigures, after: ProxyFigures): string | null {
  const problems: string[] = [];
  const compare = (what: string, had: number, has: number): void => {
    if (has > had) problems.push(`${what}: ${had}, then ${has}`);
  };
  compare('descriptors', before.descriptors, after.descriptors);
  compare('deadlines', before.deadlines, after.deadlines);
  compare('connections of clients', before.clientConnections, after.clientConnections);
  compare('connections to origins', before.upstreamConnections, after.upstreamConnections);
  for (const [name, count] of Object.entries(after.resources)) compare(name, before.resources[name] ?? 0, count);
  return problems.length === 0 ? null : problems.join('; ');
}

/** @returns whether the books are in order, and are those of what was sent: why not, or null */
export function logProblem(
  figures: Parameters<typeof booksProblem>[0],
  { sent, answered }: { readonly sent: number; readonly answered: number },
): string | null {
  const { begun } = figures;
  if (begun > sent) return `${begun} requests were begun, and only ${sent} sent`;
  if (begun < answered) return `${answered} requests were answered, and only ${begun} begun`;
  return booksProblem(figures);
}

/** Two digits behind the point. */
export function inMib(bytes: number): string {
  return (bytes / MIB).toFixed(2);
}
