/** The usual methods as shared strings, so that comparing a method is comparing pointers and reading one allocates nothing. */

/**
 * Reads the method at the beginning of a decoded head.
 *
 * @param text the head
 * @param length characters of the method
 */
export function methodWithin(text: string, length: number): string {
  for (const method of methodsByLength[length] ?? []) if (text.startsWith(method)) return method;
  return text.substring(0, length);
}

const methodsByLength: readonly (readonly string[] | undefined)[] = [
  undefined,
  undefined,
  undefined,
  ['GET', 'PUT'],
  ['POST', 'HEAD'],
  ['PATCH', 'TRACE'],
  ['DELETE'],
  ['OPTIONS', 'CONNECT'],
];

/** True for a method of the list: a token, as none needs to be looked at. */
export function isUsualMethod(method: string): boolean {
  return methodsByLength[method.length]?.includes(method) === true;
}
