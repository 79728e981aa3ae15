/**
 * llhttp as undici drives it: its WebAssembly build with SIMD, the input copied into its memory, callbacks with addresses.
 *
 * It makes what our decoder makes: target, names and values as strings. (undici itself makes them a little later, from pieces it has copied.)
 */
import { createRequire } from 'node:module';

/** The little of the platform's WebAssembly that is needed; its types come only with those of browsers. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object, imports: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  llhttp_alloc(type: number): number;
  malloc(bytes: number): number;
  llhttp_execute(parser: number, at: number, length: number): number;
}

/** What undici uses too, and what has no types. */
type Latin1Buffer = Buffer & { latin1Slice(start: number, end: number): string };

/** Codes of llhttp. */
export const LlhttpType = { request: 1, response: 2 } as const;

/** Most that is copied into the module's memory at once. */
const PIECE_BYTES = 65_536;

/**
 * Makes a parser.
 *
 * @param onMessage is given target (or reason) and the fields of each head
 * @param onBody is given views of the chunk, as undici makes them
 * @returns what reads a chunk
 */
export function llhttpWasm(
  type: number,
  onMessage: (text: string, fields: readonly string[]) => void,
  onBody: (data: Uint8Array) => void,
): (chunk: Buffer) => void {
  const bytes = createRequire(import.meta.url)('undici/lib/llhttp/llhttp_simd-wasm.js') as Uint8Array;
  let piece: Buffer = Buffer.alloc(0);
  let memoryAt = 0;
  let text = '';
  let fields: string[] = [];
  const slice = (at: number, length: number): string => (piece as Latin1Buffer).latin1Slice(at - memoryAt, at - memoryAt + length);
  const env = {
    wasm_on_message_begin: () => 0,
    wasm_on_url: (_: number, at: number, length: number) => {
      text = slice(at, length);
      return 0;
    },
    wasm_on_status: (_: number, at: number, length: number) => {
      text = slice(at, length);
      return 0;
    },
    wasm_on_header_field: (_: number, at: number, length: number) => {
      fields.push(slice(at, length));
      return 0;
    },
    wasm_on_header_value: (_: number, at: number, length: number) => {
      fields.push(slice(at, length));
      return 0;
    },
    wasm_on_headers_complete: () => {
      onMessage(text, fields);
      fields = [];
      return 0;
    },
    wasm_on_body: (_: number, at: number, length: number) => {
      onBody(new Uint8Array(piece.buffer, piece.byteOffset + at - memoryAt, length));
      return 0;
    },
    wasm_on_message_complete: () => 0,
  };
  const wasm = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env }).exports as Exports;
  wasm._initialize();
  const parser = wasm.llhttp_alloc(type);
  memoryAt = wasm.malloc(PIECE_BYTES);
  const memory = new Uint8Array(wasm.memory.buffer, memoryAt, PIECE_BYTES);
  return (chunk) => {
    for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
      piece = chunk.length <= PIECE_BYTES ? chunk : chunk.subarray(at, at + PIECE_BYTES);
      memory.set(piece);
      const code = wasm.llhttp_execute(parser, memoryAt, piece.length);
      if (code !== 0) throw new Error(`llhttp refused the input: ${code}`);
    }
  };
}
