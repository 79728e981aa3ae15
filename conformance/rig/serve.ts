/** A server of ours on loopback. */
import type { HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';

/** A server under way. */
export interface Serving {
  readonly port: number;
  /** Listens no more, and closes what is open. */
  close(): Promise<void>;
}

/** Gives a server the connections of a port of its own. */
export async function serve(server: HttpServer): Promise<Serving> {
  const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
  return {
    port: listener.address.kind === 'ip' ? listener.address.port : 0,
    close: async () => {
      await listener.close();
      server.close();
    },
  };
}
