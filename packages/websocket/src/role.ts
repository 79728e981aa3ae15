/** Who masks, and who does not. */

/** The role of an endpoint: a client masks what it sends, a server never does (RFC 6455 §5.1). */
export const Role = { server: 0, client: 1 } as const;

/** The role of an endpoint. */
export type Role = (typeof Role)[keyof typeof Role];
