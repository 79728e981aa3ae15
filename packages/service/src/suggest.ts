/**
 * What somebody may have meant by a name that nobody knows.
 *
 * A name is near if two typing errors at most lie between (a letter too many, too few, another one, or two neighbours changed about: the distance of Damerau and
 * Levenshtein without overlapping changes), upper and lower case, `-` and `_` being the same; else if it alone begins with what was written, as `grace_period_seconds` does
 * with `grace_period`. Names come from files and command lines, so they may be of any length: the work is bounded.
 */

/** More errors than that, and the guess would be as likely to mislead. */
const MAX_DISTANCE = 2;
/** No name that is known is longer; a longer text is no slip of the fingers. */
const MAX_LENGTH = 64;
/** Less is the beginning of anything. */
const MIN_BEGINNING = 3;

/** @returns the name that is nearest to `name`, the first of several, or the only one that begins with it; null if none is near */
export function nearestName(name: string, known: Iterable<string>): string | null {
  const wanted = flat(name);
  if (wanted.length === 0 || wanted.length > MAX_LENGTH) return null;
  let best: string | null = null;
  let bestDistance = MAX_DISTANCE + 1;
  const longer: string[] = [];
  for (const candidate of known) {
    const other = flat(candidate);
    if (wanted.length >= MIN_BEGINNING && other.startsWith(wanted)) longer.push(candidate);
    if (Math.abs(other.length - wanted.length) >= bestDistance || other.length > MAX_LENGTH) continue;
    const distance = typingDistance(wanted, other);
    // Of a name of three letters, two wrong ones leave nothing to know it by.
    if (distance >= bestDistance || distance * 2 >= Math.max(wanted.length, other.length)) continue;
    best = candidate;
    bestDistance = distance;
  }
  return best ?? (longer.length === 1 ? (longer[0] ?? null) : null);
}

/** @returns `; did you mean threads?`, or nothing if no name is near: the end of a sentence that refuses a name */
export function suggestion(name: string, known: Iterable<string>): string {
  const nearest = nearestName(name, known);
  return nearest === null ? '' : `; did you mean ${nearest}?`;
}

/**
 * Checks the names of options.
 *
 * @param whose the beginning of the sentence: `a server`
 * @throws {TypeError} that names the first option that is not known, and the one that was probably meant, or all that there are
 */
export function checkOptionNames(whose: string, options: object, known: readonly string[]): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue;
    const shown = JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
    throw new TypeError(`${whose} has no option ${shown}${suggestion(name, known) || `; the options are ${known.join(', ')}`}`);
  }
}

/** How many typing errors lie between two texts. @see "optimal string alignment" */
export function typingDistance(a: string, b: string): number {
  // Three rows of the table suffice: a change about looks two rows back.
  let before: number[] = [];
  let above = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const cost = a[row - 1] === b[column - 1] ? 0 : 1;
      let least = Math.min(at(above, column) + 1, at(current, column - 1) + 1, at(above, column - 1) + cost);
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        least = Math.min(least, at(before, column - 2) + 1);
      current.push(least);
    }
    before = above;
    above = current;
  }
  return at(above, b.length);
}

function at(row: readonly number[], column: number): number {
  return row[column] as number;
}

function flat(name: string): string {
  return name.toLowerCase().replaceAll(/[-_]/g, '');
}
