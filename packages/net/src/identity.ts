/**
 * A name for what has none: functions and objects that a key must tell from others of their kind.
 *
 * The one piece of state of this module: names are given once a thread, so that settings made anew with the same function have the same key. It holds on to
 * nothing that is not used elsewhere.
 */

const identities = new WeakMap<object, number>();
let last = 0;

/** A number, from 1 on, that is that of no other object of this thread: the same each time for the same object. */
export function identityOf(object: object): number {
  const known = identities.get(object);
  if (known !== undefined) return known;
  last++;
  identities.set(object, last);
  return last;
}
