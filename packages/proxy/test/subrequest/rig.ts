/** What the tests of subrequests share: applications and sinks that write down what they hear, on a manual clock. */
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HeaderMap, type RequestHead, type ResponseHead, requestHead, responseHead } from '@ferrata/headers';
import { type HttpApplication, HttpEnvironment, type Refusal, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import type { StreamInfo } from '@ferrata/stream';
import type { Subrequest, SubrequestSink } from '../../src/subrequest/subrequest.ts';
import { type OpenInit, Subrequests, type SubrequestsOptions } from '../../src/subrequest/subrequests.ts';

export const bytes = (text: string): Uint8Array => latin1Encode(text);
export const text = (chunk: Uint8Array): string => latin1Decode(chunk, 0, chunk.length);

/** Lets everything that is deferred happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await Promise.resolve();
}

export function response(status: number, fields: Record<string, string> = {}): ResponseHead {
  return responseHead(status, { headers: HeaderMap.from(fields) });
}

export function request(method = 'GET', target = '/', fields: Record<string, string> = { Host: 'a' }): RequestHead {
  return requestHead(method, target, { headers: HeaderMap.from(fields) });
}

export const clientInfo: StreamInfo = {
  kind: 'tcp',
  localAddress: { kind: 'ip', host: '192.0.2.1', port: 80 },
  remoteAddress: { kind: 'ip', host: '192.0.2.9', port: 1234 },
  tls: null,
  timing: { startedAt: 1, establishedAt: 2 },
  below: null,
  extension: 'of the client',
};

type Reaction = { readonly [name in keyof ServerExchangeHandler]?: (...args: never[]) => unknown };

/** Follows one exchange. */
export class Follower implements ServerExchangeHandler {
  readonly exchange: ServerExchange;
  readonly heard: string[] = [];
  readonly closes: (WireError | null)[] = [];
  readonly #react: { readonly [name: string]: ((...args: unknown[]) => unknown) | undefined };

  constructor(exchange: ServerExchange, react: Reaction) {
    this.exchange = exchange;
    this.#react = react as never;
  }
  onRequestData(chunk: Uint8Array): void {
    this.heard.push(`data ${text(chunk)}`);
    return this.#react['onRequestData']?.(chunk) as undefined;
  }
  onRequestEnd(trailers: HeaderMap | null): void {
    this.heard.push(trailers === null ? 'end' : `end ${JSON.stringify(trailers)}`);
    return this.#react['onRequestEnd']?.(trailers) as undefined;
  }
  onResponseDrain(): void {
    this.heard.push('drain');
    return this.#react['onResponseDrain']?.() as undefined;
  }
  onExchangeClose(error: WireError | null): void {
    this.closes.push(error);
    this.heard.push(error === null ? 'close' : `close ${error.reason}`);
    return this.#react['onExchangeClose']?.(error) as undefined;
  }
}

/** Writes down a response. */
export class RecordingSubrequestSink implements SubrequestSink {
  readonly heard: string[] = [];
  readonly heads: ResponseHead[] = [];
  readonly interims: ResponseHead[] = [];
  readonly lengths: number[] = [];
  readonly closes: (WireError | null)[] = [];
  trailers: HeaderMap | null = null;
  body = '';
  drains = 0;
  onEach: (what: string) => unknown = () => undefined;

  onInterim(head: ResponseHead): void {
    this.interims.push(head);
    return this.#note(`interim ${head.status}`);
  }
  onResponse(head: ResponseHead, bodyLength: number): void {
    this.heads.push(head);
    this.lengths.push(bodyLength);
    return this.#note(`head ${head.status}`);
  }
  onData(chunk: Uint8Array): void {
    this.body += text(chunk);
    return this.#note('data');
  }
  onEnd(trailers: HeaderMap | null): void {
    this.trailers = trailers;
    return this.#note('end');
  }
  onRequestDrain(): void {
    this.drains++;
    return this.onEach('drain') as undefined;
  }
  onClose(error: WireError | null): void {
    this.closes.push(error);
    return this.#note(error === null ? 'close' : `close ${error.reason}`);
  }
  #note(what: string): undefined {
    this.heard.push(what);
    return this.onEach(what) as undefined;
  }
}

/** An application whose exchanges a test answers. */
export class Rig {
  readonly clock = new ManualClock({ wallNow: 784_111_777_000 });
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly followers: Follower[] = [];
  readonly refusals: Refusal[] = [];
  onRequest: (exchange: ServerExchange) => unknown = () => undefined;
  react: Reaction = {};
  readonly application: HttpApplication = {
    onRequest: (exchange) => {
      const follower = new Follower(exchange, this.react);
      this.followers.push(follower);
      this.onRequest(exchange);
      return follower;
    },
    onRefused: (refusal) => void this.refusals.push(refusal),
  };
  readonly subrequests: Subrequests;

  constructor(options: Partial<SubrequestsOptions> & { readonly request?: RequestHead } = {}) {
    const { request: parent = request() } = options;
    this.subrequests = new Subrequests({
      application: this.application,
      environment: this.environment,
      parent: { request: parent, client: clientInfo, depth: 0 },
      ...options,
    });
  }

  get last(): Follower {
    return this.followers.at(-1) as Follower;
  }
  get exchange(): ServerExchange {
    return this.last.exchange;
  }

  /** Opens one and lets it reach the application. */
  async open(init: OpenInit = {}): Promise<{ readonly sub: Subrequest; readonly sink: RecordingSubrequestSink }> {
    const sink = new RecordingSubrequestSink();
    const sub = this.subrequests.open(init, sink);
    await settle();
    return { sub, sink };
  }

  async advance(ms: number): Promise<void> {
    await settle();
    this.clock.advance(ms);
    await settle();
  }
}
