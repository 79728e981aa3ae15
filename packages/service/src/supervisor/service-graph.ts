/** The order in which services start, from what each depends on. */

/**
 * Sorts services so that each comes behind all that it depends on; those that don't depend on each other stay in the order in which they were added.
 *
 * @param dependencies by the name of a service: the names of those that it waits for
 * @throws {TypeError} for a name that no service has, and for a circle: `Circular dependency of services: a → b → a`
 */
export function sortServices(names: readonly string[], dependencies: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const known = new Set(names);
  for (const [name, needed] of dependencies) {
    for (const other of [name, ...needed]) {
      if (!known.has(other)) throw new TypeError(`no service is named "${other}"${other === name ? '' : `, which "${name}" depends on`}`);
    }
  }
  const sorted = new Set<string>();
  const remaining = new Set(names);
  while (remaining.size > 0) {
    const next = [...remaining].find((name) => (dependencies.get(name) ?? []).every((needed) => sorted.has(needed)));
    if (next === undefined) throw new TypeError(`Circular dependency of services: ${circle(remaining, dependencies).join(' → ')}`);
    sorted.add(next);
    remaining.delete(next);
  }
  return [...sorted];
}

/** Of services that all wait for one another: those of one circle, the first again at the end. */
function circle(waiting: ReadonlySet<string>, dependencies: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const path: string[] = [];
  let [name] = waiting;
  while (name !== undefined && !path.includes(name)) {
    path.push(name);
    name = (dependencies.get(name) ?? []).find((needed) => waiting.has(needed));
  }
  if (name === undefined) return path;
  return [...path.slice(path.indexOf(name)), name];
}
