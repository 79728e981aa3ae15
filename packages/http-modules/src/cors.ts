/**
 * The CORS protocol: which sites may read what their scripts fetch from here.
 *
 * Rules:
 * - An origin that is not allowed is never named in a response, whatever the application says: its own fields of the protocol are replaced.
 * - What depends on the origin says `Vary: Origin`, also where no origin was sent: a cache must not give one site's answer to another.
 * - A preflight is answered here, in front of everything that asks for credentials, as it has none.
 * - It guards what browsers let scripts read, and nothing else: requests come and run all the same.
 *
 * Sources: Fetch standard §3.2 (HTTP-CORS protocol), Private Network Access §3.2.
 */
import { checkWholeNumber } from '@ferrata/error';
import { HeaderMap, isToken, KnownHeader, parseList, type RequestHead, type ResponseHead } from '@ferrata/headers';
import { isThenable } from '@ferrata/stream';
import type { Awaitable, HttpModule, HttpModuleKind, ModuleExchange } from './http-module.ts';
import { addVary } from './internal/vary.ts';

/** Says whether a site may read what it fetches. */
export type OriginCheck = (origin: string, request: RequestHead) => Awaitable<boolean>;

/** Options of `cors`. */
export interface CorsOptions {
  /**
   * Who may read: `*` for all sites; origins as they are sent (`https://example.com`, without a slash at the end), or expressions that match one as a whole; or a
   * function. `null`, the origin of files and sandboxes, only if it is named, by no expression: anybody can have it.
   */
  readonly origins: '*' | readonly (string | RegExp)[] | OriginCheck;
  /** Methods beside GET, HEAD and POST, which need no leave. Default none. */
  readonly methods?: readonly string[];
  /** Request fields beside the harmless ones; `requested`: whatever the preflight asks for. Default none. */
  readonly requestHeaders?: readonly string[] | 'requested';
  /** Response fields that scripts see beside the harmless ones. Default none. */
  readonly exposedHeaders?: readonly string[];
  /** Cookies and the like are sent, and what is answered to them may be read. Not with `origins: '*'`. Default false. */
  readonly credentials?: boolean;
  /** How long a browser may keep the answer to a preflight, in seconds; browsers have bounds of their own. Default: not said, 5 in browsers. */
  readonly maxAgeSeconds?: number;
  /** Sites of the public network may fetch from this one in a private network. Default false. */
  readonly privateNetwork?: boolean;
  /** Where it stands in the chain; default 1000: in front of what asks for credentials. */
  readonly order?: number;
}

const ALLOW_ORIGIN = 'Access-Control-Allow-Origin';
const ALLOW_CREDENTIALS = 'Access-Control-Allow-Credentials';
const ALLOW_METHODS = 'Access-Control-Allow-Methods';
const ALLOW_HEADERS = 'Access-Control-Allow-Headers';
const ALLOW_PRIVATE_NETWORK = 'Access-Control-Allow-Private-Network';
const EXPOSE_HEADERS = 'Access-Control-Expose-Headers';
const MAX_AGE = 'Access-Control-Max-Age';
const REQUEST_METHOD = 'Access-Control-Request-Method';
const REQUEST_HEADERS = 'Access-Control-Request-Headers';
const REQUEST_PRIVATE_NETWORK = 'Access-Control-Request-Private-Network';

/** What this module alone says. */
const RESPONSE_FIELDS = [ALLOW_ORIGIN, ALLOW_CREDENTIALS, EXPOSE_HEADERS] as const;

/** More names in one preflight than any page has fields. */
const MAX_REQUESTED_HEADERS = 100;

/**
 * Makes the kind of module that speaks CORS.
 *
 * @throws {TypeError} for an origin that none could send, a name that is no token, and `credentials` with `origins: '*'`, which would let every site act for its visitors, or
 *   with a `*` among names, which browsers would take for a name
 * @throws {RangeError} if `maxAgeSeconds` is not a whole number from 0
 */
export function cors(options: CorsOptions): HttpModuleKind {
  const policy = new CorsPolicy(options);
  return { name: 'cors', order: options.order ?? 1000, create: () => new Cors(policy) };
}

/** What the options come to, for all requests. */
class CorsPolicy {
  readonly anyOrigin: boolean;
  readonly credentials: boolean;
  readonly exposed: string;
  readonly #check: OriginCheck;
  readonly #methods: string;
  readonly #requestHeaders: string | null;
  readonly #maxAge: string;
  readonly #privateNetwork: boolean;

  constructor(options: CorsOptions) {
    const { origins, methods = [], requestHeaders = [], exposedHeaders = [], credentials = false, privateNetwork = false } = options;
    this.anyOrigin = origins === '*';
    if (this.anyOrigin && credentials) throw new TypeError('credentials cannot be granted to every origin');
    const named = [...methods, ...exposedHeaders, ...(requestHeaders === 'requested' ? [] : requestHeaders)];
    // Fetch standard §3.2.3: beside credentials a star is the name of a method or field, and stands for no other.
    if (credentials && named.includes('*')) throw new TypeError('beside credentials `*` stands for nothing: name what is allowed');
    this.credentials = credentials;
    this.#check = origins === '*' ? () => true : typeof origins === 'function' ? origins : listCheck(origins);
    this.#methods = joinTokens('methods', ['GET', 'HEAD', 'POST', ...methods.filter((method) => !/^(?:GET|HEAD|POST)$/.test(method))]);
    this.#requestHeaders = requestHeaders === 'requested' ? null : joinTokens('requestHeaders', requestHeaders);
    this.exposed = joinTokens('exposedHeaders', exposedHeaders);
    this.#maxAge = options.maxAgeSeconds === undefined ? '' : `${checkWholeNumber('maxAgeSeconds', options.maxAgeSeconds)}`;
    this.#privateNetwork = privateNetwork;
  }

  allows(origin: string, request: RequestHead): Awaitable<boolean> {
    return this.#check(origin, request);
  }

  /** The fields of the answer to a preflight of an origin that is allowed. */
  preflightFields(origin: string, request: HeaderMap): HeaderMap {
    const headers = new HeaderMap();
    this.addOrigin(headers, origin);
    headers.append(ALLOW_METHODS, this.#methods);
    const names = this.#requestHeaders ?? requestedNames(request);
    if (names !== '') headers.append(ALLOW_HEADERS, names);
    if (this.#maxAge !== '') headers.append(MAX_AGE, this.#maxAge);
    if (this.#privateNetwork && request.get(REQUEST_PRIVATE_NETWORK) === 'true') headers.append(ALLOW_PRIVATE_NETWORK, 'true');
    return headers;
  }

  addOrigin(headers: HeaderMap, origin: string): void {
    headers.set(ALLOW_ORIGIN, this.anyOrigin ? '*' : origin);
    if (this.credentials) headers.set(ALLOW_CREDENTIALS, 'true');
  }

  addPreflightVary(headers: HeaderMap): void {
    if (!this.anyOrigin) addVary(headers, 'Origin');
    if (this.#requestHeaders === null) addVary(headers, REQUEST_HEADERS);
    if (this.#privateNetwork) addVary(headers, REQUEST_PRIVATE_NETWORK);
  }
}

class Cors implements HttpModule {
  readonly #policy: CorsPolicy;
  #origin = '';
  #isAllowed = false;

  constructor(policy: CorsPolicy) {
    this.#policy = policy;
  }

  requestFilter(request: RequestHead, exchange: ModuleExchange): Awaitable<void> {
    // RFC 6454 §7: one origin, or it is not known whose it is.
    if (request.headers.countKnown(KnownHeader.origin) !== 1) return;
    this.#origin = request.headers.getKnown(KnownHeader.origin) as string;
    const allowed = this.#policy.allows(this.#origin, request);
    if (isThenable(allowed)) return allowed.then((value) => this.#decide(value, request, exchange));
    this.#decide(allowed, request, exchange);
  }

  #decide(isAllowed: unknown, request: RequestHead, exchange: ModuleExchange): void {
    // Nothing but true opens the door, whatever a function without types gives.
    this.#isAllowed = isAllowed === true;
    if (request.method !== 'OPTIONS' || !request.headers.has(REQUEST_METHOD)) return;
    const headers = this.#isAllowed ? this.#policy.preflightFields(this.#origin, request.headers) : new HeaderMap();
    this.#policy.addPreflightVary(headers);
    // RFC 9110 §15.3.5: a 204 ends with its head. The status of a refusal is for people: the browser looks for the fields.
    exchange.respond(this.#isAllowed ? 204 : 403, { headers });
  }

  responseFilter({ headers }: ResponseHead): void {
    for (const name of RESPONSE_FIELDS) headers.delete(name);
    const policy = this.#policy;
    if (!policy.anyOrigin) addVary(headers, 'Origin');
    // To all: a cache may give what was fetched without an origin to a script.
    if (!policy.anyOrigin && !this.#isAllowed) return;
    policy.addOrigin(headers, this.#origin);
    if (policy.exposed !== '') headers.set(EXPOSE_HEADERS, policy.exposed);
  }
}

function listCheck(origins: readonly (string | RegExp)[]): OriginCheck {
  const exact = new Set<string>();
  const patterns: RegExp[] = [];
  for (const origin of origins) {
    if (typeof origin === 'string') exact.add(checkedOrigin(origin));
    else patterns.push(wholeMatch(origin));
  }
  // `null` is anybody's, so that an expression for all sites does not mean it.
  return (origin) => exact.has(origin) || (origin !== 'null' && patterns.some((pattern) => pattern.test(origin)));
}

/** An origin as a browser writes it: a mistake here would only show as a site that is refused. */
function checkedOrigin(origin: string): string {
  if (origin === 'null') return origin;
  const isWeb = /^https?:/i.test(origin) && URL.canParse(origin);
  // A star is no wildcard here: it would stand for itself, and for no site.
  const isOrigin = isWeb ? new URL(origin).origin === origin : /^[a-z][a-z0-9+.-]*:\/\/[^/?#\s]+$/.test(origin);
  if (isOrigin && !origin.includes('*')) return origin;
  throw new TypeError(`not an origin as browsers send it (scheme://host:port, lower case, no default port): ${JSON.stringify(origin)}`);
}

/** `/example\.com/` would match `https://example.com.attacker.test`. */
function wholeMatch({ source, flags }: RegExp): RegExp {
  return new RegExp(`^(?:${source})$`, flags.replaceAll(/[gmy]/g, ''));
}

function joinTokens(option: string, names: readonly string[]): string {
  for (const name of names) if (!isToken(name)) throw new TypeError(`${option} has what is no token: ${JSON.stringify(name)}`);
  return names.join(', ');
}

/** What a preflight asks for, if all of it are names. */
function requestedNames(headers: HeaderMap): string {
  const requested = headers.combined(REQUEST_HEADERS);
  if (requested === undefined) return '';
  const names = parseList(requested, { maxItems: MAX_REQUESTED_HEADERS });
  return names.every(isToken) ? names.join(', ') : '';
}
