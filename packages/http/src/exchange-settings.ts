/** Bounds of one exchange in the server's role that its application may change while it runs. */
import { checkNumber } from '@ferrata/error';
import { Http2ErrorCode } from '@ferrata/http2-framing';

/**
 * What may be changed; absent members stay as they are. Times in milliseconds. Without a change the options of the server hold, and they hold again for the next
 * request, but for `idleTimeoutMs`.
 */
export interface ExchangeSettings {
  /**
   * `false`: this answer is the connection's last. HTTP/1: `Connection: close`, if its head was not sent yet, and the close in any case; HTTP/2: GOAWAY at once, as at a drain, and
   * what runs is finished. `true` takes back `false` over HTTP/1, over HTTP/2 nothing; it does not undo what else closes the connection.
   */
  readonly keepAlive?: boolean;
  /**
   * HTTP/1: how long the connection may be idle behind this exchange, and behind later ones until it is changed again; `Infinity`: for ever. Does nothing over HTTP/2, where the
   * connection is not one exchange's.
   */
  readonly idleTimeoutMs?: number;
  /** Silence of the client while its body is awaited. HTTP/2: until the response begins, and looked at once a second. */
  readonly bodyTimeoutMs?: number;
  /**
   * How long a client that takes nothing may hold the response. HTTP/2: how long the queue of the exchange's stream may be full while nothing moves; beside it a client that
   * takes nothing of the whole connection is cut by the session's `writeTimeoutMs`.
   */
  readonly writeTimeoutMs?: number;
  /**
   * In place of `writeTimeoutMs`: what waits, when the client is found slow, may take max(bytes that wait, rate) / rate seconds, so at least one; a client that takes longer is cut,
   * even if it has taken some. 0: no such rule.
   */
  readonly minSendBytesPerSecond?: number;
  /**
   * HTTP/1: how much of a request is read and dropped behind its response, so that the connection can live on; if more is left, or nobody knows how much (chunks), the response says
   * `Connection: close`. Does nothing over HTTP/2: the rest of the request is refused by RST_STREAM(NO_ERROR), and the connection lives on.
   */
  readonly maxDrainBytes?: number;
  /** HTTP/1: and for how long, from the end of the response on; the connection is closed then. Does nothing over HTTP/2. */
  readonly drainTimeoutMs?: number;
  /**
   * HTTP/1, `true`: nothing of a request is read behind its response, beyond lingering. Whether a response that begins before its request is whole will end before that as well, nobody
   * knows: it says `Connection: close`. Does nothing over HTTP/2.
   */
  readonly closeOnEarlyResponse?: boolean;
  /**
   * What becomes of a client that has ended its side. `false`: it is served to the end, however long that takes. `true`: it is taken for gone when `halfCloseGraceMs` have passed in
   * which nothing moved, also behind the head of the response, unless it still has bytes to take. Absent: only until the response begins.
   */
  readonly abortOnHalfClose?: boolean;
  /** `true`: interim responses are dropped, but for the 100 that the client waits for. */
  readonly dropInterim?: boolean;
  /**
   * HTTP/2: the code of the RST_STREAM that ends a response which cannot be completed, where its error has none of its own: INTERNAL_ERROR or CANCEL (RFC 9113 §7), as others
   * would say what is not true. Absent: INTERNAL_ERROR for faults of this side and of what lies behind it, else CANCEL. Does nothing over HTTP/1.
   * Behind CANCEL `node:http2` tells its clients an end and no error: to them a body that was cut looks whole.
   */
  readonly resetCode?: Http2ErrorCode;
}

type Check = (name: string, value: never) => void;

const time = (name: string, value: number): number => checkNumber(name, value, { above: 0 });
const amount = (name: string, value: number): number => checkNumber(name, value, { min: 0 });
const rate = (name: string, value: number): number => checkNumber(name, value, { min: 0, max: Number.MAX_SAFE_INTEGER });

function flag(name: string, value: boolean): void {
  if (typeof value !== 'boolean') throw new TypeError(`${name} must be true or false, not ${String(value)}`);
}

function resetCode(name: string, value: number): void {
  if (value !== Http2ErrorCode.internalError && value !== Http2ErrorCode.cancel)
    throw new RangeError(`${name} must be INTERNAL_ERROR or CANCEL, not ${String(value)}`);
}

const checks = {
  keepAlive: flag,
  idleTimeoutMs: time,
  bodyTimeoutMs: time,
  writeTimeoutMs: time,
  minSendBytesPerSecond: rate,
  maxDrainBytes: amount,
  drainTimeoutMs: time,
  closeOnEarlyResponse: flag,
  abortOnHalfClose: flag,
  dropInterim: flag,
  resetCode,
} as const satisfies Record<keyof ExchangeSettings, Check>;

/**
 * Checks settings, and joins them to those that hold already.
 *
 * @param before what was set before; it is not changed
 * @returns all that is set; members that are absent or undefined stay as before
 * @throws {RangeError} when a number makes no sense; the message names the member
 * @throws {TypeError} when a member is unknown, or is no boolean where one is wanted
 */
export function checkExchangeSettings(settings: ExchangeSettings, before: ExchangeSettings | null = null): ExchangeSettings {
  if (typeof settings !== 'object' || settings === null) throw new TypeError('settings must be an object');
  const joined: Record<string, unknown> = { ...before };
  for (const [name, value] of Object.entries(settings)) {
    if (!Object.hasOwn(checks, name)) throw new TypeError(`unknown setting of an exchange: ${name}`);
    if (value === undefined) continue;
    const check: Check = checks[name as keyof ExchangeSettings];
    check(name, value as never);
    joined[name] = value;
  }
  return joined;
}
