/**
 * Requests: client → our proxy → reader → origin. What the origin records is what the reader understood of what we forwarded; it must be what we
 * understood of what the client sent.
 */
import { collect } from '../rig/raw-client.ts';
import { type OriginAnswer, type RecordedRequest, RecordingOrigin } from '../rig/recording-origin.ts';
import { type Allowance, type ExpectedRequest, refusalBy, requestDifference } from './allowances.ts';
import { ForwardingProxy, type ProxyDecoders, type SentHead } from './forwarding-proxy.ts';
import type { Input } from './inputs.ts';
import type { ReaderName } from './reader-program.ts';
import { readRequests, type UnderstoodRequest } from './understanding.ts';

const QUIET_MS = 4000;

/** What both kinds of lanes are made of. */
export interface LaneOptions {
  readonly reader: ReaderName;
  /** How strict our proxy is. */
  readonly decoders: ProxyDecoders;
  /** Told of each allowance that was made for the reader. */
  readonly use: (allowance: Allowance) => void;
}

/** One path from a client to an origin, used by one input at a time. */
export class RequestLane {
  readonly #reader: ReaderName;
  readonly #decoders: ProxyDecoders;
  readonly #origin: RecordingOrigin;
  readonly #proxy: ForwardingProxy;
  readonly #to: { readonly port: number; readonly host: string };
  readonly #use: (allowance: Allowance) => void;
  #probes = 0;
  #arrived = 0;

  private constructor({ reader, decoders, use }: LaneOptions, origin: RecordingOrigin, proxy: ForwardingProxy, port: number) {
    this.#reader = reader;
    this.#decoders = decoders;
    this.#origin = origin;
    this.#proxy = proxy;
    this.#to = { port, host: '127.0.0.1' };
    this.#use = use;
  }

  /** @param path the reader's socket */
  static async open(options: LaneOptions, path: string): Promise<RequestLane> {
    const origin = await RecordingOrigin.listen(0, echoTarget);
    const proxy = new ForwardingProxy({ path }, options.decoders);
    return new RequestLane(options, origin, proxy, await proxy.listen());
  }

  /** Requests that came to the origin as we understood them. */
  get arrived(): number {
    return this.#arrived;
  }

  get originPort(): number {
    return this.#origin.port;
  }

  async close(): Promise<void> {
    await this.#proxy.close();
    await this.#origin.close();
  }

  /** @returns what is wrong, or null */
  async check({ bytes }: Input): Promise<string | null> {
    this.#origin.take();
    this.#proxy.take();
    const answer = await collect({ to: this.#to, raw: bytes, halfClose: true, quietMs: QUIET_MS });
    // A request of ours that has come back was behind all that the input could leave on the connections between us and the origin.
    const lost = await this.#probe();
    const { requests, malformed } = this.#origin.take();
    const sent = this.#proxy.take().requests.filter(({ target }) => !isProbe(target));
    const problem =
      lost ??
      (malformed.length > 0 ? `the origin was sent what it cannot parse: ${malformed.join('; ')}` : null) ??
      this.#judge(
        readRequests(bytes, this.#decoders.request).requests,
        sent,
        requests.filter(({ target }) => !isProbe(target)),
      );
    if (problem === null) return null;
    return `${problem}\n  input ${JSON.stringify(Buffer.from(bytes.subarray(0, 1500)).toString('latin1'))}\n  answer ${JSON.stringify(answer.text.slice(0, 300))}, ${answer.ending}`;
  }

  async #probe(): Promise<string | null> {
    const target = `/probe-${++this.#probes}`;
    const raw = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n`, 'latin1');
    const { text } = await collect({ to: this.#to, raw, halfClose: false, quietMs: QUIET_MS });
    return text.endsWith(`\r\n\r\n${target}`)
      ? null
      : `the request behind this input got ${JSON.stringify(text.slice(0, 300))} as its answer`;
  }

  #judge(understood: readonly UnderstoodRequest[], sent: readonly SentHead[], seen: readonly RecordedRequest[]): string | null {
    // A reverse proxy refuses CONNECT and closes: what stands behind may be meant for the tunnel.
    const connectAt = understood.findIndex(({ method }) => method === 'CONNECT');
    const forwardable = connectAt < 0 ? understood : understood.slice(0, connectAt);
    const expected: ExpectedRequest[] = [];
    for (const [index, head] of sent.entries()) {
      const own = forwardable[index];
      if (own === undefined) return `we forwarded ${tell(head)}, which we do not understand as a request`;
      if (own.method !== head.method || own.target !== head.target) return `we understand ${tell(own)} and forward ${tell(head)}`;
      if (own.isComplete) expected.push({ ...head, asked: own.fields, body: own.body, trailers: own.trailers });
      else if (index < sent.length - 1) return `we forwarded ${tell(head)} though it is not complete, and another request behind it`;
    }
    const unsent = forwardable.slice(sent.length).find(({ isComplete }) => isComplete);
    if (unsent !== undefined) return `we understand ${tell(unsent)} and did not forward it`;
    let at = 0;
    for (const request of expected) {
      const one = seen[at];
      const difference = one === undefined ? 'nothing' : requestDifference(this.#reader, request, one, this.#use);
      if (difference === null) {
        at++;
        this.#arrived++;
        continue;
      }
      const refusal = refusalBy(this.#reader, request);
      if (refusal === null) return `of ${tell(request)} the reader made ${difference}`;
      this.#use(refusal);
    }
    return at === seen.length ? null : `the reader saw ${seen.length - at} more than we sent: ${seen.slice(at).map(tell).join(', ')}`;
  }
}

function echoTarget({ method, target, fields }: RecordedRequest): OriginAnswer {
  const isLast = fields.some(([name, value]) => name === 'connection' && value.toLowerCase() === 'close');
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n${isLast ? 'Connection: close\r\n' : ''}\r\n`;
  return { text: method === 'HEAD' ? head : head + target, isLast };
}

function isProbe(target: string): boolean {
  return target.startsWith('/probe-');
}

function tell({ method, target }: { readonly method: string; readonly target: string }): string {
  return JSON.stringify(`${method} ${target.slice(0, 80)}`);
}
