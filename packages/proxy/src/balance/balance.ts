/**
 * Hooks for an `HttpProxy` in which a load balancer says where each try goes, and hears what became of it.
 *
 * Rules:
 * - A retry goes to a backend that the request has not been to, while there is another that is ready.
 * - What was begun at a backend ends with the request, however that ends; of a tunnel, with the tunnel.
 * - Only hooks that are needed are there: an absent one costs nothing. Of a phase that both have, ours is called before the program's.
 */
import type { LoadBalancer } from '@ferrata/load-balancing';
import type { HooksOf, ProxyHooks } from '../proxy-hooks.ts';
import { BackendTries } from './backend-tries.ts';
import { type BalanceOptions, BalancePlan } from './balance-options.ts';
import { hooksWithin } from './wrapped-hooks.ts';

/** What a program adds to a balanced proxy. */
export type OwnHooks<Context> = Omit<HooksOf<Context>, 'upstreamPeer'>;

/**
 * Makes the hooks. The balancer stays the program's: it is to be started and closed by it.
 *
 * @param own hooks of the program, with a context of its own: all but `upstreamPeer`
 * @throws {TypeError} when an option is of the wrong kind, or `own` has `upstreamPeer`
 */
export function balance<Extension, Context = undefined>(
  balancer: LoadBalancer<Extension>,
  options: BalanceOptions<Extension> = {},
  own: OwnHooks<Context> = {} as OwnHooks<Context>,
): ProxyHooks<BackendTries<Extension, Context>> {
  if ('upstreamPeer' in own) throw new TypeError('where a request goes is said by the balancer: leave upstreamPeer out');
  const plan = new BalancePlan(balancer, options);
  const program = own as unknown as Partial<ProxyHooks<Context>>;
  const within = hooksWithin<Context, Tries<Extension, Context>>(program);
  const { failToConnect, errorWhileProxy, logging } = within;
  return {
    ...within,
    newContext: (session) => new BackendTries(plan, program.newContext?.(session) as Context),
    upstreamPeer: (session, tries) => tries.choose(session),
    failToConnect(session, peer, error, tries) {
      tries.handleUnreachable(peer, error);
      return failToConnect?.(session, peer, error, tries);
    },
    errorWhileProxy(session, peer, error, tries) {
      tries.handleFailed(peer, error);
      return errorWhileProxy?.(session, peer, error, tries);
    },
    logging(session, error, tries) {
      tries.end(session, error);
      return logging?.(session, error, tries);
    },
    ...whereNeeded(plan, within),
  };
}

type Tries<Extension, Context> = BackendTries<Extension, Context>;

/** Hooks that only some balancers need. */
function whereNeeded<Extension, Context>(
  { countsPending, reportsEarly, sticky }: BalancePlan<Extension>,
  within: Partial<ProxyHooks<Tries<Extension, Context>>>,
): Partial<ProxyHooks<Tries<Extension, Context>>> {
  const { connectedToUpstream, upstreamResponseFilter, responseFilter } = within;
  const hooks: Partial<ProxyHooks<Tries<Extension, Context>>> = {};
  if (countsPending)
    hooks.connectedToUpstream = (session, connection, tries) => {
      tries.handleConnected(session.peer);
      return connectedToUpstream?.(session, connection, tries);
    };
  if (reportsEarly)
    hooks.upstreamResponseFilter = (session, response, tries) => {
      tries.handleAnswer(session);
      return upstreamResponseFilter?.(session, response, tries);
    };
  if (sticky !== null)
    // Not with the upstream's phase: a cache must not keep it.
    hooks.responseFilter = (session, response, tries) => {
      tries.setCookie(session, response);
      return responseFilter?.(session, response, tries);
    };
  return hooks;
}
