/**
 * The four forms of a request target, and where a request really goes.
 *
 * ```text
 *   origin-form      /where?q=now                  any method
 *   absolute-form    http://www.example.org/pub    any method but CONNECT; what a client sends to a proxy
 *   authority-form   www.example.com:443           CONNECT only
 *   asterisk-form    *                             OPTIONS only
 * ```
 * With absolute-form the received Host must be ignored and replaced by the host of the target (RFC 9112 §3.2.2): a proxy that routes by one and
 * forwards the other lets a client choose both. `normalizeTarget` does that in place; call it before anything looks at `Host` or the path.
 *
 * @see RFC 9112 §3.2, §3.3
 */
import { isValidHost, KnownHeader, parseAuthority, type ReadonlyRequestHead, type RequestHead } from '@ferrata/headers';
import { http1Error } from './errors.ts';

/** The form of a request target. */
export const TargetForm = { origin: 0, absolute: 1, authority: 2, asterisk: 3 } as const;

/** One of the values of the constant of the same name. */
export type TargetForm = (typeof TargetForm)[keyof typeof TargetForm];

/** Where a request goes. */
export interface EffectiveTarget {
  readonly form: TargetForm;
  /** `http` or `https` in absolute-form, else null: the connection tells. */
  readonly scheme: 'http' | 'https' | null;
  /** Host and port, as written: of the target in absolute-form and authority-form, else of Host; empty if there is none (HTTP/1.0). */
  readonly authority: string;
  /** Path and query for an origin server, `*` for OPTIONS of the whole server; empty for CONNECT. */
  readonly path: string;
}

/**
 * Tells the form of a target that has been scanned, and validates it as a whole.
 *
 * @throws {WireError} H1_TARGET_FORM, H1_TARGET_SCHEME, H1_TARGET_AUTHORITY, H1_TARGET_USERINFO
 */
export function targetForm(method: string, target: string): TargetForm {
  const isConnect = method === 'CONNECT';
  if (!isConnect && target.charCodeAt(0) === 0x2f) return TargetForm.origin;
  if (isConnect) {
    const authority = parseAuthority(target);
    if (authority === null || !isPort(authority.port)) {
      throw http1Error(target.includes('@') ? 'H1_TARGET_USERINFO' : 'H1_TARGET_AUTHORITY', 'request');
    }
    return TargetForm.authority;
  }
  if (target === '*' && method === 'OPTIONS') return TargetForm.asterisk;
  const absolute = splitAbsolute(target);
  if (absolute === null) throw http1Error('H1_TARGET_FORM', 'request');
  if (absolute.scheme === null) throw http1Error('H1_TARGET_SCHEME', 'request');
  const { authority } = absolute;
  // RFC 9110 §4.2.4: userinfo before a host is there to make people believe in another host.
  if (authority.includes('@')) throw http1Error('H1_TARGET_USERINFO', 'request');
  if (!isValidHost(authority)) throw http1Error('H1_TARGET_AUTHORITY', 'request');
  return TargetForm.absolute;
}

/**
 * Where the request goes: the URI that its target and its Host stand for, in the parts a proxy needs.
 *
 * @param head a head from a `RequestDecoder`, or one that is as valid
 * @throws {WireError} as `targetForm`, for a head that came from elsewhere
 * @see RFC 9112 §3.3
 */
export function effectiveTarget(head: ReadonlyRequestHead): EffectiveTarget {
  const { method, target, headers } = head;
  const form = targetForm(method, target);
  switch (form) {
    case TargetForm.authority:
      return { form, scheme: null, authority: target, path: '' };
    case TargetForm.absolute: {
      const { scheme, authority, path } = splitAbsolute(target) as AbsoluteParts;
      // RFC 9112 §3.2.4: OPTIONS for a URI without path and query means the server itself.
      return { form, scheme, authority, path: path === '' ? (method === 'OPTIONS' ? '*' : '/') : path.startsWith('?') ? `/${path}` : path };
    }
    default:
      return { form, scheme: null, authority: headers.getKnown(KnownHeader.host) ?? '', path: target };
  }
}

/**
 * Rewrites an absolute-form request to origin-form (or `*`), with the Host of the target; leaves every other request as it is.
 *
 * @returns true if the head was changed
 * @see RFC 9112 §3.2.2
 */
export function normalizeTarget(head: RequestHead): boolean {
  // The common case costs one comparison.
  if (head.target.charCodeAt(0) === 0x2f || head.method === 'CONNECT') return false;
  const { form, authority, path } = effectiveTarget(head);
  if (form !== TargetForm.absolute) return false;
  head.target = path;
  head.headers.setKnown(KnownHeader.host, authority);
  return true;
}

interface AbsoluteParts {
  /** Null for schemes other than http and https. */
  readonly scheme: 'http' | 'https' | null;
  readonly authority: string;
  /** Path and query as written; may be empty or begin with `?`. */
  readonly path: string;
}

/** @returns null if the target does not begin with `scheme://` */
function splitAbsolute(target: string): AbsoluteParts | null {
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):\/\/([^/?]*)/.exec(target);
  if (found === null) return null;
  const name = (found[1] as string).toLowerCase();
  return {
    scheme: name === 'http' || name === 'https' ? name : null,
    authority: found[2] as string,
    path: target.slice(found[0].length),
  };
}

/** CONNECT needs a port, as there is no scheme to have a default (RFC 9110 §9.3.6). */
function isPort(port: number | null): boolean {
  return port !== null && port > 0 && port <= 65_535;
}
