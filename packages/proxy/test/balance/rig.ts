/** A balanced proxy between scripted clients and scripted backends, all in memory and on a clock that the test moves. */
import assert from 'node:assert/strict';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type Backend, LoadBalancer, type LoadBalancerOptions } from '@ferrata/load-balancing';
import { type BalanceOptions, balance, HttpProxy, type HttpProxyOptions, type OwnHooks, type ProxySession } from '@ferrata/proxy';
import { memoryPair } from '@ferrata/stream';
import { H2Wire } from '../h2-wire.ts';
import { answering, get, ok, readResponse, settle, Wire } from '../rig.ts';

/** What a backend does with its connections; `refuse`: it takes none. */
export type Script = ((wire: Wire) => void) | 'refuse' | 'hang';

export interface BalanceRigOptions {
  readonly balancer?: Omit<LoadBalancerOptions, 'environment'>;
  readonly balance?: BalanceOptions;
  readonly own?: OwnHooks<undefined>;
  readonly proxy?: Partial<HttpProxyOptions>;
  readonly allowSubrequests?: boolean;
}

/** Names of backends: `a` is `10.0.0.1:80`, and so on. */
export const addressOf = { a: '10.0.0.1:80', b: '10.0.0.2:80', c: '10.0.0.3:80' } as const;
export type Name = keyof typeof addressOf;

/** A balanced proxy. */
export class BalanceRig {
  readonly clock = new ManualClock();
  readonly environment = new HttpEnvironment({ clock: this.clock });
  readonly balancer: LoadBalancer<unknown>;
  readonly proxy: HttpProxy<unknown>;
  readonly server: HttpServer;
  /** What each backend does. Default: `answering(ok)`. */
  readonly scripts: Partial<Record<string, Script>> = {};
  /** Connections to each, in their order. */
  readonly wires: Record<string, Wire[]> = {};
  readonly h2Wires: H2Wire[] = [];
  readonly logged: { readonly session: ProxySession; readonly error: WireError | null; readonly backend: string }[] = [];
  readonly hookFailures: WireError[] = [];

  constructor(options: BalanceRigOptions = {}) {
    const backends = Object.entries(addressOf).map(([name, address]) => ({ name, address }));
    this.balancer = new LoadBalancer<unknown>({ backends, ...options.balancer, environment: this.environment });
    const { own = {}, ...rest } = options;
    const hooks = balance<unknown>(this.balancer, rest.balance, {
      ...own,
      logging: (session, error, context) => {
        this.logged.push({ session, error, backend: this.nameOf(session.peer?.address) });
        return own.logging?.(session, error, context);
      },
    });
    this.proxy = new HttpProxy(hooks, {
      onHookFailed: (error) => void this.hookFailures.push(error),
      ...options.proxy,
      environment: this.environment,
      upstream: {
        connect: (to, signal) => {
          const name = this.nameOf(to.address);
          const script = this.scripts[name] ?? answering(ok);
          if (script === 'hang') return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)));
          if (script === 'refuse') return Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
          const { a, b } = memoryPair({ clock: this.clock, addressA: ip(5), addressB: ip(1) });
          if (to.protocol === 'http2') this.h2Wires.push(new H2Wire('origin', b));
          else {
            const wire = new Wire(b);
            (this.wires[name] ??= []).push(wire);
            script(wire);
          }
          return Promise.resolve(a);
        },
      },
    });
    this.server = new HttpServer(this.proxy, { environment: this.environment });
  }

  nameOf(address: unknown): string {
    const host = (address as { readonly host?: string } | undefined)?.host ?? '';
    return Object.entries(addressOf).find(([, where]) => where === `${host}:80`)?.[0] ?? '';
  }

  backend(name: string): Backend {
    const found = this.balancer.find(name);
    assert.ok(found !== null);
    return found;
  }

  connect(): Wire {
    const { a, b } = memoryPair({ clock: this.clock, addressA: ip(9), addressB: ip(2) });
    this.server.accept(b);
    return new Wire(a);
  }

  connectH2(): H2Wire {
    const { a, b } = memoryPair({ clock: this.clock, addressA: ip(9), addressB: ip(2) });
    this.server.accept(b);
    return new H2Wire('client', a);
  }

  /** Sends a request on a connection of its own, and gives the status. */
  async ask(text = get): Promise<number> {
    const client = await this.begin(text);
    const { status } = readResponse(client.text);
    client.reset();
    await settle();
    return status;
  }

  /** Sends a request, and lets everything happen that can happen now. */
  async begin(text = get): Promise<Wire> {
    const client = this.connect().send(text);
    await settle();
    return client;
  }

  async pass(ms: number): Promise<void> {
    this.clock.advance(ms);
    await settle();
  }

  inflight(): readonly number[] {
    return this.balancer.backends.map((backend) => this.balancer.stateOf(backend).inflight);
  }

  /** How each backend fared: succeeded/failed. */
  tally(): Readonly<Record<string, string>> {
    const states = this.balancer.backends.map((backend) => [backend.name, this.balancer.stateOf(backend)] as const);
    return Object.fromEntries(states.map(([name, { succeeded, failed }]) => [name, `${succeeded}/${failed}`]));
  }

  /** What must hold when all clients are gone. */
  async finish(): Promise<void> {
    await settle();
    for (const backend of this.balancer.backends) {
      const { inflight, pending } = this.balancer.stateOf(backend);
      assert.deepEqual([inflight, pending], [0, 0], `${backend.name} has nothing under way`);
    }
    const { maxRetries } = this.balancer.config.breaker;
    if (maxRetries !== Infinity)
      for (let retry = 0; retry < maxRetries; retry++) assert.ok(this.balancer.tryRetry(), 'every retry was given back');
    this.proxy.close();
    this.balancer.close();
    await settle();
  }
}

/** A backend whose answer says which one it is. */
export function saying(name: string): (wire: Wire) => void {
  return answering(`HTTP/1.1 200 OK\r\nContent-Length: ${name.length}\r\n\r\n${name}`);
}

/** Answers with a status, and no more. */
export function status(code: number): (wire: Wire) => void {
  return answering(`HTTP/1.1 ${code} Some\r\nContent-Length: 0\r\n\r\n`);
}

function ip(last: number): { kind: 'ip'; host: string; port: number } {
  return { kind: 'ip', host: `10.0.0.${last}`, port: 80 };
}
