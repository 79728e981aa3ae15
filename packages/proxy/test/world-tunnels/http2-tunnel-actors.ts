/** Both ends of tunnels over HTTP/2: each is a stream of one connection. */
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { Http2Connection, Http2Event, type Http2Stream, Role } from '@ferrata/http2';
import { Http2ErrorCode } from '@ferrata/http2-framing';
import type { L4Stream } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import { Http2Link, type LinkFollower } from '../world-http2/http2-link.ts';
import { latin1Of } from '../world-http2/records.ts';
import { TunnelEnd } from './tunnel-end.ts';
import type { TunnelPlan } from './tunnel-plan.ts';

/** One stream. */
export class StreamTunnel {
  readonly plan: TunnelPlan;
  readonly index: number;
  end: TunnelEnd | null = null;
  status = 0;

  constructor(plan: TunnelPlan, index: number) {
    this.plan = plan;
    this.index = index;
  }
}

/** A connection of tunnels. */
abstract class TunnelLink implements LinkFollower {
  protected readonly world: World;
  protected link: Http2Link | null = null;
  #stream: L4Stream | null = null;

  constructor(world: World) {
    this.world = world;
  }

  get problem(): string | null {
    return this.link?.problem ?? null;
  }

  abort(): void {
    this.#stream?.abort();
  }

  onLost(): void {}

  onWritable(): void {
    const { machine } = this.link as Http2Link;
    for (let stream = machine.takeWritable(); stream !== null; stream = machine.takeWritable())
      (stream.attachment as StreamTunnel | undefined)?.end?.resume();
  }

  onEvent(): void {
    const { machine } = this.link as Http2Link;
    const { event, stream } = machine;
    if (event === Http2Event.settings) this.onSettings();
    if (stream === null) return;
    const tunnel = stream.attachment as StreamTunnel | undefined;
    if (event === Http2Event.head) this.onHead(stream);
    else if (event === Http2Event.data) tunnel?.end?.take(latin1Of(machine.data));
    else if (event === Http2Event.end) tunnel?.end?.takeEnd();
  }

  protected onSettings(): void {}
  protected abstract onHead(stream: Http2Stream): void;

  protected open(role: typeof Role.client | typeof Role.server, stream: L4Stream): void {
    this.#stream = stream;
    const options = { guard: false as const, maxWindowBytes: 65_535, isExtendedConnectEnabled: true };
    this.link = new Http2Link(new Http2Connection(role, this.world.clock.now(), options), stream, this.world.clock, this);
    this.link.flush();
  }

  protected begin(tunnel: StreamTunnel, stream: Http2Stream, side: 'client' | 'origin'): void {
    const link = this.link as Http2Link;
    const { machine } = link;
    const { clock } = this.world;
    const isOver = (): boolean => stream.isClosed || link.isLost;
    tunnel.end = new TunnelEnd(tunnel.plan, tunnel.index, side, clock, {
      write: (bytes) => {
        if (isOver()) return true;
        const hasRoom = machine.sendData(stream, bytes, clock.now());
        link.flush();
        return hasRoom || stream.queuedBytes === 0 || isOver();
      },
      end: () => {
        if (!isOver()) machine.sendEnd(stream, null, clock.now());
        link.flush();
      },
      reset: () => {
        if (!isOver()) machine.reset(stream, Http2ErrorCode.cancel, clock.now());
        link.flush();
      },
    });
    tunnel.end.run();
  }
}

/** A client with one connection for all its tunnels. */
export class Http2TunnelClient extends TunnelLink {
  readonly tunnels: readonly StreamTunnel[];
  #hasAsked = false;

  constructor(world: World, plans: readonly TunnelPlan[]) {
    super(world);
    this.tunnels = plans.map((plan, index) => new StreamTunnel(plan, index));
    world.connect('proxy', { onConnected: (stream) => this.open(Role.client, stream), onConnectFailed: () => {} });
  }

  /** RFC 8441 §3: whoever wants more than CONNECT waits for the settings. */
  protected override onSettings(): void {
    const link = this.link as Http2Link;
    if (this.#hasAsked || link.isLost) return;
    this.#hasAsked = true;
    const now = this.world.clock.now();
    for (const tunnel of this.tunnels) {
      const isConnect = tunnel.plan.wish === 'connect';
      const authority = `t${tunnel.index}.example${isConnect ? ':443' : ''}`;
      const headers = HeaderMap.from({ host: authority, ...(isConnect ? {} : { 'sec-websocket-version': '13' }) });
      const head = requestHead('CONNECT', isConnect ? authority : `/tunnel/${tunnel.index}`, { headers });
      const stream = link.machine.request(head, { bodyLength: -1, protocol: isConnect ? null : 'websocket' }, now);
      stream.attachment = tunnel;
    }
    link.flush();
  }

  protected onHead(stream: Http2Stream): void {
    const tunnel = stream.attachment as StreamTunnel;
    tunnel.status = stream.response?.status ?? 0;
    if (tunnel.status === 200) this.begin(tunnel, stream, 'client');
    else (this.link as Http2Link).machine.reset(stream, Http2ErrorCode.cancel, this.world.clock.now());
  }
}

/** One connection of an origin. */
export class Http2TunnelOrigin extends TunnelLink {
  readonly tunnels: StreamTunnel[] = [];
  readonly #plans: readonly TunnelPlan[];

  constructor(world: World, stream: L4Stream, plans: readonly TunnelPlan[]) {
    super(world);
    this.#plans = plans;
    this.open(Role.server, stream);
  }

  protected onHead(stream: Http2Stream): void {
    const { machine } = this.link as Http2Link;
    const { clock } = this.world;
    const index = Number(/(?:\/tunnel\/|^t)(\d+)/.exec(stream.request?.target ?? '')?.[1] ?? -1);
    const plan = this.#plans[index];
    if (plan === undefined) {
      machine.reset(stream, Http2ErrorCode.cancel, clock.now());
      return;
    }
    const tunnel = new StreamTunnel(plan, index);
    this.tunnels.push(tunnel);
    stream.attachment = tunnel;
    clock.schedule(plan.delayMs, () => this.#answer(tunnel, stream));
  }

  #answer(tunnel: StreamTunnel, stream: Http2Stream): void {
    const link = this.link as Http2Link;
    if (stream.isClosed || link.isLost) return;
    const now = this.world.clock.now();
    const { answer } = tunnel.plan;
    if (answer === 'leave') link.machine.reset(stream, Http2ErrorCode.internalError, now);
    else if (answer === 'refuse') link.machine.sendHead(stream, responseHead(403, {}), 0, '', now);
    else if (answer !== 'silence') {
      link.machine.sendHead(stream, responseHead(200, {}), -1, '', now);
      this.begin(tunnel, stream, 'origin');
    }
    link.flush();
  }
}
