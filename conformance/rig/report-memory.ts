/** Loaded before a program of ours: answers each message of the parent with the bytes that are in use, on the heap and beside it, after a collection. */
process.on('message', () => {
  (globalThis as { readonly gc?: () => void }).gc?.();
  const { heapUsed, external } = process.memoryUsage();
  process.send?.(heapUsed + external, undefined, undefined, () => undefined);
});
// It is not to keep the program alive.
process.channel?.unref();
