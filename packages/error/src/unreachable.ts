/** Ends an exhaustive `switch`: compiles only if every case was handled. @throws {TypeError} if it is reached all the same */
export function unreachable(value: never): never {
  throw new TypeError(`unreachable: ${String(value)}`);
}
