/**
 * What compresses and expands messages: injected, as DEFLATE itself is no business of a protocol machine.
 *
 * @see RFC 7692 §7.2
 */
import type { DeflateParameters } from './deflate-negotiation.ts';
import type { Role } from './role.ts';

/** Compressor and expander of one connection. Both are synchronous, and may throw. */
export interface MessageCompression {
  /** Compresses one message. @returns DEFLATE data with a sync flush at its end, without the last four bytes 00 00 ff ff (RFC 7692 §7.2.1) */
  deflate(message: Uint8Array): Uint8Array;
  /**
   * Expands the payload of one message, to which 00 00 ff ff has yet to be appended (RFC 7692 §7.2.2).
   *
   * @param maxBytes most bytes that the message may have; it must stop there
   * @returns the message, or null if it has more
   */
  inflate(payload: Uint8Array, maxBytes: number): Uint8Array | null;
}

/** Makes the compression of one connection from what its ends have agreed on. */
export type MakeMessageCompression = (parameters: DeflateParameters, role: Role) => MessageCompression;
