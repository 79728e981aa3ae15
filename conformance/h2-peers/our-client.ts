/** Our client side, `Http2ClientSession` of `@ferrata/http`, as a client that acts plans out, any number at once, on one connection. */
import { type ClientSessionOwner, Http2ClientSession, HttpEnvironment, resolveHttp2ClientOptions } from '@ferrata/http';
import { connect } from '@ferrata/net';
import type { PlanClient } from '../http1-peers/client.ts';
import type { SeenResponse } from '../http1-peers/ledger.ts';
import { PlannedRequest } from '../http1-peers/our-client.ts';
import type { Plan } from '../http1-peers/plan.ts';
import type { Where } from './where.ts';

let sessions = 0;

/** A client made of an `Http2ClientSession`. */
export class OurHttp2Client implements PlanClient, ClientSessionOwner {
  readonly #where: Where;
  readonly #environment = new HttpEnvironment();
  #session: Promise<Http2ClientSession> | null = null;
  #open: Http2ClientSession | null = null;
  /** Those who wait for a place on the connection. */
  readonly #waiting: (() => void)[] = [];
  #number = 0;

  constructor(where: Where) {
    this.#where = where;
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const session = await this.session();
    const connection = this.#number;
    return await new Promise<SeenResponse>((resolve, reject) => {
      new PlannedRequest(one, token, connection, resolve, reject).begin(session);
    });
  }

  /** The connection, made anew if there is none that takes requests, once there is a place on it. */
  async session(): Promise<Http2ClientSession> {
    for (;;) {
      this.#session ??= this.#connect();
      const session = await this.#session;
      if (session.isReusable) return session;
      if (session.isDraining) this.#session = null;
      else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }

  async #connect(): Promise<Http2ClientSession> {
    const address = 'port' in this.#where ? `127.0.0.1:${this.#where.port}` : `unix:${this.#where.path}`;
    const session = new Http2ClientSession(await connect(address), this.#environment, resolveHttp2ClientOptions(), this);
    this.#number = ++sessions;
    this.#open = session;
    session.start();
    return session;
  }

  onSessionIdle(): void {}

  onSessionRoom(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  onSessionClose(): void {
    this.#session = null;
    this.#open = null;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  close(): void {
    this.#open?.close();
    this.onSessionClose();
  }
}
