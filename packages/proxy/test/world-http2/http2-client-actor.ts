/** A client that speaks HTTP/2 and does as its plan says: the plans are those of HTTP/1, read for streams. */
import { HeaderMap, requestHead } from '@ferrata/headers';
import { Http2Connection, Http2Event, type Http2Stream, Role } from '@ferrata/http2';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { L4Stream } from '@ferrata/stream';
import { positionalBytes, type World } from '@ferrata/testkit';
import { hostOf } from '../world/client-actor.ts';
import { requestSeed, type Token } from '../world/messages.ts';
import { type ClientPlan, REQUEST_FIELDS, type RequestPlan } from '../world/plan.ts';
import { BodyWriter } from './body-writer.ts';
import { Http2Link, type LinkFollower } from './http2-link.ts';
import { latin1Of, type Outcome, type Received, tokenIn } from './records.ts';

/** One request, and what has become of it. */
export class ClientRequest {
  readonly plan: RequestPlan;
  readonly token: Token;
  response: Received | null = null;
  outcome: Outcome = 'none';
  /** Ends that were told; more than one is a breach. */
  endCount = 0;
  writer: BodyWriter | null = null;
  sinceBreath = 0;

  constructor(plan: RequestPlan, token: Token) {
    this.plan = plan;
    this.token = token;
  }

  get isOver(): boolean {
    return this.outcome !== 'none';
  }

  end(outcome: Outcome): void {
    this.endCount++;
    this.outcome = outcome;
  }
}

/** The head of a frame far larger than anybody allows. */
const GARBAGE = new Uint8Array(12).fill(0xff);

export class Http2ClientActor implements LinkFollower {
  readonly requests: readonly ClientRequest[];
  isClosed = false;
  readonly #world: World;
  readonly #plan: ClientPlan;
  #stream: L4Stream | null = null;
  #link: Http2Link | null = null;
  #sent = 0;
  /** Requests that wait for a place. */
  #isWaitingForRoom = false;
  readonly #stallsFirst: boolean;

  /** @param stallsFirst whether nobody ever reads the answer to the first request */
  constructor(world: World, plan: ClientPlan, firstToken: Token, stallsFirst = false) {
    this.#world = world;
    this.#stallsFirst = stallsFirst;
    this.#plan = plan;
    this.requests = plan.requests.map((request, i) => new ClientRequest(request, firstToken + i));
    world.clock.schedule(plan.startMs, () =>
      world.connect('proxy', { onConnected: (stream) => this.#start(stream), onConnectFailed: () => this.onLost() }),
    );
  }

  /** What the proxy wrote that is not HTTP/2; null: nothing. */
  get problem(): string | null {
    return this.#link?.problem ?? null;
  }

  abort(): void {
    this.#stream?.abort();
  }

  onEvent(): void {
    const { machine } = this.#link as Http2Link;
    const { event, stream } = machine;
    const request = stream?.attachment as ClientRequest | undefined;
    if (event === Http2Event.settings && this.#isWaitingForRoom) this.#sendNext();
    // What was held back for a slow reader comes out after the connection is lost, and after the books are closed.
    if (stream === null || request === undefined || (this.isClosed && request.isOver)) return;
    switch (event) {
      case Http2Event.head:
        request.response = receivedHead(stream);
        if (this.#stallsFirst && request === this.requests[0]) machine.setReadingPaused(stream, true, this.#world.clock.now());
        break;
      case Http2Event.data:
        if (request.response !== null) request.response.body += latin1Of(machine.data);
        this.#breathe(stream, request, machine.data.length);
        break;
      case Http2Event.end:
        if (request.response !== null) {
          request.response.isWhole = true;
          request.response.trailers = [...(machine.trailers ?? [])];
        }
        this.#over(request, 'whole');
        break;
      case Http2Event.reset:
        // A whole response before the rest of the request is not wanted (RFC 9113 §8.1).
        if (request.outcome !== 'whole') this.#over(request, 'reset');
        break;
      default:
    }
  }

  onWritable(): void {
    const { machine } = this.#link as Http2Link;
    for (let stream = machine.takeWritable(); stream !== null; stream = machine.takeWritable()) {
      (stream.attachment as ClientRequest).writer?.resume();
    }
  }

  onLost(): void {
    this.isClosed = true;
    for (const request of this.requests) if (!request.isOver) request.end('lost');
  }

  #start(stream: L4Stream): void {
    this.#stream = stream;
    const machine = new Http2Connection(Role.client, this.#world.clock.now(), { guard: false, maxWindowBytes: 65_535 });
    this.#link = new Http2Link(machine, stream, this.#world.clock, this);
    this.#link.flush();
    const { ending, endAt } = this.#plan;
    if (ending === 'reset') this.#world.clock.schedule(endAt, () => this.abort());
    if (ending === 'vanish') this.#world.clock.schedule(endAt, () => this.#link?.vanish());
    this.#sendNext();
    if (this.#plan.isPipelining) for (let i = 1; i < this.requests.length; i++) this.#sendNext();
  }

  #sendNext(): void {
    const request = this.requests[this.#sent];
    if (request === undefined) return;
    if (this.#link?.machine.availableStreams === 0) {
      this.#isWaitingForRoom = true;
      return;
    }
    this.#isWaitingForRoom = false;
    this.#sent++;
    this.#world.clock.schedule(request.plan.gapMs, () => this.#send(request));
  }

  #send(request: ClientRequest): void {
    const link = this.#link as Http2Link;
    const { clock } = this.#world;
    if (link.isLost || link.machine.availableStreams === 0) {
      if (!request.isOver) this.#over(request, 'lost');
      return;
    }
    const { plan, token } = request;
    const hasBody = plan.framing !== 'none';
    const bytes = hasBody ? positionalBytes(plan.bodyLength, requestSeed(token)) : new Uint8Array();
    const bodyLength = !hasBody ? 0 : plan.framing === 'length' ? plan.bodyLength : -1;
    const headers = new HeaderMap();
    headers.append('Host', hostOf(token));
    headers.append('X-Token', `t${token}`);
    for (const index of plan.fields) {
      const [name, value] = REQUEST_FIELDS[index] as readonly [string, string];
      headers.append(name, value);
    }
    const stream = link.machine.request(requestHead(plan.method, `/way/${token}?q=%20`, { headers }), { bodyLength }, clock.now());
    stream.attachment = request;
    const trailers = plan.hasTrailers && bodyLength === -1 ? HeaderMap.from([['X-Sum', `r${token}`]]) : null;
    if (bodyLength !== 0) {
      request.writer = new BodyWriter(link, stream, clock, { bytes, pace: this.#plan, trailers, instead: null, onSent: () => {} });
      request.writer.run();
    }
    link.pump();
    if (plan.asksUpgrade) {
      clock.schedule(token * 7, () => {
        if (request.isOver) return;
        link.machine.reset(stream, Http2ErrorCode.cancel, clock.now());
        this.#over(request, 'cancelled');
        link.flush();
      });
    }
    if (this.#sent < this.requests.length) return;
    if (this.#plan.ending === 'halfClose') link.end();
    if (this.#plan.ending === 'garbage') link.writeRaw(GARBAGE);
  }

  #over(request: ClientRequest, outcome: Outcome): void {
    request.end(outcome);
    if (this.#isWaitingForRoom || !this.#plan.isPipelining) this.#sendNext();
    if (this.#plan.ending !== 'leave' || !this.requests.every(({ isOver }) => isOver)) return;
    const link = this.#link as Http2Link;
    this.#world.clock.schedule(1, () => {
      link.machine.drain(this.#world.clock.now());
      link.flush();
    });
  }

  #breathe(stream: Http2Stream, request: ClientRequest, byteLength: number): void {
    const { reading } = this.#plan;
    request.sinceBreath += byteLength;
    if (reading === null || request.sinceBreath < reading.everyBytes) return;
    request.sinceBreath = 0;
    const link = this.#link as Http2Link;
    const { clock } = this.#world;
    link.machine.setReadingPaused(stream, true, clock.now());
    clock.schedule(reading.pauseMs, () => {
      link.machine.setReadingPaused(stream, false, clock.now());
      link.pump();
    });
  }
}

function receivedHead(stream: Http2Stream): Received {
  const head = stream.response;
  const fields = [...(head?.headers ?? [])];
  return {
    token: tokenIn(fields),
    attempt: Number(head?.headers.get('x-attempt') ?? 0),
    status: head?.status ?? 0,
    start: '',
    fields,
    body: '',
    trailers: [],
    isWhole: false,
    isRefused: false,
  };
}
