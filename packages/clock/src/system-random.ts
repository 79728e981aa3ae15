/**
 * The platform's randomness, from its cryptographic generator: good enough for WebSocket masks (RFC 6455 §5.3 asks for a strong source
 * of entropy) as well as for choosing a backend.
 */
import { type Random, randomFromWords } from './random.ts';

/** Words fetched at once: one call of the generator costs as much as hundreds of words. */
const wordsPerFill = 256;

/** Random numbers nobody can foresee, from `crypto.getRandomValues`, fetched 1 KiB at a time. */
export const systemRandom: Random = /* @__PURE__ */ randomFromWords(/* @__PURE__ */ bufferedWords());

function bufferedWords(): () => number {
  const words = new Uint32Array(wordsPerFill);
  let used = wordsPerFill;
  return () => {
    if (used === wordsPerFill) {
      crypto.getRandomValues(words);
      used = 0;
    }
    return words[used++] as number;
  };
}
