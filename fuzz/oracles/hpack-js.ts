/** hpack.js, another implementation of RFC 7541: its decoder as a function of whole blocks. */
import { createRequire } from 'node:module';

interface Decompressor {
  write(block: Uint8Array): void;
  execute(): void;
  read(): { readonly name: string; readonly value: string } | null;
  on(event: 'error', listener: (error: Error) => void): void;
}

const hpackJs = createRequire(import.meta.url)('hpack.js') as {
  readonly decompressor: { create(options: { table: { maxSize: number } }): Decompressor };
};

/** What it made of a block, or why it refused it. */
export type OtherReading = { readonly fields: readonly (readonly [name: string, value: string])[] } | { readonly refusal: string };

/**
 * One direction of a connection. It takes size updates anywhere, and forgets that one is owed: ask it only about blocks that we accept.
 * What it has refused once it refuses for good: it would go on in the middle of that block.
 */
export class HpackJsDecoder {
  readonly #stream: Decompressor;
  #refusal: string | null = null;

  constructor(maxTableBytes: number) {
    this.#stream = hpackJs.decompressor.create({ table: { maxSize: maxTableBytes } });
    this.#stream.on('error', (error) => (this.#refusal = error.message));
  }

  decode(block: Uint8Array): OtherReading {
    if (this.#refusal !== null) return { refusal: this.#refusal };
    this.#stream.write(Buffer.from(block));
    this.#stream.execute();
    if (this.#refusal !== null) return { refusal: this.#refusal };
    const fields: [string, string][] = [];
    for (let field = this.#stream.read(); field !== null; field = this.#stream.read()) fields.push([field.name, field.value]);
    return { fields };
  }
}
