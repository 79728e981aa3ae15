/** What a law throws, and what makes two failures the same. */

/**
 * In which way a law does not hold.
 *
 * - `refused`: a valid input was refused.
 * - `split`, `split-unfinished`, `split-refused`: a cut changes the reading of an input that, whole, is read to its end, is read and leaves bytes
 *   over, or is refused.
 * - `endless`: more events than so many bytes may give.
 * - `unasked`: an event or a refusal after "needs more", without another byte.
 * - `not-final`: a refusal that is not repeated.
 * - `held`: bytes held after a refusal.
 * - `balance`: consumed and left do not make what was fed.
 */
export type LawFailureKind =
  | 'refused'
  | 'split'
  | 'split-unfinished'
  | 'split-refused'
  | 'endless'
  | 'unasked'
  | 'not-final'
  | 'held'
  | 'balance';

/** A law does not hold for one input. It is the kit's own error: a codec's `reasonOf` is never asked about it. */
export class LawFailure extends Error {
  override readonly name = 'LawFailure';
  readonly kind: LawFailureKind;

  constructor(kind: LawFailureKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}

/**
 * Tells failures apart as far as an input can be made smaller without coming upon another bug: by kind, and by class where the decoder or
 * what the user gave has thrown. Not by message: it tells of bytes and places, which is what shrinking changes.
 */
export function sortOf(thrown: unknown): string {
  if (thrown instanceof LawFailure) return thrown.kind;
  return thrown instanceof Error ? `thrown ${thrown.constructor.name}` : `thrown ${typeof thrown}`;
}
