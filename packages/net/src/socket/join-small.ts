/** Chunks copied into one. */

/** @param total of their lengths @returns a chunk that belongs to the caller */
export function joinSmall(chunks: readonly Uint8Array[], total: number): Uint8Array {
  const joined = Buffer.allocUnsafe(total);
  let at = 0;
  for (let i = 0; i < chunks.length; i++) {
    const chunk = chunks[i] as Uint8Array;
    joined.set(chunk, at);
    at += chunk.length;
  }
  return joined;
}
