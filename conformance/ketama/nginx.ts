/**
 * A real nginx that says where it would send a key.
 *
 * One process, on a socket in a folder of its own, with an `upstream` block for each ring, `hash $http_x_key consistent`: a field value reaches
 * the hash as the bytes that were sent. `$upstream_addr` lists the servers that it tried, in order, which come back in a field.
 */
import { Agent } from 'node:http';
import type { PeerProgram } from '@ferrata/tools/peers';
import { askSocket, startNginxProcess, triedBy } from '../rig/nginx-process.ts';
import type { Ring, RingServer } from './rings.ts';

/** For `providePrograms`. */
export const NGINX: PeerProgram = { command: 'nginx', debianPackage: 'nginx', purpose: 'the ring that ours must equal' };

const PARALLEL_REQUESTS = 16;

/** A running nginx. */
export interface RunningNginx {
  readonly version: string;
  /** Asks for each key. @returns for each the addresses of the servers tried, in order, as the ring spells them */
  ask(ring: Ring, keys: readonly string[]): Promise<readonly (readonly string[])[]>;
  stop(): Promise<void>;
}

/**
 * Starts nginx with an upstream for each ring. It ends with this process at the latest.
 *
 * @throws {Error} with what nginx said, when it does not come up
 */
export async function startNginx(rings: readonly Ring[]): Promise<RunningNginx> {
  const nginx = await startNginxProcess(['nginx'], (socketOf) => configuration(socketOf('nginx'), rings));
  const socketPath = nginx.socketOf('nginx');
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL_REQUESTS });
  return {
    version: nginx.version,
    ask: async (ring, keys) => {
      const addressOf = new Map(
        ring.servers.flatMap(({ address, shownAs = address }) => [shownAs].flat().map((shown) => [shown, address] as const)),
      );
      return await Promise.all(
        keys.map(async (key) => {
          // Each character a byte: what Node writes into a head is latin1.
          const headers = { 'x-key': Buffer.from(key, 'utf8').toString('latin1') };
          const shown = triedBy(await askSocket({ agent, socketPath, path: `/${ring.id}`, headers }));
          return shown.map((text) => addressOf.get(text) ?? `${text} (no server of the ring)`);
        }),
      );
    },
    stop: async () => {
      agent.destroy();
      await nginx.stop();
    },
  };
}

function configuration(socketPath: string, rings: readonly Ring[]): string {
  // max_fails=0: a server that refuses stays in the ring.
  return `  proxy_connect_timeout 2s;
  proxy_read_timeout 2s;
  proxy_next_upstream error timeout;
${rings.map((ring) => `  upstream ${ring.id} {\n    hash $http_x_key consistent;\n${ring.servers.map(serverLine).join('\n')}\n  }`).join('\n')}
  server {
    listen unix:${socketPath};
    add_header X-Tried $upstream_addr always;
${rings.map(({ id, tries }) => `    location = /${id} { proxy_pass http://${id}; proxy_next_upstream_tries ${tries}; }`).join('\n')}
  }`;
}

function serverLine({ address, weight = 1, isDown = false }: RingServer): string {
  return `    server ${address} weight=${weight} max_fails=0${isDown ? ' down' : ''};`;
}
