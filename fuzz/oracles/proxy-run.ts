/**
 * The real proxy (HttpServer, HttpProxy, UpstreamConnector) between one client that sends given bytes and origins that answer with given bytes,
 * all in memory and on a clock that stands still until nothing else happens. What went where is written down.
 *
 * ```text
 *   client bytes ──► HttpServer ─ HttpProxy ─ UpstreamConnector ──► origin connections, each with the bytes it got
 *   downstream   ◄──                                            ◄── the next answer of the plan for each request
 * ```
 */
import { ManualClock, seededRandom } from '@ferrata/clock';
import { isWireError, type WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { MessageEvent, RequestDecoder } from '@ferrata/http1';
import { type Awaitable, type BodyFilterResult, HttpProxy, type ProxyHooks, type ProxySession, type RequestSession } from '@ferrata/proxy';
import { type L4Sink, type L4Stream, memoryPair } from '@ferrata/stream';
import { peer } from '@ferrata/upstream';
import { invariant } from '../src/target.ts';

/** What an origin sends for one request. */
export interface Answer {
  readonly bytes: Uint8Array;
  /** Sent as soon as the head of the request has come, not after its body. */
  readonly isEarly: boolean;
  /** What the origin does after the bytes. */
  readonly afterwards: 'stay' | 'end' | 'reset';
}

/** What is to happen. */
export interface ProxyPlan {
  readonly client: Uint8Array;
  /** The client ends its side right behind its last byte, not after all answers. */
  readonly endsAtOnce: boolean;
  /** Filters that pass each piece of a body on as it is, at once or a turn later. */
  readonly filters: 'none' | 'sync' | 'async';
  /** For the first request that reaches an origin, the second, …; beyond them each gets `OK_ANSWER`. */
  readonly answers: readonly Answer[];
  readonly chunkSizeAt: (at: number) => number;
}

/** A request that reached an origin. */
export interface Attempt {
  readonly connection: number;
  readonly answer: Answer;
}

/** A connection to an origin. */
export interface UpstreamRecord {
  /** What came, as far as it is HTTP. */
  readonly bytes: Uint8Array;
  /** Requests that came whole. */
  readonly completed: number;
  /** What came behind a request for another protocol. */
  readonly behindUpgrade: Uint8Array;
  /** The proxy has given the connection up, in order or not. */
  readonly isGivenUp: boolean;
}

/** What has happened. */
export interface ProxyRun {
  readonly downstream: Uint8Array;
  /** How the proxy ended the client's connection. */
  readonly downstreamEnd: 'open' | 'ended' | 'reset';
  readonly upstreams: readonly UpstreamRecord[];
  readonly attempts: readonly Attempt[];
}

/** What an origin says when nothing is planned. */
export const OK_ANSWER: Answer = {
  bytes: Uint8Array.from(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')),
  isEarly: false,
  afterwards: 'stay',
};

/** Where every request goes. */
export const ORIGIN = peer('10.0.0.1:80');

/** Turns of the event loop without news after which nothing more will come. */
const QUIET_TURNS = 2;
const MAX_TURNS = 200;
/** Wake-ups of the clock after which every time-out must have run out. */
const MAX_WAKE_UPS = 200;

/**
 * Runs a plan to its end.
 *
 * @throws {InvariantBroken} when something is left over: a connection, an exchange that never ends
 */
export async function runProxy(plan: ProxyPlan): Promise<ProxyRun> {
  const clock = new ManualClock();
  const environment = new HttpEnvironment({ clock, random: seededRandom(1) });
  const news = { count: 0 };
  const attempts: Attempt[] = [];
  const origins: Origin[] = [];
  const proxy = new HttpProxy<null>(
    { newContext: () => null, upstreamPeer: () => ORIGIN, requestFilter: answerHit, ...filterHooks(plan.filters) },
    {
      environment,
      upstream: {
        connect: async () => {
          const { a, b } = memoryPair({ clock });
          const connection = origins.length;
          const nextAnswer = (): Answer => {
            const answer = plan.answers[attempts.length] ?? OK_ANSWER;
            attempts.push({ connection, answer });
            return answer;
          };
          origins.push(new Origin(b, { nextAnswer, news, chunkSizeAt: plan.chunkSizeAt }));
          return a;
        },
      },
    },
  );
  const server = new HttpServer(proxy, { environment });
  const { a, b } = memoryPair({ clock });
  server.accept(b);
  const client = new Client(a, news);
  client.send(plan.client, plan.chunkSizeAt);
  if (plan.endsAtOnce) a.end();
  await settle(news);
  if (!plan.endsAtOnce && !client.isClosed) {
    a.end();
    await settle(news);
  }
  for (let wakeUps = 0; server.connectionCount > 0 && wakeUps < MAX_WAKE_UPS && clock.runNext(); wakeUps++) await settle(news);
  invariant(server.connectionCount === 0, 'every connection of a client ends', () => `${plan.client.length} bytes`);
  invariant(!client.hasLateBytes, 'nothing comes after the end', () => Buffer.from(client.bytes).toString('latin1'));
  const upstreams = origins.map((origin) => origin.record());
  proxy.close();
  server.close();
  for (const origin of origins) origin.stream.abort();
  a.abort();
  await settle(news);
  invariant(proxy.connector.connectionCount === 0, 'no connection is left over', () => `${proxy.connector.connectionCount}`);
  return { downstream: client.bytes, downstreamEnd: client.end, upstreams, attempts };
}

/** Targets that begin so the proxy answers by itself, without reading a body and without an origin, as it would from a cache. */
export const HIT_PREFIX = '/hit';
/** The field by which such an answer is known; origins do not send it. */
export const HIT_FIELD = 'X-Hit';

function answerHit(session: RequestSession): boolean {
  if (!session.request.target.startsWith(HIT_PREFIX)) return false;
  session.respond(200, { headers: { [HIT_FIELD]: '1' }, body: 'hit' });
  return true;
}

function filterHooks(filters: ProxyPlan['filters']): Pick<ProxyHooks<null>, 'requestBodyFilter' | 'responseBodyFilter'> {
  if (filters === 'none') return {};
  const pass = (_: ProxySession, chunk: Uint8Array | null): Awaitable<BodyFilterResult> =>
    filters === 'sync' ? chunk : Promise.resolve(chunk);
  return { requestBodyFilter: pass, responseBodyFilter: pass };
}

interface News {
  count: number;
}

/** Lets everything happen that can happen now. */
async function settle(news: News): Promise<void> {
  let quiet = 0;
  for (let turns = 0; quiet < QUIET_TURNS; turns++) {
    invariant(turns < MAX_TURNS, 'everything comes to rest', () => `${news.count} events`);
    const before = news.count;
    await new Promise<void>((resolve) => void setImmediate(resolve));
    quiet = news.count === before ? quiet + 1 : 0;
  }
}

function sendInPieces(stream: L4Stream, bytes: Uint8Array, chunkSizeAt: (at: number) => number): void {
  for (let at = 0; at < bytes.length && stream.state !== 'closed'; ) {
    const end = Math.min(bytes.length, at + chunkSizeAt(at));
    stream.write(bytes.slice(at, end));
    at = end;
  }
}

class Client implements L4Sink {
  readonly #stream: L4Stream;
  readonly #news: News;
  readonly #chunks: Uint8Array[] = [];
  end: 'open' | 'ended' | 'reset' = 'open';
  isClosed = false;
  hasLateBytes = false;

  constructor(stream: L4Stream, news: News) {
    this.#stream = stream;
    this.#news = news;
    stream.attach(this);
  }

  get bytes(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.#chunks));
  }

  send(bytes: Uint8Array, chunkSizeAt: (at: number) => number): void {
    sendInPieces(this.#stream, bytes, chunkSizeAt);
  }

  onData(chunk: Uint8Array): void {
    this.#news.count++;
    if (this.end !== 'open') this.hasLateBytes = true;
    this.#chunks.push(Uint8Array.from(chunk));
  }
  onDrain(): void {}
  onEnd(): void {
    this.#news.count++;
    this.end = 'ended';
  }
  onClose(error: WireError | null): void {
    this.#news.count++;
    this.isClosed = true;
    if (error !== null && this.end === 'open') this.end = 'reset';
  }
}

interface OriginOptions {
  readonly nextAnswer: () => Answer;
  readonly news: News;
  readonly chunkSizeAt: (at: number) => number;
}

/** Answers each request by the plan. It reads with our own decoder, only to know when to answer; what it was sent is judged by others. */
class Origin implements L4Sink {
  readonly stream: L4Stream;
  readonly #options: OriginOptions;
  readonly #decoder = new RequestDecoder();
  readonly #chunks: Uint8Array[] = [];
  readonly #behind: Uint8Array[] = [];
  #answer: Answer | null = null;
  #completed = 0;
  #httpBytes = 0;
  #hasSwitched = false;
  #isGivenUp = false;
  #hasLeft = false;

  constructor(stream: L4Stream, options: OriginOptions) {
    this.stream = stream;
    this.#options = options;
    stream.attach(this);
  }

  record(): UpstreamRecord {
    const bytes = Buffer.concat(this.#chunks);
    return {
      bytes: Uint8Array.from(this.#hasSwitched ? bytes.subarray(0, this.#httpBytes) : bytes),
      completed: this.#completed,
      behindUpgrade: Uint8Array.from(Buffer.concat(this.#behind)),
      isGivenUp: this.#isGivenUp || this.#hasLeft,
    };
  }

  onData(chunk: Uint8Array): void {
    this.#options.news.count++;
    if (this.#hasSwitched) {
      this.#behind.push(Uint8Array.from(chunk));
      return;
    }
    this.#chunks.push(Uint8Array.from(chunk));
    const decoder = this.#decoder;
    try {
      decoder.feed(chunk);
      while (!this.#hasSwitched && decoder.next()) this.#take();
    } catch (error) {
      // The judges see the same bytes; an origin that is lost says nothing more.
      if (!isWireError(error) || error.type === 'internal') throw error;
    }
  }

  #take(): void {
    const decoder = this.#decoder;
    if (decoder.event === MessageEvent.head) {
      this.#answer = this.#options.nextAnswer();
      if (this.#answer.isEarly) this.#send();
    } else if (decoder.event === MessageEvent.end) {
      this.#completed++;
      if (this.#answer?.isEarly === false) this.#send();
      if (decoder.upgrade === null) return;
      this.#hasSwitched = true;
      this.#httpBytes = decoder.consumedBytes;
      const rest = decoder.takeRemaining();
      if (rest.length > 0) this.#behind.push(Uint8Array.from(rest));
    }
  }

  #send(): void {
    const answer = this.#answer;
    if (answer === null || this.#hasLeft) return;
    sendInPieces(this.stream, answer.bytes, this.#options.chunkSizeAt);
    if (answer.afterwards === 'stay') return;
    this.#hasLeft = true;
    if (answer.afterwards === 'end') this.stream.end();
    else this.stream.abort();
  }

  onDrain(): void {}
  onEnd(): void {
    this.#options.news.count++;
    this.#isGivenUp = true;
    if (!this.#hasLeft) this.stream.end();
    this.#hasLeft = true;
  }
  onClose(): void {
    this.#options.news.count++;
    this.#isGivenUp = true;
  }
}
