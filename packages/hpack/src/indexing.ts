/** How an encoder writes a field that stands in no table (RFC 7541 §6.2). */

/** What may become of a field in the tables, here and at every hop behind. */
export const Indexing = {
  /** By the field's name: see the README's table. */
  automatic: 0,
  /** Enters the dynamic table, if it fits in (§6.2.1). */
  incremental: 1,
  /** Does not enter the table (§6.2.2); a reference is used if it stands there already. */
  without: 2,
  /** Is always written as a literal, and every hop behind must do so too (§6.2.3): for what nobody may guess at by the lengths of messages. */
  never: 3,
} as const;

/** One of the values of `Indexing`. */
export type Indexing = (typeof Indexing)[keyof typeof Indexing];
