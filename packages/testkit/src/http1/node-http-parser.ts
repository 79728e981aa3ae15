/**
 * The way to the HTTP parser that Node has built in, for oracles and for benches beside it.
 *
 * It is no public interface of Node: it is reached through `_http_common`, whose warning of deprecation is left out for the one moment of loading.
 */
import { createRequire } from 'node:module';

/** Node's parser, as far as it is used here. It tells what it reads by callbacks, whose keys are constants of its class. */
export interface NodeHttpParser {
  /** Default of `maxHeaderBytes`: Node's own limit, 16 KiB. */
  initialize(type: number, resource: object, maxHeaderBytes?: number): void;
  /** How many bytes were read, or what was wrong with them. */
  execute(bytes: Uint8Array): number | NodeHttpParserError;
  finish(): undefined | NodeHttpParserError;
  /** Gives back what is held outside V8's heap, some 7 KB a parser: the collector does not. */
  close(): void;
  [callback: number]: unknown;
}

/** What `execute` and `finish` return of bytes that are wrong. */
export interface NodeHttpParserError extends Error {
  /** llhttp's name of the error, `HPE_` before it. */
  readonly code?: string;
}

/** The class of `NodeHttpParser`. */
export interface NodeHttpParserConstructor {
  new (): NodeHttpParser;
  readonly REQUEST: number;
  readonly RESPONSE: number;
  readonly kOnHeaders: number;
  readonly kOnHeadersComplete: number;
  readonly kOnBody: number;
  readonly kOnMessageComplete: number;
}

/** What Node's module holds. */
export interface NodeHttpParserModule {
  readonly HTTPParser: NodeHttpParserConstructor;
  /** By the number that `kOnHeadersComplete` is given. */
  readonly methods: readonly string[];
}

/** Loads Node's parser without a warning. @throws {Error} if this Node hides it */
export function loadNodeHttpParser(): NodeHttpParserModule {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return createRequire(import.meta.url)('_http_common') as NodeHttpParserModule;
  } finally {
    process.emitWarning = emitWarning;
  }
}
