/** Who opens streams, and who answers. */

/** The role of an endpoint: a client opens streams with odd numbers, a server answers on them. */
export const Role = { server: 0, client: 1 } as const;

/** The role of an endpoint. */
export type Role = (typeof Role)[keyof typeof Role];
