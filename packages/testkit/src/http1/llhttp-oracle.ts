/**
 * llhttp as a second opinion: the WebAssembly build that undici ships (llhttp 9.3, MIT), strict, driven without undici.
 *
 * undici is an optional peer dependency, loaded when the first oracle is made. The module is no public interface of undici: pin its version.
 */
import { createRequire } from 'node:module';
import {
  type Http1Oracle,
  isBodylessNow,
  type OracleDraft,
  type OracleMessage,
  type OracleOptions,
  type OracleResult,
} from './http1-oracle.ts';

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
  llhttp_reset(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_finish(parser: number): number;
  llhttp_resume_after_upgrade(parser: number): void;
  llhttp_get_error_pos(parser: number): number;
  llhttp_errno_name(code: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_get_status_code(parser: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
}

/** Codes of llhttp. */
const TYPE_REQUEST = 1;
const TYPE_RESPONSE = 2;
const PAUSED_UPGRADE = 22;
const SKIP_BODY = 1;

const WASM_PATH = 'undici/lib/llhttp/llhttp-wasm.js';

interface Draft {
  rest: string;
  name: string;
  value: string;
  fields: string[];
  trailers: string[];
  message: OracleDraft | null;
}

/** A strict llhttp 9.3, the build for WebAssembly. */
export class LlhttpOracle implements Http1Oracle {
  readonly #wasm: Exports;
  readonly #requestParser: number;
  readonly #responseParser: number;
  readonly #buffer: number;
  readonly #capacity: number;
  readonly #names = new Map<number, string>();
  #data: Buffer = Buffer.alloc(0);
  #messages: OracleMessage[] = [];
  #draft: Draft = newDraft();
  #options: OracleOptions = { kind: 'request' };

  /**
   * @param capacity the longest input in bytes
   * @throws {TypeError} if undici is not installed
   */
  constructor(capacity = 65_536) {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(loadWasm()), { env: this.#imports() });
    this.#wasm = instance.exports as Exports;
    this.#wasm._initialize();
    this.#requestParser = this.#wasm.llhttp_alloc(TYPE_REQUEST);
    this.#responseParser = this.#wasm.llhttp_alloc(TYPE_RESPONSE);
    this.#buffer = this.#wasm.malloc(capacity);
    this.#capacity = capacity;
  }

  /** @inheritdoc @throws {RangeError} if `data` is longer than the capacity */
  parse(data: Uint8Array, options: OracleOptions): OracleResult {
    if (data.length > this.#capacity) throw new RangeError(`the oracle was made for ${this.#capacity} bytes, not ${data.length}`);
    const wasm = this.#wasm;
    const parser = options.kind === 'request' ? this.#requestParser : this.#responseParser;
    wasm.llhttp_reset(parser);
    new Uint8Array(wasm.memory.buffer, this.#buffer, data.length).set(data);
    this.#data = Buffer.from(data.buffer, data.byteOffset, data.length);
    this.#messages = [];
    this.#draft = newDraft();
    this.#options = options;
    let at = 0;
    let code = wasm.llhttp_execute(parser, this.#buffer, data.length);
    while (code === PAUSED_UPGRADE) {
      const stoppedAt = wasm.llhttp_get_error_pos(parser) - this.#buffer;
      wasm.llhttp_resume_after_upgrade(parser);
      if (stoppedAt >= data.length) {
        code = 0;
        break;
      }
      if (stoppedAt < at) throw new TypeError('llhttp went back');
      at = stoppedAt;
      code = wasm.llhttp_execute(parser, this.#buffer + at, data.length - at);
    }
    if (code === 0 && options.isEnded === true) code = wasm.llhttp_finish(parser);
    return { messages: this.#messages, error: code === 0 ? null : this.#name(wasm.llhttp_errno_name(code)).replace(/^HPE_/, '') };
  }

  #imports(): Record<string, (parser: number, at: number, length: number, keepAlive: number) => number> {
    const text = (at: number, length: number): string => this.#data.toString('latin1', at - this.#buffer, at - this.#buffer + length);
    return {
      wasm_on_message_begin: () => {
        this.#draft = newDraft();
        return 0;
      },
      wasm_on_url: (_, at, length) => {
        this.#draft.rest += text(at, length);
        return 0;
      },
      wasm_on_status: (_, at, length) => {
        this.#draft.rest += text(at, length);
        return 0;
      },
      wasm_on_header_field: (_, at, length) => {
        // A name after a value begins a new field; there is no other sign of it. A value may be empty, and then has no callback either.
        this.#endField();
        this.#draft.name += text(at, length);
        return 0;
      },
      wasm_on_header_value: (_, at, length) => {
        this.#draft.value += text(at, length);
        return 0;
      },
      wasm_on_headers_complete: (parser, _status, _upgrade, keepAlive) => {
        this.#endField();
        return this.#beginMessage(parser, keepAlive !== 0);
      },
      wasm_on_body: (_, at, length) => {
        if (this.#draft.message !== null) this.#draft.message.body += text(at, length);
        return 0;
      },
      wasm_on_message_complete: () => {
        this.#endField();
        if (this.#draft.message !== null) this.#draft.message.isComplete = true;
        return 0;
      },
    };
  }

  #endField(): void {
    const draft = this.#draft;
    if (draft.name === '') return;
    (draft.message === null ? draft.fields : draft.trailers).push(`${draft.name}: ${draft.value.replace(/^[ \t]+|[ \t]+$/g, '')}`);
    draft.name = '';
    draft.value = '';
  }

  #beginMessage(parser: number, keepAlive: boolean): number {
    const wasm = this.#wasm;
    const isRequest = this.#options.kind === 'request';
    const message = {
      start: isRequest ? this.#name(wasm.llhttp_method_name(wasm.llhttp_get_method(parser))) : String(wasm.llhttp_get_status_code(parser)),
      rest: this.#draft.rest,
      version: `${wasm.llhttp_get_http_major(parser)}.${wasm.llhttp_get_http_minor(parser)}`,
      fields: this.#draft.fields,
      trailers: this.#draft.trailers,
      body: '',
      keepAlive,
      isComplete: false,
    };
    this.#draft.message = message;
    this.#messages.push(message);
    return isBodylessNow(this.#messages, this.#options) ? SKIP_BODY : 0;
  }

  /** A C string of the module; they never move. */
  #name(at: number): string {
    const known = this.#names.get(at);
    if (known !== undefined) return known;
    const memory = Buffer.from(this.#wasm.memory.buffer);
    const name = memory.toString('latin1', at, memory.indexOf(0, at));
    this.#names.set(at, name);
    return name;
  }
}

function newDraft(): Draft {
  return { rest: '', name: '', value: '', fields: [], trailers: [], message: null };
}

function loadWasm(): Uint8Array {
  try {
    return createRequire(import.meta.url)(WASM_PATH) as Uint8Array;
  } catch (cause) {
    throw new TypeError('LlhttpOracle needs the package undici 8, an optional peer dependency of @ferrata/testkit', { cause });
  }
}
