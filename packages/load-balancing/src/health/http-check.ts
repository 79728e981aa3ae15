/**
 * A check by a request: whoever answers as it is expected is well.
 *
 * A check that asks for more than a status takes longer to write than to regret: what a page says changes more often than whether it is there.
 */
import { applicationError, checkWholeNumber, isWireError, protocolError, textOf, type WireError } from '@ferrata/error';
import { type ReadonlyHeaderMap, requestHead } from '@ferrata/headers';
import type { Backend } from '../backend.ts';
import { placeOf } from '../internal/dial.ts';
import type { HttpAnswer, HttpTarget } from '../internal/http-client.ts';
import type { HttpProtocol } from '../internal/http-sessions.ts';
import type { HealthCheck, HealthCheckContext } from './health-check.ts';
import { ProbeClients, type ProbeConfig, type ProbeOptions, probeTarget, resolveProbeOptions } from './probe.ts';

/** An answer, for whoever looks at it himself. */
export interface HttpCheckAnswer {
  readonly status: number;
  readonly headers: ReadonlyHeaderMap;
  /** No more than `maxBodyBytes` of it. */
  readonly body: Uint8Array;
  /** False: there was more of a body. */
  readonly isWhole: boolean;
}

/** Options of `httpCheck`. */
export interface HttpCheckOptions extends ProbeOptions {
  /** Path and query. Default `/`. */
  readonly path?: string;
  /** Default `GET`. `HEAD` spares the body. */
  readonly method?: string;
  /** The `Host` to ask for. Default: `servername`, else the host and port of the backend. */
  readonly host?: string;
  /** Further fields. Default: none. */
  readonly headers?: readonly (readonly [name: string, value: string])[];
  /** The statuses of one that is well: numbers, and ranges such as `'200-399'`. Default 200 alone; with `validate` any. */
  readonly statuses?: readonly (number | string)[];
  /** Fields that must be there, each with that value, or one that matches. Default: none. */
  readonly expectHeaders?: readonly (readonly [name: string, value: string | RegExp])[];
  /** What the body must contain, or match, within its first `maxBodyBytes`. Default: anything. */
  readonly expectBody?: string | RegExp;
  /** The most that is read of a body: what is longer is cut, and not failed. Whole, 0 to 16 777 216. Default 65 536. Raising it costs memory in each check that runs. */
  readonly maxBodyBytes?: number;
  /** Looks at the answer, once everything else has passed. False, a throw or a rejection: it is not well. */
  readonly validate?: (answer: HttpCheckAnswer) => boolean | void | Promise<boolean | void>;
  /** `http2` without TLS needs a server that takes it by prior knowledge. Default `auto`: what TLS agrees on, without it HTTP/1. */
  readonly protocol?: HttpProtocol;
  /** Keeps the connection for the next check. Default false: whether the backend still accepts is part of the question. */
  readonly keepConnection?: boolean;
}

/**
 * Asks, reads the answer, and looks whether it is what was expected.
 *
 * @throws {RangeError} when a number, a status or a range is none @throws {TypeError} when the request is invalid, or TLS cannot work as it is told to
 */
export function httpCheck(options: HttpCheckOptions = {}): HealthCheck {
  return new HttpCheck(options);
}

type StatusRange = readonly [least: number, most: number];

class HttpCheck implements HealthCheck {
  readonly name = 'http';
  readonly #probe: ProbeConfig;
  readonly #protocol: HttpProtocol;
  readonly #method: string;
  readonly #path: string;
  readonly #headers: readonly (readonly [string, string])[];
  readonly #statuses: readonly StatusRange[] | null;
  readonly #expectHeaders: readonly (readonly [string, string | RegExp])[];
  readonly #expectBody: string | RegExp | null;
  readonly #maxBodyBytes: number;
  readonly #validate: HttpCheckOptions['validate'] | null;
  readonly #clients: ProbeClients;

  constructor(options: HttpCheckOptions) {
    const { path = '/', method = 'GET', host, headers = [], protocol = 'auto', validate = null, expectBody, expectHeaders = [] } = options;
    this.#probe = resolveProbeOptions(options);
    if (!PROTOCOLS.includes(protocol)) throw new TypeError(`protocol must be one of ${PROTOCOLS.join(', ')}`);
    if (validate !== null && typeof validate !== 'function') throw new TypeError('validate must be a function');
    if (method === 'CONNECT') throw new TypeError('CONNECT makes a tunnel, and no answer');
    this.#protocol = protocol;
    this.#method = method;
    this.#path = path;
    this.#headers = host === undefined ? [...headers] : [['Host', host], ...headers.filter(([name]) => name.toLowerCase() !== 'host')];
    // What could not be sent is refused now, and not with each check.
    requestHead(method, path, { headers: this.#headers });
    const isAnyStatus = options.statuses === undefined && validate !== null;
    this.#statuses = isAnyStatus ? null : (options.statuses ?? [200]).map(statusRange);
    if (this.#statuses?.length === 0) throw new RangeError('statuses must name one at least');
    this.#expectHeaders = expectHeaders.map(([name, value]) => [name, ownPattern(value)]);
    this.#expectBody = expectBody === undefined ? null : ownPattern(expectBody);
    this.#maxBodyBytes = checkWholeNumber('maxBodyBytes', options.maxBodyBytes ?? 65_536, { max: 16_777_216 });
    this.#validate = validate;
    this.#clients = new ProbeClients(options.keepConnection === true);
  }

  async check(backend: Backend, { environment, signal }: HealthCheckContext): Promise<void> {
    const target: HttpTarget = { ...probeTarget(backend, this.#probe), protocol: this.#protocol };
    const answer = await this.#clients.of(environment).ask(target, {
      method: this.#method,
      path: this.#path,
      headers: this.#headers,
      timeoutMs: this.#probe.timeoutMs,
      maxBodyBytes: this.#maxBodyBytes,
      cutsBody: true,
      signal,
    });
    const wrong = this.#judge(answer) ?? (await this.#ask(answer));
    if (wrong !== null) throw named(wrong, placeOf(target));
  }

  close(): void {
    this.#clients.closeKept();
  }

  #judge({ status, headers, body }: HttpAnswer): Wrong | null {
    const statuses = this.#statuses;
    if (statuses !== null && !statuses.some(([least, most]) => status >= least && status <= most))
      return { reason: 'HEALTH_STATUS_WRONG', message: `it answers ${status}` };
    for (const [name, value] of this.#expectHeaders)
      if (!headers.getAll(name).some((found) => (typeof value === 'string' ? found === value : matches(value, found))))
        return { reason: 'HEALTH_HEADER_WRONG', message: `its ${name} is not what is expected` };
    const expected = this.#expectBody;
    if (expected === null) return null;
    const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('utf8');
    const isThere = typeof expected === 'string' ? text.includes(expected) : matches(expected, text);
    return isThere ? null : { reason: 'HEALTH_BODY_WRONG', message: 'its body is not what is expected' };
  }

  /** The program's own judgement. */
  async #ask({ status, headers, body, isWhole }: HttpAnswer): Promise<Wrong | null> {
    if (this.#validate === null || this.#validate === undefined) return null;
    try {
      const verdict = await this.#validate({ status, headers, body, isWhole });
      return verdict === false ? { reason: 'HEALTH_REFUSED', message: 'validate says that it is not well' } : null;
    } catch (thrown) {
      if (isWireError(thrown)) throw thrown;
      return { reason: 'HEALTH_REFUSED', message: textOf(thrown), cause: thrown };
    }
  }
}

interface Wrong {
  readonly reason: string;
  readonly message: string;
  readonly cause?: unknown;
}

const PROTOCOLS: readonly HttpProtocol[] = ['http1', 'http2', 'auto'];

function named({ reason, message, cause }: Wrong, context: string): WireError {
  const details = { source: 'upstream', wire: { status: 502 }, cause, context } as const;
  return reason === 'HEALTH_REFUSED' ? applicationError(reason, message, details) : protocolError(reason, message, details);
}

function statusRange(status: number | string): StatusRange {
  const found = /^([1-9]\d{2})(?:-([1-9]\d{2}))?$/.exec(String(status));
  if (found === null) throw new RangeError(`a status is three digits, or two with a hyphen between them, not ${JSON.stringify(status)}`);
  const least = Number(found[1]);
  const most = Number(found[2] ?? found[1]);
  if (least > most) throw new RangeError(`the range ${status} ends before it begins`);
  return [least, most];
}

/** A pattern that nobody else moves: `g` and `y` begin where they ended last. */
function ownPattern(value: string | RegExp): string | RegExp {
  if (typeof value === 'string') return value;
  if (!(value instanceof RegExp)) throw new TypeError('what is expected must be text or a regular expression');
  return new RegExp(value.source, value.flags);
}

function matches(pattern: RegExp, text: string): boolean {
  pattern.lastIndex = 0;
  return pattern.test(text);
}
