/**
 * Looks at the ClientHello of a stream and puts it back: what a TLS pass-through chooses its upstream by.
 *
 * ```text
 *   attached ── ClientHello is whole ──────────────────────────────────────────────────────► parked, with all bytes that came: resolved
 *      └─────── no TLS · malformed · too long · time-out · end ──► parked likewise: rejected · close: rejected
 * ```
 * Rules: not a byte is changed, kept or answered, whatever the outcome: the stream is left as it was, paused until its next sink is attached. Stricter about the name
 * than OpenSSL, as whoever gets the bytes may read a second name, or one that is none, in another way than we do (RFC 8446 §4.2: no extension comes twice; RFC 6066 §3).
 */
import { type Clock, systemClock, type Wakeup } from '@ferrata/clock';
import { checkWholeNumber, limitError, timeoutError, type WireError } from '@ferrata/error';
import { formatAddress, type L4Sink, type L4Stream, park } from '@ferrata/stream';
import { type DeadlineQueue, scheduleDeadline } from '@ferrata/timeout';
import { checkClock, checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';
import { type ClientHello, ClientHelloReader } from './client-hello.ts';
import { matchableName } from './server-name.ts';
import { handshakeFailure, refusal } from './tls-server-errors.ts';

/** Options of `peekClientHello`. */
export interface PeekClientHelloOptions {
  /** How long the client may take, 1 to 600 000 ms; default 5 000. */
  readonly timeoutMs?: number;
  /** Bytes that may come until the ClientHello is whole, 1 024 to 1 048 576; default 32 768. This much memory a client can hold. */
  readonly maxBytes?: number;
  /** Shared deadlines: cheaper for many streams. Default: a wake-up of `clock`. */
  readonly deadlines?: DeadlineQueue;
  /** Default `systemClock`. */
  readonly clock?: Clock;
}

/** What a client has said that it wants. */
export interface PeekedHello {
  /** In lower case, without a dot at the end; a host name or an IP address. Null if the client names none. */
  readonly serverName: string | null;
  /** In the client's order; empty if it does not know ALPN. */
  readonly alpn: readonly string[];
}

const names: Readonly<Record<keyof PeekClientHelloOptions, true>> = { timeoutMs: true, maxBytes: true, deadlines: true, clock: true };

/**
 * Reads what a TLS client says first (RFC 8446 §4.1.2), and puts it back.
 *
 * From the call on until the promise settles the stream is this function's; afterwards it is paused, and the next sink that is attached (by `relay`, say) gets every byte from
 * the first on, also if the promise rejects: whoever wants to may serve another protocol then. A stream that is of no use any more has to be aborted by the caller.
 *
 * @param stream a stream that nobody is attached to
 * @throws {WireError} (rejects) `TLS_NOT_TLS`, `TLS_HELLO_MALFORMED`, `TLS_HELLO_TOO_LONG`, `TLS_HELLO_TIMEOUT`; `TLS_HANDSHAKE_CUT` if the client has ended, or the stream
 *   has closed, before
 * @throws {TypeError} for an unknown option @throws {RangeError} for a number out of range
 */
export function peekClientHello(stream: L4Stream, options: PeekClientHelloOptions = {}): Promise<PeekedHello> {
  checkOptionNames('peekClientHello', options, names);
  checkClock(options.clock);
  if (options.deadlines !== undefined) checkMethods('deadlines', options.deadlines, 'a DeadlineQueue', ['after', 'now']);
  const timeoutMs = checkWholeNumber('timeoutMs', options.timeoutMs ?? 5_000, { min: 1, max: 600_000 });
  const maxBytes = checkWholeNumber('maxBytes', options.maxBytes ?? 32_768, { min: 1_024, max: 0x10_0000 });
  return new Promise((resolve, reject) => {
    new HelloPeek(stream, { ...options, timeoutMs, maxBytes }, { resolve, reject }).start();
  });
}

interface Settlers {
  resolve(hello: PeekedHello): void;
  reject(error: WireError): void;
}

class HelloPeek implements L4Sink {
  readonly #stream: L4Stream;
  readonly #timeoutMs: number;
  readonly #maxBytes: number;
  readonly #settlers: Settlers;
  readonly #reader: ClientHelloReader;
  readonly #deadline: Wakeup;
  /** Looked up first: when the peer has gone, the kernel does not know any more who it was. */
  readonly #peer: string;

  constructor(stream: L4Stream, options: PeekClientHelloOptions & { timeoutMs: number; maxBytes: number }, settlers: Settlers) {
    this.#stream = stream;
    this.#timeoutMs = options.timeoutMs;
    this.#maxBytes = options.maxBytes;
    this.#settlers = settlers;
    this.#reader = new ClientHelloReader(options.maxBytes);
    this.#peer = formatAddress(stream.info.remoteAddress);
    const { deadlines, timeoutMs, clock = systemClock } = options;
    const onExpire = (): void => this.#handleTimeout();
    this.#deadline = deadlines?.after(timeoutMs, onExpire) ?? scheduleDeadline(clock, timeoutMs, onExpire);
  }

  start(): void {
    this.#stream.attach(this);
  }

  onData(chunk: Uint8Array): void {
    switch (this.#reader.feed(chunk)) {
      case 'partial':
        return;
      case 'tooLong': {
        const message = `the ClientHello is longer than ${this.#maxBytes} bytes`;
        return this.#refuse(limitError('TLS_HELLO_TOO_LONG', message, { source: 'downstream', context: this.#peer }));
      }
      case 'unclear':
        return this.#refuse(this.#unclear());
      case 'complete':
        return this.#judge(this.#reader.hello);
    }
  }

  onDrain(): void {}

  onEnd(): void {
    this.#refuse(this.#cut());
  }

  onClose(error: WireError | null): void {
    this.#deadline.cancel();
    this.#settlers.reject(error === null ? this.#cut() : handshakeFailure(error, this.#peer));
  }

  #judge({ serverName, alpn }: ClientHello): void {
    const name = serverName === null ? null : matchableName(serverName);
    if (!this.#reader.isNameClear || (serverName !== null && (name === null || name.startsWith('*.')))) {
      return this.#refuse(refusal('TLS_HELLO_MALFORMED', 'the name in the ClientHello is no host name', this.#peer, undefined));
    }
    this.#giveBack();
    this.#settlers.resolve({ serverName: name, alpn: alpn ?? [] });
  }

  #handleTimeout(): void {
    const message = `no whole ClientHello within ${this.#timeoutMs} ms`;
    this.#refuse(timeoutError('TLS_HELLO_TIMEOUT', message, { source: 'downstream', context: this.#peer }));
  }

  #unclear(): WireError {
    if (this.#reader.isOtherProtocol) return refusal('TLS_NOT_TLS', 'the client speaks another protocol than TLS', this.#peer, undefined);
    return refusal('TLS_HELLO_MALFORMED', 'what the client says first is no proper ClientHello', this.#peer, undefined);
  }

  #cut(): WireError {
    return refusal('TLS_HANDSHAKE_CUT', 'the connection ended before the ClientHello was whole', this.#peer, undefined);
  }

  #refuse(error: WireError): void {
    this.#giveBack();
    this.#settlers.reject(error);
  }

  #giveBack(): void {
    this.#deadline.cancel();
    park(this.#stream, this.#reader.takeBytes());
  }
}
