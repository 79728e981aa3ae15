/** Runs one module over a request and its response, as a chain with nothing else in it would. */
import { concatBytes } from '@ferrata/bytes';
import { type HeaderInit, HeaderMap, type RequestHead, type ResponseHead, requestHead, responseHead } from '@ferrata/headers';
import type { HttpModule, HttpModuleKind, ModuleExchange } from '../../src/http-module.ts';

export interface DrivenRequest {
  readonly method?: string;
  readonly headers?: HeaderInit;
  /** Absent: the request has no body. */
  readonly body?: readonly Uint8Array[];
}

export interface DrivenResponse {
  readonly status?: number;
  readonly headers?: HeaderInit;
  /** Absent: the response has no body. */
  readonly body?: readonly Uint8Array[];
  /** Default: that of the body if the head has a Content-Length, else not known. */
  readonly bodyLength?: number;
  readonly trailers?: HeaderInit;
}

export interface Driven<Module extends HttpModule> {
  readonly module: Module | null;
  readonly request: RequestHead;
  readonly requestBody: Uint8Array;
  readonly response: ResponseHead;
  readonly body: Uint8Array;
  /** What each chunk gave, the end last; empty if the body passed the module by. */
  readonly pieces: readonly (Uint8Array | null)[];
  readonly trailers: HeaderMap | null;
}

export function exchangeOf(request: RequestHead, hasRequestBody: boolean): ModuleExchange {
  return {
    request,
    client: { local: null, peer: null } as unknown as ModuleExchange['client'],
    hasRequestBody,
    hasResponded: false,
    respond: () => assertNever(),
  };
}

/** @throws what the module throws; it is closed in any case */
export async function drive<Module extends HttpModule>(
  kind: HttpModuleKind<Module>,
  { method = 'GET', headers = {}, body: sent }: DrivenRequest,
  response: DrivenResponse = {},
  adjust?: (module: Module) => void,
): Promise<Driven<Module>> {
  const request = requestHead(method, '/', { headers });
  const exchange = exchangeOf(request, sent !== undefined);
  const module = kind.create(exchange);
  const head = responseHead(response.status ?? 200, { headers: response.headers ?? {} });
  const trailers = response.trailers === undefined ? null : HeaderMap.from(response.trailers);
  const unedited = { requestBody: concatBytes(sent ?? []), body: concatBytes(response.body ?? []), pieces: [], trailers };
  if (module === null) return { module, request, response: head, ...unedited };
  try {
    await module.requestFilter?.(request, exchange);
    const edited = await editRequest(module, sent ?? []);
    adjust?.(module);
    await module.responseFilter?.(head, { bodyLength: bodyLengthOf(response, head) }, exchange);
    const passesBy = response.body === undefined || module.responseBodyFilter === undefined || module.editsResponseBody === false;
    if (passesBy) return { module, request, response: head, ...unedited, requestBody: edited };
    const pieces: (Uint8Array | null)[] = [];
    for (const chunk of response.body) {
      const given = [(await module.responseBodyFilter?.(chunk)) ?? null, (await module.responseBodyFlush?.()) ?? null];
      pieces.push(given[1] === null ? (given[0] ?? null) : joined(given));
    }
    const sentTrailers = module.responseTrailerFilter === undefined ? trailers : module.responseTrailerFilter(trailers);
    pieces.push((await module.responseBodyFilter?.(null)) ?? null);
    return { module, request, requestBody: edited, response: head, body: joined(pieces), pieces, trailers: sentTrailers };
  } finally {
    module.close?.();
  }
}

export function joined(pieces: readonly (Uint8Array | null)[]): Uint8Array {
  return concatBytes(pieces.filter((piece) => piece !== null));
}

async function editRequest(module: HttpModule, chunks: readonly Uint8Array[]): Promise<Uint8Array> {
  if (chunks.length === 0 || module.requestBodyFilter === undefined || module.editsRequestBody === false) return concatBytes(chunks);
  const pieces: (Uint8Array | null)[] = [];
  for (const chunk of chunks) pieces.push(await module.requestBodyFilter(chunk), (await module.requestBodyFlush?.()) ?? null);
  pieces.push(await module.requestBodyFilter(null));
  return joined(pieces);
}

function bodyLengthOf({ body, bodyLength }: DrivenResponse, { headers }: ResponseHead): number {
  if (bodyLength !== undefined) return bodyLength;
  if (body === undefined) return 0;
  return headers.has('content-length') ? concatBytes(body).length : -1;
}

function assertNever(): never {
  throw new TypeError('these modules answer nothing');
}
