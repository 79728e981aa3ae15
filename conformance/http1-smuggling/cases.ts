/** The cases of `fixtures/cases.json`, expanded and typed; `README.md` says what each field means. */
import { readFileSync } from 'node:fs';

/** A request as an origin should see it. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly body: string;
  readonly host?: string;
}

/** One case. */
export interface SmugglingCase {
  readonly id: string;
  readonly class: string;
  /** What this project is held to: the case's `expect`, or for `either` its `prefer`. */
  readonly verdict: 'reject' | 'accept';
  readonly why: string;
  readonly rfc: string;
  /** The bytes to send. */
  readonly raw: Buffer;
  /** Each list that is right; the first is the case's own `sees`. */
  readonly sees: readonly (readonly SeenRequest[])[];
  readonly status: number | null;
  readonly after: number;
  readonly neverServe: string | null;
  readonly mustClose: boolean;
  readonly originMustNotSee: readonly string[];
  readonly hangOk: boolean;
  readonly halfClose: boolean;
  readonly proxyOnly: boolean;
}

type Part = string | { readonly s: string; readonly n: number } | { readonly pre: string; readonly post: string; readonly n: number };

interface JsonCase {
  readonly id: string;
  readonly class: string;
  readonly expect: 'reject' | 'accept' | 'either';
  readonly prefer?: 'reject' | 'accept';
  readonly why: string;
  readonly rfc: string;
  readonly raw?: string;
  readonly parts?: readonly Part[];
  readonly sees?: readonly SeenRequest[];
  readonly alt?: readonly (readonly SeenRequest[])[];
  readonly status?: number;
  readonly after?: number;
  readonly neverServe?: string;
  readonly mustClose?: boolean;
  readonly originMustNotSee?: readonly string[];
  readonly hangOk?: boolean;
  readonly halfClose?: boolean;
  readonly proxyOnly?: boolean;
}

/** Reads the cases. */
export function readCases(): SmugglingCase[] {
  const all = JSON.parse(readFileSync(new URL('fixtures/cases.json', import.meta.url), 'utf8')) as JsonCase[];
  return all.map(expandCase);
}

function expandCase(json: JsonCase): SmugglingCase {
  const verdict = json.expect === 'either' ? json.prefer : json.expect;
  if (verdict === undefined) throw new TypeError(`${json.id}: 'either' without 'prefer'`);
  return {
    id: json.id,
    class: json.class,
    verdict,
    why: json.why,
    rfc: json.rfc,
    raw: Buffer.from(json.parts === undefined ? (json.raw ?? '') : json.parts.map(expandPart).join(''), 'latin1'),
    sees: [json.sees ?? [], ...(json.alt ?? [])],
    status: json.status ?? null,
    after: json.after ?? 0,
    neverServe: json.neverServe ?? null,
    mustClose: json.mustClose ?? false,
    originMustNotSee: json.originMustNotSee ?? [],
    hangOk: json.hangOk ?? false,
    halfClose: json.halfClose ?? false,
    proxyOnly: json.proxyOnly ?? false,
  };
}

function expandPart(part: Part): string {
  if (typeof part === 'string') return part;
  if ('s' in part) return part.s.repeat(part.n);
  return Array.from({ length: part.n }, (_, index) => part.pre + index + part.post).join('');
}
