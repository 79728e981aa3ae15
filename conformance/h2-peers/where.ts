/** Where a server of the suite listens. */
import { connect, type Socket } from 'node:net';

/** A port on 127.0.0.1, or the path of a Unix socket. */
export type Where = { readonly port: number } | { readonly path: string };

/** Opens a connection. */
export function connectTo(where: Where): Socket {
  return 'port' in where ? connect({ port: where.port, host: '127.0.0.1' }) : connect({ path: where.path });
}

/** As an option `--to` of the command `ferrata reverse`. */
export function urlOf(scheme: 'http' | 'h2c', where: Where): string {
  return 'port' in where ? `${scheme}://127.0.0.1:${where.port}` : `${scheme}://unix:${where.path}`;
}
