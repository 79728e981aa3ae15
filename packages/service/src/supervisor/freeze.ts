/** Freezing of configurations, so that nobody changes what others are reading. */

/**
 * Freezes plain data in depth: objects and arrays, and what they hold.
 *
 * Contents of a `Map`, a `Set`, a `Date` or a buffer cannot be frozen by the language and stay as they are. Circles are no trouble, nor is depth.
 *
 * @returns the same value
 */
export function deepFreeze<T>(value: T): T {
  const pending: unknown[] = [value];
  while (pending.length > 0) {
    const item = pending.pop();
    // The language refuses to freeze a view of a buffer that has elements. What is frozen already was walked through, or its holder answers for it.
    if (typeof item !== 'object' || item === null || Object.isFrozen(item) || ArrayBuffer.isView(item)) continue;
    Object.freeze(item);
    for (const key of Reflect.ownKeys(item)) {
      const property = Object.getOwnPropertyDescriptor(item, key);
      if (property !== undefined && 'value' in property) pending.push(property.value);
    }
  }
  return value;
}
