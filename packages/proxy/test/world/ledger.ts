/** Hooks that keep the books of every request that the proxy has accepted, with the filters that a plan asks for. */
import type { WireError } from '@ferrata/error';
import type { Awaitable, ProxyHooks, ProxySession } from '@ferrata/proxy';
import type { World } from '@ferrata/testkit';
import type { Peer } from '@ferrata/upstream';
import type { TellBreach } from './edge.ts';
import { type Token, tokenFrom } from './messages.ts';
import type { WorldPlan } from './plan.ts';

/** What one accepted request has come to, as the proxy has it. */
export interface LedgerRecord {
  readonly token: Token;
  /** It was made by the proxy itself. */
  readonly isSubrequest: boolean;
  logged: number;
  error: WireError | null;
  status: number;
  attempts: number;
  /** Attempts that were lost before anybody read the request. */
  refusals: number;
}

export interface LedgerOptions<Entry extends LedgerRecord> {
  readonly world: World;
  readonly filters: WorldPlan['hooks'];
  readonly tell: TellBreach;
  /** Enters a request into the books. */
  readonly enter: (record: LedgerRecord, session: ProxySession) => Entry;
  readonly choose: (session: ProxySession) => Awaitable<Peer>;
}

/** What two origins are chosen by: the host that was asked for. */
export function isForSecond({ request }: ProxySession): boolean {
  return request.headers.get('host')?.startsWith('second') === true;
}

/** Waits for a time that the world draws. */
export function pause(world: World): Promise<void> {
  return new Promise((resolve) => void world.clock.schedule(world.random.below(50), resolve));
}

export function ledgerHooks<Entry extends LedgerRecord>({ world, filters, tell, enter, choose }: LedgerOptions<Entry>): ProxyHooks<Entry> {
  const wait = (): Promise<void> => pause(world);
  /** I15: no phase follows the end. */
  const alive = (record: Entry, phase: string): void => {
    if (record.logged > 0) tell('I15', `${phase} of t${record.token} after its end`);
  };
  const base: ProxyHooks<Entry> = {
    newContext: (session) => {
      const token = tokenFrom(session.request.headers.get('x-token'));
      return enter({ token, isSubrequest: session.isSubrequest, logged: 0, error: null, status: 0, attempts: 0, refusals: 0 }, session);
    },
    upstreamPeer: (session, record) => {
      alive(record, 'upstreamPeer');
      return choose(session);
    },
    responseFilter: (_session, _response, record) => alive(record, 'responseFilter'),
    logging: (session, error, record) => {
      record.logged++;
      record.error = error;
      record.status = session.status;
      record.attempts = session.attempt;
      record.refusals = session.refusedCount;
      world.note(
        `log t${record.token} ${session.status} ${error?.reason ?? 'whole'} ${session.requestBytes} ${session.responseBytes} ${session.attempt}`,
      );
    },
  };
  switch (filters) {
    case 'none':
      return base;
    case 'bodies':
      return { ...base, requestBodyFilter: (_session, chunk) => chunk, responseBodyFilter: (_session, chunk) => chunk };
    case 'slowBodies':
      return {
        ...base,
        requestBodyFilter: (_session, chunk) => wait().then(() => chunk),
        responseBodyFilter: (_session, chunk) => wait().then(() => chunk),
      };
    case 'slow':
      return {
        ...base,
        earlyRequestFilter: wait,
        requestFilter: () => wait().then(() => false),
        upstreamRequestFilter: wait,
        responseFilter: wait,
      };
  }
}
