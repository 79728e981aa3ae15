/**
 * Conditional requests, answered from the response: 304 for what the client has already, 412 for what it did not mean.
 *
 * ```text
 *   If-Match ───────────── none of them ► 412        (only without it: If-Unmodified-Since, changed since ► 412)
 *   then If-None-Match ─── one of them ─► 304        (only without it: If-Modified-Since, unchanged ─────► 304)
 * ```
 *
 * For GET and HEAD, and a 200 whose origin did not look at the conditions itself. What a method with effects was to depend on must be asked before it runs, and that
 * is the origin's business.
 *
 * Sources: RFC 9110 §13.1 (the fields), §13.2.2 (precedence), §15.4.5 (304), §8.8.3.2 (comparison).
 */
import { KnownHeader, knownHeaderSet, type RequestHead, type ResponseHead, reasonPhrase } from '@ferrata/headers';
import type { HttpModule, HttpModuleKind, ModuleExchange, ModulePiece, ResponseBodyInfo } from './http-module.ts';
import { listMatchesStrongly, listMatchesWeakly } from './internal/entity-tags.ts';
import { parseHttpDate } from './internal/http-date.ts';
import { deleteDigests } from './internal/old-bytes.ts';

/** Options of `conditionals`. */
export interface ConditionalsOptions {
  /** Where it stands in the chain; default -8000: behind what edits, in front of `ranges`. */
  readonly order?: number;
}

const CONDITIONS = knownHeaderSet(KnownHeader.ifMatch, KnownHeader.ifNoneMatch, KnownHeader.ifModifiedSince, KnownHeader.ifUnmodifiedSince);

/** Describes a body that is not sent (RFC 9110 §15.4.5): the client has it, and updates its copy by the other fields. */
const OF_THE_BODY = knownHeaderSet(
  KnownHeader.contentLength,
  KnownHeader.contentType,
  KnownHeader.contentEncoding,
  KnownHeader.contentRange,
  KnownHeader.transferEncoding,
  KnownHeader.trailer,
  KnownHeader.acceptRanges,
);

/** Describes the representation that was asked for, which a 412 is not: a cache must not keep it in the place of that. */
const OF_THE_REPRESENTATION = knownHeaderSet(
  KnownHeader.etag,
  KnownHeader.lastModified,
  KnownHeader.expires,
  KnownHeader.age,
  KnownHeader.contentDisposition,
);

/** Makes the kind of module that evaluates conditions. */
export function conditionals({ order = -8000 }: ConditionalsOptions = {}): HttpModuleKind {
  return {
    name: 'conditionals',
    order,
    create: ({ request }) => (isReading(request) && request.headers.hasAnyOf(CONDITIONS) ? new Conditionals() : null),
  };
}

function isReading({ method }: RequestHead): boolean {
  return method === 'GET' || method === 'HEAD';
}

class Conditionals implements HttpModule {
  editsResponseBody = false;
  responseBodyLength = -1;

  responseFilter(response: ResponseHead, _body: ResponseBodyInfo, { request }: ModuleExchange): void {
    // RFC 9110 §13.2.1: a condition counts where the answer without it would have been a success.
    if (response.status !== 200) return;
    const status = evaluate(request, response);
    if (status === 200) return;
    response.status = status;
    response.reason = reasonPhrase(status);
    response.headers.deleteAnyOf(OF_THE_BODY);
    this.editsResponseBody = true;
    if (status === 304) return;
    response.headers.deleteAnyOf(OF_THE_REPRESENTATION);
    deleteDigests(response.headers);
    response.headers.setKnown(KnownHeader.cacheControl, 'no-store');
    this.responseBodyLength = 0;
  }

  /** Of a 412: the body that was asked for is dropped. */
  responseBodyFilter(): ModulePiece {
    return null;
  }
}

/** The status that the conditions of a GET or HEAD make of a 200. @see RFC 9110 §13.2.2 */
function evaluate(request: RequestHead, response: ResponseHead): 200 | 304 | 412 {
  const { headers } = request;
  const etag = response.headers.getKnown(KnownHeader.etag) ?? null;
  const modifiedAt = dateOf(response.headers.getKnown(KnownHeader.lastModified));
  const wanted = headers.combinedKnown(KnownHeader.ifMatch);
  // A comparison with NaN, a date that is none or is not known, is false: that condition is ignored.
  if (wanted === undefined ? modifiedAt > onlyDate(request, KnownHeader.ifUnmodifiedSince) : !listMatchesStrongly(wanted, etag)) return 412;
  const known = headers.combinedKnown(KnownHeader.ifNoneMatch);
  if (known === undefined ? modifiedAt <= onlyDate(request, KnownHeader.ifModifiedSince) : listMatchesWeakly(known, etag)) return 304;
  return 200;
}

/** RFC 9110 §13.1.3: a field with more than one member is ignored. */
function onlyDate({ headers }: RequestHead, id: KnownHeader): number {
  return headers.countKnown(id) === 1 ? dateOf(headers.getKnown(id)) : Number.NaN;
}

function dateOf(value: string | undefined): number {
  return value === undefined ? Number.NaN : parseHttpDate(value);
}
