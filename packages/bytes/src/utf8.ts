/** UTF-8 by the platform's own encoder and decoder, made at the first use: loading this module asks nothing of the platform. */

let encoder: InstanceType<typeof TextEncoder> | undefined;
let decoder: InstanceType<typeof TextDecoder> | undefined;

/** Texts up to here are encoded into one array that stays, and copied out: a quarter of the time, as `encode` allocates for the longest that they may be. */
const SHORT_CHARACTERS = 100;
/** No UTF-16 unit becomes more than three bytes. */
let scratch: Uint8Array | undefined;

/** Encodes `text` as UTF-8; a lone surrogate becomes U+FFFD. */
export function utf8Encode(text: string): Uint8Array {
  encoder ??= new TextEncoder();
  if (text.length > SHORT_CHARACTERS) return encoder.encode(text);
  scratch ??= new Uint8Array(SHORT_CHARACTERS * 3);
  return scratch.slice(0, encoder.encodeInto(text, scratch).written);
}

/** Decodes UTF-8; what is not UTF-8 becomes U+FFFD, and a byte order mark is kept, as U+FEFF. */
export function utf8Decode(bytes: Uint8Array): string {
  decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
  return decoder.decode(bytes);
}
