/** What the hooks of `hooks-proxy.ts` do, and nginx and haproxy beside it. */

/** A request for it gets 403. */
export const REFUSED_PATH = '/private';
/** Every answer gets it. */
export const ADDED_FIELD = { name: 'X-Proxy', value: 'bench' } as const;
