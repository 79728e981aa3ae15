/** Keys of TLS session tickets for all threads of a server: a client resumes its session whichever thread takes its next connection. */
import { TicketKeys, type TicketKeysOptions } from '@ferrata/net';
import type { SharedSpec } from '../supervisor/shared-registry.ts';

/**
 * What `Server.shared` needs to make ticket keys that all threads share. Without, each thread has keys of its own, and a client that comes to another one makes a
 * full handshake.
 *
 * ```ts
 * const tickets = server.shared('tickets', sharedTicketKeys());
 * server.addService(new HttpService({ …, accept: () => ({ tls: { certificates, tickets } }) }));
 * ```
 * Each generation of a server has its own: after an upgrade clients make a full handshake once.
 */
export function sharedTicketKeys(options: Omit<TicketKeysOptions, 'buffer'> = {}): SharedSpec<TicketKeys> {
  return {
    create: () => new TicketKeys(options).buffer,
    open: (buffer) => new TicketKeys({ ...options, buffer }),
  };
}
