/** One connection of an origin that speaks HTTP/2 and answers as the plans of its requests say. */
import { HeaderMap, responseHead } from '@ferrata/headers';
import { Http2Connection, Http2Event, type Http2Stream, Role } from '@ferrata/http2';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { L4Stream } from '@ferrata/stream';
import { positionalBytes, type World } from '@ferrata/testkit';
import { answerSeed, latin1 } from '../world/messages.ts';
import type { OriginLedger } from '../world/origin-actor.ts';
import { type AnswerPlan, type FaultPlan, RESPONSE_FIELDS } from '../world/plan.ts';
import { BodyWriter } from './body-writer.ts';
import { Http2Link, type LinkFollower } from './http2-link.ts';
import { latin1Of, type Received, tokenIn } from './records.ts';

interface Served {
  readonly request: Received;
  readonly stream: Http2Stream;
  isAnswered: boolean;
  writer: BodyWriter | null;
  sinceBreath: number;
}

export class Http2OriginActor implements LinkFollower {
  /** All requests that came, in order. */
  readonly requests: Received[] = [];
  maxOpenCount = 0;
  readonly #world: World;
  readonly #stream: L4Stream;
  readonly #ledger: OriginLedger;
  readonly #link: Http2Link;

  readonly #stallsFirst: boolean;

  /** @param options.stallsFirst whether nobody ever reads the request with the first token */
  constructor(
    world: World,
    stream: L4Stream,
    ledger: OriginLedger,
    options: { readonly maxStreams: number; readonly stallsFirst: boolean },
  ) {
    this.#stallsFirst = options.stallsFirst;
    this.#world = world;
    this.#stream = stream;
    this.#ledger = ledger;
    const machine = new Http2Connection(Role.server, world.clock.now(), {
      guard: false,
      maxConcurrentStreams: options.maxStreams,
      maxWindowBytes: 65_535,
      maxInterimResponses: 50,
    });
    this.#link = new Http2Link(machine, stream, world.clock, this);
    this.#link.flush();
  }

  /** What the proxy wrote that is not HTTP/2; null: nothing. */
  get problem(): string | null {
    return this.#link.problem;
  }

  abort(): void {
    this.#stream.abort();
  }

  onLost(): void {}

  onWritable(): void {
    const { machine } = this.#link;
    for (let stream = machine.takeWritable(); stream !== null; stream = machine.takeWritable()) {
      (stream.attachment as Served).writer?.resume();
    }
  }

  onEvent(): void {
    const { machine } = this.#link;
    const { event, stream } = machine;
    if (stream === null) return;
    this.maxOpenCount = Math.max(this.maxOpenCount, machine.openStreamCount);
    if (event === Http2Event.head) {
      const request = receivedRequest(stream);
      this.requests.push(request);
      const served: Served = { request, stream, isAnswered: false, writer: null, sinceBreath: 0 };
      stream.attachment = served;
      if (this.#stallsFirst && request.token === 1) machine.setReadingPaused(stream, true, this.#world.clock.now());
      this.#answer(served);
      return;
    }
    const served = stream.attachment as Served;
    if (event === Http2Event.data) {
      served.request.body += latin1Of(machine.data);
      this.#breathe(served, machine.data.length);
    } else if (event === Http2Event.end) {
      served.request.isWhole = true;
      served.request.trailers = [...(machine.trailers ?? [])];
      this.#answer(served);
    }
  }

  #breathe(served: Served, byteLength: number): void {
    const { reading } = this.#ledger;
    served.sinceBreath += byteLength;
    if (reading === null || served.sinceBreath < reading.everyBytes) return;
    served.sinceBreath = 0;
    const { clock } = this.#world;
    this.#link.machine.setReadingPaused(served.stream, true, clock.now());
    clock.schedule(reading.pauseMs, () => {
      this.#link.machine.setReadingPaused(served.stream, false, clock.now());
      this.#link.pump();
    });
  }

  #answer(served: Served): void {
    const { token, isWhole } = served.request;
    const plan = this.#ledger.plans.get(token);
    if (plan === undefined || served.isAnswered) return;
    const attempt = this.#ledger.attempts.get(token) ?? 0;
    const answer = plan.answers[Math.min(attempt, plan.answers.length - 1)] as AnswerPlan;
    if (answer.begins === 'late' && !isWhole) return;
    served.isAnswered = true;
    this.#ledger.attempts.set(token, attempt + 1);
    this.#world.clock.schedule(answer.delayMs, () => this.#respond(served, answer, attempt));
  }

  #respond(served: Served, answer: AnswerPlan, attempt: number): void {
    const { stream, request } = served;
    const link = this.#link;
    const { clock } = this.#world;
    if (stream.isClosed || link.isLost) return;
    const { machine } = link;
    const { token } = request;
    const { fault, status } = answer;
    if (fault !== null && this.#failsAtOnce(served, fault)) return;
    const interims = fault?.kind === 'storm' ? new Array<number>(20).fill(103) : answer.interims;
    for (const one of interims) machine.sendInterim(stream, responseHead(one, { headers: { 'X-Token': `t${token}` } }), clock.now());
    const headers = new HeaderMap();
    headers.append('X-Token', `t${token}`);
    headers.append('X-Attempt', `${attempt}`);
    for (const index of answer.fields) {
      const [name, value] = RESPONSE_FIELDS[index] as readonly [string, string];
      headers.append(name, value);
    }
    const isBodyless = stream.request?.method === 'HEAD' || status === 204 || status === 304;
    const bytes = positionalBytes(isBodyless ? 0 : answer.bodyLength, answerSeed(token, attempt));
    const bodyLength = answer.framing === 'length' ? answer.bodyLength : -1;
    machine.sendHead(stream, responseHead(status, { headers }), bodyLength, '', clock.now());
    const trailers = answer.hasTrailers
      ? HeaderMap.from([
          ['X-Sum', `a${token}`],
          ['X-Other', 'last'],
        ])
      : null;
    const instead = fault === null || fault.kind === 'storm' ? null : () => this.#fail(stream, fault);
    const shown = instead === null ? bytes : bytes.subarray(0, fault === null ? 0 : fault.at % (bytes.length + 1));
    served.writer = new BodyWriter(link, stream, clock, {
      bytes: shown,
      pace: answer,
      trailers,
      instead,
      onSent: () => {
        if (instead === null) clock.schedule(answer.afterMs, () => this.#afterwards(answer));
      },
    });
    served.writer.run();
    link.flush();
  }

  /** Faults that need no head. */
  #failsAtOnce({ stream, request }: Served, fault: FaultPlan): boolean {
    const { machine } = this.#link;
    const now = this.#world.clock.now();
    if (fault.kind === 'garbage') this.#link.writeRaw(latin1('\0\x01\x01\x01\0 garbage \r\n\r\n\x7f'));
    else if (fault.kind === 'reset' && (fault.at % 3 === 0 || fault.at % 9 === 1)) {
      request.isRefused = true;
      machine.reset(stream, fault.at % 3 === 0 ? Http2ErrorCode.refusedStream : Http2ErrorCode.http11Required, now);
    } else if (fault.kind === 'contradiction') machine.goaway(Http2ErrorCode.protocolError, 'as planned', now);
    else return false;
    this.#link.flush();
    return true;
  }

  /** Faults within a body. */
  #fail(stream: Http2Stream, fault: FaultPlan): void {
    const now = this.#world.clock.now();
    if (fault.kind === 'end') this.#link.end();
    else if (fault.kind === 'reset' || fault.kind === 'shortLength')
      this.#link.machine.reset(stream, fault.kind === 'reset' ? Http2ErrorCode.internalError : Http2ErrorCode.noError, now);
    // `stall`: nothing more comes on this stream.
  }

  #afterwards(answer: AnswerPlan): void {
    const { machine } = this.#link;
    const now = this.#world.clock.now();
    switch (answer.after) {
      case 'sayClose':
        machine.drain(now);
        break;
      case 'closeSilently':
        this.#link.end();
        break;
      case 'resetSilently':
        this.#stream.abort();
        break;
      case 'strayBytes':
        machine.ping(now);
        break;
      case 'strayResponse':
        machine.goaway(Http2ErrorCode.noError, '', now);
        break;
      default:
    }
    this.#link.flush();
  }
}

function receivedRequest(stream: Http2Stream): Received {
  const head = stream.request;
  const fields = [...(head?.headers ?? [])];
  return {
    token: tokenIn(fields),
    attempt: 0,
    status: 0,
    start: `${head?.method} ${head?.target}`,
    fields,
    body: '',
    trailers: [],
    isWhole: false,
    isRefused: false,
  };
}
