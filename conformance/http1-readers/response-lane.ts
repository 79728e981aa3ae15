/**
 * Responses: client → reader → our proxy → origin. The origin answers with the bytes of the input; what the client gets is what the reader
 * understood of what we forwarded, and must be what we understood of what the origin sent.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { naiveHttp1Responses } from '@ferrata/testkit';
import { collect } from '../rig/raw-client.ts';
import type { FieldPair } from '../rig/recording-origin.ts';
import { type Allowance, NO_INTERIM, reasonDifference, responseFieldDifference, trailerDifference } from './allowances.ts';
import { ForwardingProxy, type ProxyDecoders } from './forwarding-proxy.ts';
import type { ResponseInput } from './inputs.ts';
import type { ReaderName } from './reader-program.ts';
import type { LaneOptions } from './request-lane.ts';
import { type ResponseReading, readResponse } from './understanding.ts';

const QUIET_MS = 4000;

/** What a client got of one response. */
interface Got {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly FieldPair[];
  readonly body: string;
  readonly trailers: readonly FieldPair[];
}

/** One path from a client to an origin, used by one input at a time. */
export class ResponseLane {
  readonly #reader: ReaderName;
  readonly #decoders: ProxyDecoders;
  readonly #origin: ScriptedOrigin;
  readonly #proxy: ForwardingProxy;
  readonly #use: (allowance: Allowance) => void;
  readonly proxyPort: number;
  #probes = 0;
  #arrived = 0;

  private constructor({ reader, decoders, use }: LaneOptions, origin: ScriptedOrigin, proxy: ForwardingProxy, port: number) {
    this.#reader = reader;
    this.#decoders = decoders;
    this.#origin = origin;
    this.#proxy = proxy;
    this.proxyPort = port;
    this.#use = use;
  }

  static async open(options: LaneOptions): Promise<ResponseLane> {
    const origin = await ScriptedOrigin.listen();
    const proxy = new ForwardingProxy({ host: '127.0.0.1', port: origin.port }, options.decoders);
    return new ResponseLane(options, origin, proxy, await proxy.listen());
  }

  /** Responses that came to the client as we understood them. */
  get arrived(): number {
    return this.#arrived;
  }

  async close(): Promise<void> {
    await this.#proxy.close();
    await this.#origin.close();
  }

  /**
   * @param path the reader's socket
   * @returns what is wrong, or null
   */
  async check({ bytes, method }: ResponseInput, path: string): Promise<string | null> {
    // Where we take the connection for reusable the origin keeps it open: what stands behind the response is then there to be misread.
    const { response: decoder } = this.#decoders;
    const open = readResponse(bytes, { method, isEnded: false, decoder });
    const isEnded = !open.keepAlive;
    const reading = isEnded ? readResponse(bytes, { method, isEnded: true, decoder }) : open;
    if (this.#reader === NO_INTERIM.reader && reading.interimCount > 0) {
      this.#use(NO_INTERIM);
      return null;
    }
    this.#origin.script(bytes, isEnded);
    this.#proxy.take();
    const framing = method === 'POST' ? 'Content-Length: 0\r\n' : '';
    const raw = Buffer.from(`${method} /input HTTP/1.1\r\nHost: input\r\n${framing}Connection: close\r\n\r\n`, 'latin1');
    const answer = await collect({ to: { path }, raw, halfClose: false, quietMs: QUIET_MS });
    const { responses, errors } = this.#proxy.take();
    const lost = await this.#probe(path);
    const problem =
      lost ?? (answer.ending === 'waiting' ? 'the client waits' : this.#judge(reading, method, responses[0] ?? null, answer.text));
    if (problem === null) return null;
    return `${problem}\n  ${method} answered ${JSON.stringify(Buffer.from(bytes.subarray(0, 1500)).toString('latin1'))}, our errors ${errors.join()}\n  client ${JSON.stringify(answer.text.slice(0, 600))}`;
  }

  async #probe(path: string): Promise<string | null> {
    const target = `/probe-${++this.#probes}`;
    const raw = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n`, 'latin1');
    const { text } = await collect({ to: { path }, raw, halfClose: false, quietMs: QUIET_MS });
    return text.endsWith(`\r\n\r\n${target}`)
      ? null
      : `the request behind this input got ${JSON.stringify(text.slice(0, 300))} as its answer`;
  }

  #judge({ response }: ResponseReading, method: string, sent: readonly FieldPair[] | null, text: string): string | null {
    const methods = [method];
    const { messages, verdict, why, rest } = naiveHttp1Responses(Buffer.from(text, 'latin1'), methods);
    const final = messages.find(({ status }) => status >= 200);
    if (verdict === 'refused') return `the client got what it cannot parse: ${why}`;
    if (final !== undefined && rest !== '') return `the client got bytes behind the response: ${JSON.stringify(rest.slice(0, 200))}`;
    const got =
      final === undefined
        ? null
        : { ...final, fields: withoutOurDate(lowered(final.fields), sent ?? []), trailers: lowered(final.trailers) };
    if (response === null) return got === null || isRefusal(got) ? null : `the client got ${got.status} for what we refuse`;
    if (!response.isComplete && got !== null && !isRefusal(got)) return 'the client got a whole response for one that is cut short';
    if (!response.isComplete) return null;
    const difference = got === null ? 'a response that is cut short' : this.#difference({ ...response, fields: sent ?? [] }, got);
    if (difference === null) this.#arrived++;
    return difference === null ? null : `of status ${response.status} the reader made ${difference}`;
  }

  #difference(expected: Got, got: Got): string | null {
    if (got.status !== expected.status) return `status ${got.status}`;
    if (got.body !== expected.body)
      return `body ${JSON.stringify(got.body.slice(0, 200))} of ${JSON.stringify(expected.body.slice(0, 200))}`;
    return (
      reasonDifference(this.#reader, expected.reason, got.reason, this.#use) ??
      responseFieldDifference(this.#reader, expected.fields, got.fields, this.#use) ??
      trailerDifference(this.#reader, expected.trailers, got.trailers, this.#use)
    );
  }
}

/** A gateway's own answer for a response that it refuses. */
function isRefusal({ status }: Got): boolean {
  return status === 502 || status === 504;
}

/** A response without Date gets one of ours (RFC 9110 §6.6.1). */
function withoutOurDate(fields: readonly FieldPair[], sent: readonly FieldPair[]): readonly FieldPair[] {
  const isDate = ([name]: FieldPair): boolean => name === 'date';
  return sent.some(isDate) ? fields : fields.filter((field) => !isDate(field));
}

function lowered(fields: readonly FieldPair[]): readonly FieldPair[] {
  return fields.map(([name, value]) => [name.toLowerCase(), value] as const);
}

/** An origin that answers the request for `/input` with given bytes, and a probe with its target. */
class ScriptedOrigin {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #bytes: Uint8Array = new Uint8Array(0);
  #isEnded = false;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async listen(): Promise<ScriptedOrigin> {
    const server = createServer();
    const origin = new ScriptedOrigin(server);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** @param isEnded whether to end the connection behind the bytes */
  script(bytes: Uint8Array, isEnded: boolean): void {
    this.#bytes = bytes;
    this.#isEnded = isEnded;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    let text = '';
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const target = text.split(' ', 2)[1] ?? '';
        text = text.slice(end + 4);
        this.#answer(socket, target);
      }
    });
  }

  #answer(socket: Socket, target: string): void {
    if (target !== '/input') socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${target.length}\r\n\r\n${target}`, 'latin1');
    else if (this.#isEnded) socket.end(this.#bytes);
    else socket.write(this.#bytes);
  }
}
