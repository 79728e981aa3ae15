/** A client that does as its plan says. */
import type { L4Sink, L4Stream } from '@ferrata/stream';
import { positionalBytes, type World } from '@ferrata/testkit';
import { encodeRequest, isLast, latin1, type Token, tunnelSeed, upgrades } from './messages.ts';
import { Pacer } from './pacer.ts';
import type { ClientPlan, RequestPlan } from './plan.ts';
import { statusOf, WireReader } from './wire-reader.ts';

/** Bytes that a client sends through a tunnel and wants back. */
export const TUNNEL_BYTES = 300;

export class ClientActor implements L4Sink {
  readonly #world: World;
  readonly #plan: ClientPlan;
  readonly #requests: readonly RequestPlan[];
  readonly #firstToken: Token;
  readonly responses: WireReader;
  #stream: L4Stream | null = null;
  #pacer: Pacer | null = null;
  #sent = 0;
  #sentBytes = 0;
  #sinceBreath = 0;
  hasEnded = false;
  isClosed = false;

  constructor(world: World, plan: ClientPlan, firstToken: Token) {
    this.#world = world;
    this.#plan = plan;
    this.#firstToken = firstToken;
    const last = plan.requests.findIndex(isLast);
    this.#requests = last < 0 ? plan.requests : plan.requests.slice(0, last + 1);
    this.responses = new WireReader('response', (index) => this.#requests[index]?.method ?? 'GET');
    world.clock.schedule(plan.startMs, () =>
      world.connect('proxy', { onConnected: (stream) => this.#start(stream), onConnectFailed: () => void (this.isClosed = true) }),
    );
  }

  /** Requests that it was to send. */
  get plannedCount(): number {
    return this.#requests.length;
  }

  /** For the end of the world. */
  abort(): void {
    this.#stream?.abort();
  }

  onData(chunk: Uint8Array): void {
    const { reading } = this.#plan;
    const before = this.responses.completeCount;
    this.responses.feed(chunk);
    if (!this.#plan.isPipelining) for (let i = before; i < this.responses.completeCount; i++) this.#sendNext();
    if (this.responses.isTunnel) this.#talkThroughTunnel();
    else if (this.responses.completeCount === this.#requests.length && this.#plan.ending === 'leave') this.#stream?.end();
    this.#sinceBreath += chunk.length;
    if (reading === null || this.#sinceBreath < reading.everyBytes) return;
    this.#sinceBreath = 0;
    this.#stream?.pause();
    this.#world.clock.schedule(reading.pauseMs, () => this.#stream?.resume());
  }

  onDrain(): void {
    this.#pacer?.onDrain();
  }

  onEnd(): void {
    this.hasEnded = true;
    this.responses.end();
    this.#pacer?.stop();
    this.#stream?.end();
  }

  onClose(): void {
    this.isClosed = true;
    this.#pacer?.stop();
  }

  #start(stream: L4Stream): void {
    this.#stream = stream;
    this.#pacer = new Pacer(stream, this.#world.clock, this.#plan);
    stream.attach(this);
    if (this.#plan.isPipelining) for (const _ of this.#requests) this.#sendNext();
    else this.#sendNext();
  }

  #sendNext(): void {
    const pacer = this.#pacer;
    const index = this.#sent;
    const plan = this.#requests[index];
    if (pacer === null || plan === undefined) return;
    this.#sent++;
    const token = this.#firstToken + index;
    const { head, body } = encodeRequest(plan, token, hostOf(token));
    if (plan.gapMs > 0) pacer.wait(plan.gapMs);
    this.#send(head);
    if (plan.expectsContinue) pacer.wait(50);
    this.#send(body);
    if (this.#sent < this.#requests.length) return;
    if (this.#plan.ending === 'halfClose') pacer.call(() => this.#stream?.end());
    if (this.#plan.ending === 'garbage' && !upgrades(plan))
      this.#send(latin1('\x16\x03\x01 not HTTP at all\r\n\r\nGET / HTTP/1.1\r\nHost: smuggled.example\r\n\r\n'));
  }

  /** Sends bytes, up to where the plan says that it ends. */
  #send(bytes: Uint8Array): void {
    const { ending, endAt } = this.#plan;
    const isCut = ending === 'reset' || ending === 'vanish';
    const allowed = isCut ? Math.max(0, Math.min(bytes.length, endAt - this.#sentBytes)) : bytes.length;
    this.#sentBytes += allowed;
    this.#pacer?.send(bytes.subarray(0, allowed));
    if (allowed === bytes.length) return;
    this.#pacer?.call(() => {
      this.#pacer?.stop();
      if (ending === 'reset') this.#stream?.abort();
    });
  }

  #talkThroughTunnel(): void {
    const last = this.#requests.length - 1;
    const request = this.#requests[last];
    if (request === undefined || !upgrades(request) || statusOf(this.responses.messages.at(-1) as never) !== 101) return;
    if (this.#sent === this.#requests.length) {
      this.#sent++;
      this.#pacer?.send(positionalBytes(TUNNEL_BYTES, tunnelSeed(this.#firstToken + last)));
    }
    if (this.responses.tunnel.length >= TUNNEL_BYTES) this.#stream?.end();
  }
}

/** Every fifth request is for the second origin. */
export function hostOf(token: Token): string {
  return token % 5 === 0 ? 'second.example' : 'first.example';
}
