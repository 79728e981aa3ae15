/** Both ends of tunnels over HTTP/1: the client that asks for one, and the origin that grants it or not. */
import type { L4Sink, L4Stream } from '@ferrata/stream';
import type { World } from '@ferrata/testkit';
import { acceptKey } from '@ferrata/tunnel';
import { latin1 } from '../world/messages.ts';
import { latin1Of } from '../world-http2/records.ts';
import { TunnelEnd } from './tunnel-end.ts';
import type { TunnelPlan } from './tunnel-plan.ts';

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';

/** A connection whose first message is a head, and all that follows a tunnel. */
abstract class HeadThenTunnel implements L4Sink {
  protected readonly world: World;
  protected stream: L4Stream | null = null;
  end: TunnelEnd | null = null;
  #head = '';
  isOver = false;

  constructor(world: World) {
    this.world = world;
  }

  abort(): void {
    this.stream?.abort();
  }

  onData(chunk: Uint8Array): void {
    const text = latin1Of(chunk);
    if (this.end !== null) {
      this.end.take(text);
      return;
    }
    this.#head += text;
    const end = this.#head.indexOf('\r\n\r\n');
    if (end < 0 || this.isOver) return;
    const rest = this.#head.slice(end + 4);
    const head = this.#head.slice(0, end + 4);
    this.#head = '';
    this.takeHead(head, rest);
  }

  onDrain(): void {
    this.end?.resume();
  }

  onEnd(): void {
    this.end?.takeEnd();
    if (this.end === null) this.stream?.end();
  }

  onClose(): void {
    this.isOver = true;
  }

  protected abstract takeHead(head: string, rest: string): void;

  protected begin(plan: TunnelPlan, index: number, side: 'client' | 'origin', rest: string): void {
    const stream = this.stream as L4Stream;
    this.end = new TunnelEnd(plan, index, side, this.world.clock, {
      write: (bytes) => stream.write(bytes) || stream.state === 'closed',
      end: () => stream.end(),
      reset: () => stream.abort(),
    });
    if (rest !== '') this.end.take(rest);
    this.end.run();
  }
}

/** A client with one connection for one tunnel. */
export class Http1TunnelClient extends HeadThenTunnel {
  readonly plan: TunnelPlan;
  readonly index: number;
  /** 0: none yet. */
  status = 0;

  constructor(world: World, plan: TunnelPlan, index: number) {
    super(world);
    this.plan = plan;
    this.index = index;
    world.connect('proxy', { onConnected: (stream) => this.#ask(stream), onConnectFailed: () => this.onClose() });
  }

  #ask(stream: L4Stream): void {
    this.stream = stream;
    stream.attach(this);
    const { wish } = this.plan;
    const head =
      wish === 'connect'
        ? `CONNECT t${this.index}.example:443 HTTP/1.1\r\nHost: t${this.index}.example:443\r\n\r\n`
        : `GET /tunnel/${this.index} HTTP/1.1\r\nHost: t${this.index}.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${KEY}\r\n\r\n`;
    stream.write(latin1(head));
  }

  protected takeHead(head: string, rest: string): void {
    this.status = Number(head.slice(9, 12));
    const isGranted = this.status === 101 || (this.plan.wish === 'connect' && this.status === 200);
    if (isGranted) this.begin(this.plan, this.index, 'client', rest);
    else this.stream?.end();
  }
}

/** One connection of an origin. */
export class Http1TunnelOrigin extends HeadThenTunnel {
  readonly #plans: readonly TunnelPlan[];
  index = -1;
  /** Another request came on a connection that had carried one that asks for a tunnel. */
  heads: string[] = [];

  constructor(world: World, stream: L4Stream, plans: readonly TunnelPlan[]) {
    super(world);
    this.#plans = plans;
    this.stream = stream;
    stream.attach(this);
  }

  protected takeHead(head: string, rest: string): void {
    this.heads.push(head);
    this.index = Number(/(?:\/tunnel\/|CONNECT t)(\d+)/.exec(head)?.[1] ?? -1);
    const plan = this.#plans[this.index];
    if (plan === undefined) {
      this.stream?.abort();
      return;
    }
    this.world.clock.schedule(plan.delayMs, () => this.#answer(plan, head, rest));
  }

  #answer(plan: TunnelPlan, head: string, rest: string): void {
    const stream = this.stream as L4Stream;
    if (this.isOver) return;
    const key = plan.answer === 'wrongKey' ? 'wrong' : (/sec-websocket-key: (.*)\r\n/i.exec(head)?.[1] ?? '');
    switch (plan.answer) {
      case 'grant':
      case 'wrongKey':
        stream.write(
          latin1(
            plan.wish === 'connect'
              ? 'HTTP/1.1 200 OK\r\n\r\n'
              : `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${acceptKey(key)}\r\n\r\n`,
          ),
        );
        this.begin(plan, this.index, 'origin', rest);
        break;
      case 'refuse':
        stream.write(latin1('HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno'));
        break;
      case 'leave':
        stream.end();
        break;
      case 'silence':
        break;
    }
  }
}
