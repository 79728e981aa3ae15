/** UTF-8 by the platform's own encoder and decoder, made at the first use: loading this module asks nothing of the platform. */

let encoder: InstanceType<typeof TextEncoder> | undefined;
let decoder: InstanceType<typeof TextDecoder> | undefined;

/** Encodes `text` as UTF-8; a lone surrogate becomes U+FFFD. */
export function utf8Encode(text: string): Uint8Array {
  encoder ??= new TextEncoder();
  return encoder.encode(text);
}

/** Decodes UTF-8; what is not UTF-8 becomes U+FFFD, and a byte order mark is kept, as U+FEFF. */
export function utf8Decode(bytes: Uint8Array): string {
  decoder ??= new TextDecoder('utf-8', { ignoreBOM: true });
  return decoder.decode(bytes);
}
