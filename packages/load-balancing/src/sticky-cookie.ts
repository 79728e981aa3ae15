/**
 * A cookie that leads a client back to the backend that it had: signed, so that nobody can make one, and without the backend's name, which is an address.
 *
 * ```text
 *   1 byte    12 bytes                                 4 bytes                      16 bytes
 *  ┌─────────┬────────────────────────────────────────┬────────────────────────────┬─────────────────────────────────────────────┐
 *  │ version │ HMAC-SHA-256(id key, backend's name)   │ seconds since 1970, first  │ HMAC-SHA-256(signing key, cookie's name,    │
 *  │    1    │ cut                                    │ the high byte              │ NUL, all before), cut                       │
 *  └─────────┴────────────────────────────────────────┴────────────────────────────┴─────────────────────────────────────────────┘
 *  33 bytes, 44 letters of base64url: without padding, and without bits left over, so that each value is written in one way.
 * ```
 * Rules:
 * - Any text gives a claim or null. Nothing that a client sends throws, and no more than a few cookies of the name are looked at.
 * - Each secret gives two keys by HMAC, one for names and one for signatures. The first secret signs, all are accepted: a new one is put in front, and the old one is
 *   taken away when its cookies have expired.
 * - The signature holds the cookie's name, so that a value of one cookie is nothing in another.
 *
 * @see RFC 6265 (cookies) · RFC 2104 §5 (cutting an HMAC: half of it at least) · RFC 4648 §5 (base64url)
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { type Clock, systemClock } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import { isToken, KnownHeader, type ReadonlyRequestHead } from '@ferrata/headers';
import { endOfCookie, findCookie } from './cookie-line.ts';

/** Options of a `StickyCookie`. */
export interface StickyCookieOptions {
  /**
   * What values are signed with: the current one, then older ones that are still accepted. 1 to 8, of 16 bytes at least each; text counts as its UTF-8 bytes. All servers
   * that share clients need the same. Each costs an HMAC for a cookie that the ones before did not sign.
   */
  readonly secrets: readonly (string | Uint8Array)[];
  /** Default `ferrata-backend`. With `__Host-` in front browsers hold the cookie to the host that has set it (RFC 6265bis §4.1.3). */
  readonly name?: string;
  /**
   * A whole number of seconds, 1 to 34 560 000 (400 days, the most that browsers keep). So long a claim is good. Default: until the browser is closed, which may be never.
   * Raising it keeps clients where they are for longer.
   */
  readonly maxAgeSeconds?: number;
  /** Default `/`. */
  readonly path?: string;
  /** Default: the host that has set it, and no other. */
  readonly domain?: string;
  /** Default `lax`. `none` needs `secure`. */
  readonly sameSite?: 'strict' | 'lax' | 'none';
  /** Whether browsers send it over TLS only. Default true. */
  readonly secure?: boolean;
  /** Default `systemClock`; its wall time counts. */
  readonly clock?: Clock;
}

/** What a cookie has said. */
export interface StickyClaim {
  /** Which backend, for `find`. */
  readonly id: string;
  /** Which of the secrets has signed it; 0: the current one. */
  readonly secret: number;
  /** Wall-clock time in milliseconds, whole seconds. */
  readonly issuedAt: number;
}

const VERSION = 1;
const ID_BYTES = 12;
const MAC_BYTES = 16;
const SIGNED_BYTES = 1 + ID_BYTES + 4;
const VALUE_BYTES = SIGNED_BYTES + MAC_BYTES;
const VALUE_LENGTH = (VALUE_BYTES / 3) * 4;

const MIN_SECRET_BYTES = 16;
const MAX_SECRETS = 8;
/** So many cookies of the name are looked at: one for each path and domain that may have set it, and no HMACs for a client that sends hundreds. */
const MAX_TRIED = 4;
/** The clocks of servers that share clients may differ by so much; what is from further ahead would be good for longer than `maxAgeSeconds`. */
const MAX_AHEAD_MS = 300_000;

const BASE64URL = /^[A-Za-z0-9_-]+$/;
/** Visible ASCII and blanks but for the semicolon, RFC 6265 §4.1.1. */
const PATH = /^\/[\x20-\x3a\x3c-\x7e]*$/;
const DOMAIN = /^\.?(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*$/;
const SAME_SITE = { strict: 'Strict', lax: 'Lax', none: 'None' } as const;

interface SecretKeys {
  readonly id: Uint8Array;
  readonly signature: Uint8Array;
}

/** The backends of one set by their ids, for each secret that was asked for. */
type BackendIndex = (Map<string, { readonly name: string }> | undefined)[];

/** Reads and writes the cookie. One serves all requests of a thread; others with the same options agree with it. */
export class StickyCookie {
  readonly name: string;
  readonly #keys: readonly SecretKeys[];
  readonly #maxAgeMs: number;
  readonly #attributes: string;
  readonly #clock: Clock;
  readonly #indexes = new WeakMap<readonly { readonly name: string }[], BackendIndex>();
  /** By secret: the ids of the names in the set that was indexed last. A set differs little from the one before, and an HMAC is most of the cost. */
  readonly #idsOfNames: Map<string, string>[];

  /**
   * @throws {TypeError} for an option of the wrong kind, a name, path or domain that a cookie cannot have, or a combination that browsers refuse
   * @throws {RangeError} for a number out of range, or a secret that is too short
   */
  constructor(options: StickyCookieOptions) {
    const { secrets, name = 'ferrata-backend', maxAgeSeconds, clock } = options;
    this.name = checkName(name);
    this.#keys = checkSecrets(secrets).map(keysOf);
    this.#idsOfNames = this.#keys.map(() => new Map<string, string>());
    this.#maxAgeMs =
      maxAgeSeconds === undefined ? Infinity : checkWholeNumber('maxAgeSeconds', maxAgeSeconds, { min: 1, max: 34_560_000 }) * 1_000;
    this.#attributes = attributesOf(options);
    this.#clock = clock ?? systemClock;
  }

  /**
   * Reads the claim of a request.
   *
   * @param now wall-clock time in milliseconds
   * @returns null: there is no cookie of the name, or none that is whole, signed by one of the secrets, and not too old
   */
  read(request: ReadonlyRequestHead, now: number = this.#clock.wallNow()): StickyClaim | null {
    const { headers } = request;
    let tried = 0;
    for (let index = headers.indexOfKnown(KnownHeader.cookie); index >= 0; index = headers.indexOfKnown(KnownHeader.cookie, index + 1)) {
      const line = headers.valueAt(index);
      let start = findCookie(line, this.name, 0);
      while (start >= 0) {
        if (++tried > MAX_TRIED) return null;
        const end = endOfCookie(line, start);
        const claim = end - start === VALUE_LENGTH ? this.#claimOf(line.slice(start, end), now) : null;
        if (claim !== null) return claim;
        start = findCookie(line, this.name, end);
      }
    }
    return null;
  }

  /**
   * The backend of a claim. The first time that it sees a set it looks at each backend, and remembers what it found for as long as the list lives: give it the same list, which
   * must not change.
   *
   * @returns null: it is not in the set any more
   */
  find<B extends { readonly name: string }>(claim: StickyClaim, backends: readonly B[]): B | null {
    const keys = this.#keys[claim.secret];
    if (keys === undefined) return null;
    let index = this.#indexes.get(backends);
    if (index === undefined) {
      index = [];
      this.#indexes.set(backends, index);
    }
    const byId = (index[claim.secret] ??= this.#index(claim.secret, backends));
    return (byId.get(claim.id) as B | undefined) ?? null;
  }

  /**
   * Whether a claim is to be written anew: it was signed with an older secret, or half of its time is over.
   *
   * @param now wall-clock time in milliseconds
   */
  needsRefresh(claim: StickyClaim, now: number = this.#clock.wallNow()): boolean {
    return claim.secret !== 0 || now - claim.issuedAt > this.#maxAgeMs / 2;
  }

  /**
   * The value of a `Set-Cookie` field that leads back to a backend.
   *
   * @param now wall-clock time in milliseconds
   */
  setCookie(backend: { readonly name: string }, now: number = this.#clock.wallNow()): string {
    const keys = this.#keys[0] as SecretKeys;
    const value = Buffer.alloc(VALUE_BYTES);
    value[0] = VERSION;
    value.write(this.#idsOfNames[0]?.get(backend.name) ?? idOf(keys, backend.name), 1, 'base64url');
    value.writeUInt32BE(Math.min(Math.max(Math.floor(now / 1_000), 0), 0xffff_ffff), 1 + ID_BYTES);
    value.set(this.#signatureOf(keys, value), SIGNED_BYTES);
    return `${this.name}=${value.toString('base64url')}${this.#attributes}`;
  }

  #claimOf(text: string, now: number): StickyClaim | null {
    // Buffer passes over what is no base64url, and takes base64, too: then there would be many texts for one value.
    if (!BASE64URL.test(text)) return null;
    const value = Buffer.from(text, 'base64url');
    if (value[0] !== VERSION) return null;
    const secret = this.#signerOf(value);
    if (secret < 0) return null;
    const issuedAt = value.readUInt32BE(1 + ID_BYTES) * 1_000;
    if (now - issuedAt > this.#maxAgeMs || issuedAt - now > MAX_AHEAD_MS) return null;
    return { id: value.toString('base64url', 1, 1 + ID_BYTES), secret, issuedAt };
  }

  #signerOf(value: Buffer): number {
    const signature = value.subarray(SIGNED_BYTES);
    for (let index = 0; index < this.#keys.length; index++)
      if (timingSafeEqual(signature, this.#signatureOf(this.#keys[index] as SecretKeys, value))) return index;
    return -1;
  }

  #signatureOf({ signature }: SecretKeys, value: Buffer): Uint8Array {
    const hmac = createHmac('sha256', signature).update(`${this.name}\0`).update(value.subarray(0, SIGNED_BYTES));
    return hmac.digest().subarray(0, MAC_BYTES);
  }

  #index<B extends { readonly name: string }>(secret: number, backends: readonly B[]): Map<string, B> {
    const keys = this.#keys[secret] as SecretKeys;
    const known = this.#idsOfNames[secret];
    const ids = new Map<string, string>();
    const byId = new Map<string, B>();
    for (const backend of backends) {
      const id = known?.get(backend.name) ?? idOf(keys, backend.name);
      ids.set(backend.name, id);
      if (!byId.has(id)) byId.set(id, backend);
    }
    this.#idsOfNames[secret] = ids;
    return byId;
  }
}

function idOf({ id }: SecretKeys, name: string): string {
  return createHmac('sha256', id).update(name).digest().toString('base64url', 0, ID_BYTES);
}

/** Two keys of one secret, so that an id is never a signature. */
function keysOf(secret: Uint8Array): SecretKeys {
  const derive = (use: string): Uint8Array => createHmac('sha256', secret).update(`ferrata sticky cookie 1 ${use}`).digest();
  return { id: derive('id'), signature: derive('signature') };
}

function checkSecrets(secrets: readonly (string | Uint8Array)[]): readonly Uint8Array[] {
  if (!Array.isArray(secrets)) throw new TypeError('secrets must be a list');
  checkWholeNumber('the number of secrets', secrets.length, { min: 1, max: MAX_SECRETS });
  return (secrets as readonly (string | Uint8Array)[]).map((secret, index) => {
    if (typeof secret !== 'string' && !(secret instanceof Uint8Array)) throw new TypeError(`secrets[${index}] must be text or bytes`);
    const bytes = typeof secret === 'string' ? Buffer.from(secret) : secret;
    if (bytes.length < MIN_SECRET_BYTES) throw new RangeError(`secrets[${index}] has ${bytes.length} bytes, and needs ${MIN_SECRET_BYTES}`);
    return bytes;
  });
}

function checkName(name: string): string {
  if (!isToken(name)) throw new TypeError(`${JSON.stringify(name)} is not the name of a cookie`);
  return name;
}

function attributesOf(options: StickyCookieOptions): string {
  const { name = '', path = '/', domain, sameSite = 'lax', secure = true, maxAgeSeconds } = options;
  if (typeof path !== 'string' || !PATH.test(path)) throw new TypeError(`${JSON.stringify(path)} is not the path of a cookie`);
  if (domain !== undefined && (typeof domain !== 'string' || domain.length > 253 || !DOMAIN.test(domain)))
    throw new TypeError(`${JSON.stringify(domain)} is not the domain of a cookie`);
  if (!Object.hasOwn(SAME_SITE, sameSite)) throw new TypeError(`sameSite must be strict, lax or none, not ${sameSite}`);
  if (typeof secure !== 'boolean') throw new TypeError(`secure must be true or false, not ${String(secure)}`);
  if (sameSite === 'none' && !secure) throw new TypeError('sameSite none needs secure: browsers refuse the cookie else');
  checkPrefix(name, { secure, isOfHostOnly: domain === undefined && path === '/' });
  let text = `; Path=${path}`;
  if (domain !== undefined) text += `; Domain=${domain}`;
  if (maxAgeSeconds !== undefined) text += `; Max-Age=${maxAgeSeconds}`;
  if (secure) text += '; Secure';
  return `${text}; HttpOnly; SameSite=${SAME_SITE[sameSite]}`;
}

/** Browsers compare the prefixes without regard to case. */
function checkPrefix(name: string, { secure, isOfHostOnly }: { readonly secure: boolean; readonly isOfHostOnly: boolean }): void {
  const lower = name.toLowerCase();
  if (lower.startsWith('__secure-') && !secure) throw new TypeError(`the cookie ${name} must be secure: browsers refuse it else`);
  if (lower.startsWith('__host-') && !(secure && isOfHostOnly))
    throw new TypeError(`the cookie ${name} must be secure, of the path /, and without a domain: browsers refuse it else`);
}
