/**
 * A real nginx that says where it would send a key.
 *
 * One process, on a socket in a folder of its own, with an `upstream` block for each ring, `hash $http_x_key consistent`: a field value reaches
 * the hash as the bytes that were sent. `$upstream_addr` lists the servers that it tried, in order, which come back in a field.
 */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { type PeerProgram, versionOf } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { endProcess, untilListening } from '../rig/peer-process.ts';
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
  const folder = new TemporaryFolder('ferrata-ketama-');
  const socketPath = join(folder.path, 'nginx.sock');
  const configFile = join(folder.path, 'nginx.conf');
  writeFileSync(configFile, configuration(folder.path, socketPath, rings));
  const child = spawn('nginx', ['-p', folder.path, '-c', configFile, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
  killOnExit(child);
  const agent = new Agent({ keepAlive: true, maxSockets: PARALLEL_REQUESTS });
  const stop = async (): Promise<void> => {
    agent.destroy();
    await endProcess(child);
    folder.remove();
  };
  try {
    await untilListening('nginx', child, [socketPath]);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    version: versionOf('nginx', '-v'),
    ask: async (ring, keys) => {
      const addressOf = new Map(
        ring.servers.flatMap(({ address, shownAs = address }) => [shownAs].flat().map((shown) => [shown, address] as const)),
      );
      return await Promise.all(
        keys.map(async (key) => {
          const shown = await askOne(agent, socketPath, ring.id, key);
          return shown.map((text) => addressOf.get(text) ?? `${text} (no server of the ring)`);
        }),
      );
    },
    stop,
  };
}

/** Asks for one key. @returns what nginx calls the servers that it tried */
async function askOne(agent: Agent, socketPath: string, ringId: string, key: string): Promise<readonly string[]> {
  // Each character a byte: what Node writes into a head is latin1.
  const headers = { 'x-key': Buffer.from(key, 'utf8').toString('latin1') };
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ agent, socketPath, path: `/${ringId}`, headers }, resolve)
      .on('error', reject)
      .end();
  });
  for await (const _ of response) {
    // Read to its end, so that the connection serves again.
  }
  const [tried] = response.headersDistinct['x-tried'] ?? [];
  if (tried === undefined) throw new Error(`nginx answered ${String(response.statusCode)} without saying whom it tried`);
  return tried.split(', ');
}

function configuration(folder: string, socketPath: string, rings: readonly Ring[]): string {
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${folder}/${kind};`);
  // One process: no change of user, one pid to end. max_fails=0: a server that refuses stays in the ring.
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr emerg;
events { worker_connections 256; }
http {
  access_log off;
${temporaryPaths.join('\n')}
  proxy_connect_timeout 2s;
  proxy_read_timeout 2s;
  proxy_next_upstream error timeout;
${rings.map((ring) => `  upstream ${ring.id} {\n    hash $http_x_key consistent;\n${ring.servers.map(serverLine).join('\n')}\n  }`).join('\n')}
  server {
    listen unix:${socketPath};
    add_header X-Tried $upstream_addr always;
${rings.map(({ id, tries }) => `    location = /${id} { proxy_pass http://${id}; proxy_next_upstream_tries ${tries}; }`).join('\n')}
  }
}
`;
}

function serverLine({ address, weight = 1, isDown = false }: RingServer): string {
  return `    server ${address} weight=${weight} max_fails=0${isDown ? ' down' : ''};`;
}
