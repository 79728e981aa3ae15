/**
 * Closed loops of clients: each sends, waits for the answer, looks at it, and sends again, until the load is stopped. What is under way then is waited for.
 *
 * They are well-behaved, as the clients of a server that changes must be: they obey `Connection: close` and GOAWAY, and send again only what the
 * server has said it did not look at. So every failure is the server's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from './http1-connection.ts';
import { Tally } from './tally.ts';

/** Where clients of all kinds find what they ask; null: the server has no such thing. */
export interface LoadTarget {
  readonly http: Endpoint;
  readonly https: (Endpoint & { readonly port: number; readonly ca: string }) | null;
  readonly unix: Endpoint | null;
  /** A TCP echo service. */
  readonly tcp: number | null;
  /** A UDP echo service. */
  readonly udp: number | null;
}

/** What a client gets to work with. */
export interface LoadContext {
  readonly tally: Tally;
  readonly target: LoadTarget;
  readonly isStopping: boolean;
  /** A text that no other request has. */
  token(): string;
  /** Looks at what an answer says of who made it. @throws {LoadFailure} */
  seen(answer: SeenAnswer, connection: SeenConnection): void;
  /** Waits; less when the load is stopped. */
  pause(ms: number): Promise<void>;
}

/** What the fields of an answer say. */
export interface SeenAnswer {
  /** `PID.WORKER.THREAD`, null if it does not say. */
  readonly servedBy: string | null;
  /** `VERSION MESSAGE` of the configuration it was made with. */
  readonly config: string | null;
}

/** What is remembered of a connection between answers. */
export interface SeenConnection {
  version: number;
}

/** A client. It returns when the load is stopping, and counts everything itself. */
export type LoadClient = (context: LoadContext) => Promise<void>;

/** Called with each answer; a throw makes it a failure. */
export type AnswerWatcher = (answer: SeenAnswer, connection: SeenConnection) => void;

/** A load that runs. */
export interface Load {
  readonly tally: Tally;
  /** Lets each client finish what it has begun. @throws when one does not come to its end */
  stop(): Promise<void>;
  /** Lets clients begin nothing more, and waits for none. */
  abandon(): void;
  /** Waits until clients of every kind have had an answer. @throws if that does not come about */
  hasBegun(): Promise<void>;
  /** Waits for so many answers more. @throws if they do not come */
  goesOn(answers: number): Promise<void>;
}

/** Longer than any client waits: ends before this are the server's business, after it the load's. */
const STOP_MS = 120_000;

let tokens = 0;

/** A text that no other request of this process has. */
export function freshToken(): string {
  return `t${(++tokens).toString(36)}-${process.pid.toString(36)}`;
}

/** Starts clients. */
export function startLoad(target: LoadTarget, clients: readonly LoadClient[], watch: AnswerWatcher = () => undefined): Load {
  const tally = new Tally();
  const stopping = new AbortController();
  const context: LoadContext = {
    tally,
    target,
    get isStopping() {
      return stopping.signal.aborted;
    },
    token: freshToken,
    seen: watch,
    pause: async (ms) => {
      await delay(ms, undefined, { signal: stopping.signal }).catch(() => undefined);
    },
  };
  // One that throws is a fault of ours, and must not hide as a load that had nothing to say.
  const all = Promise.all(clients.map((client) => client(context)));
  all.catch(() => undefined);
  const until = async (isSo: () => boolean): Promise<void> => {
    for (const latest = performance.now() + STOP_MS; !isSo(); await delay(10)) {
      if (performance.now() > latest)
        throw new Error(`in ${STOP_MS / 1000} s clients have had ${answersText(tally)}; ${tally.failureText()}`);
    }
  };
  return {
    tally,
    abandon: () => stopping.abort(),
    hasBegun: async () => await until(() => [...tally.sentByKind.keys()].every((kind) => tally.answeredByKind.has(kind))),
    goesOn: async (answers) => {
      const enough = tally.answered + answers;
      await until(() => tally.answered >= enough);
    },
    stop: async () => {
      stopping.abort();
      const timer = new AbortController();
      const tooLong = delay(STOP_MS, true, { signal: timer.signal }).catch(() => false);
      const isLate = await Promise.race([all.then(() => false), tooLong]);
      timer.abort();
      if (isLate) throw new Error(`clients were still waiting ${STOP_MS / 1000} s after the load was stopped`);
    },
  };
}

function answersText({ sentByKind, answeredByKind }: Tally): string {
  return [...sentByKind.keys()].map((kind) => `${answeredByKind.get(kind) ?? 0} answers by ${kind}`).join(', ');
}
