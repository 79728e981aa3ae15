/** What clients and origins of a mixed world have seen, whatever they speak: the same shape for both versions. */
import { type Token, tokenFrom } from '../world/messages.ts';
import { type FieldLine, fieldIn, fieldOf, statusOf, type WireMessage } from '../world/wire-reader.ts';

/** A message that was received, as far as it came. Text has one character a byte. */
export interface Received {
  readonly token: Token;
  readonly attempt: number;
  /** 0 for a request. */
  readonly status: number;
  /** Method and target of a request. */
  readonly start: string;
  readonly fields: readonly FieldLine[];
  body: string;
  trailers: readonly FieldLine[];
  isWhole: boolean;
  /** The origin has said that it did nothing for it (RFC 9113 §8.7, §7). */
  isRefused: boolean;
}

/** How one request of a client has ended. */
export type Outcome = 'none' | 'whole' | 'reset' | 'lost' | 'cancelled';

export function tokenIn(fields: readonly FieldLine[]): Token {
  return tokenFrom(fieldIn(fields, 'x-token'));
}

/** A message of HTTP/1 in this shape. */
export function receivedOf(message: WireMessage, kind: 'request' | 'response'): Received {
  const { fields, body, trailers, isComplete } = message;
  return {
    token: tokenIn(fields),
    attempt: Number(fieldOf(message, 'x-attempt') ?? 0),
    status: kind === 'request' ? 0 : statusOf(message),
    start: kind === 'request' ? `${message.start[0]} ${message.start[1]}` : '',
    fields,
    body,
    trailers,
    isWhole: isComplete,
    isRefused: false,
  };
}

export function latin1Of(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}
