/** A real nginx as a process of a suite's: without a daemon and without a master, in a folder of its own, on Unix sockets. */
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { type Agent, type IncomingMessage, request } from 'node:http';
import { join } from 'node:path';
import { versionOf } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from './clean-up.ts';
import { endProcess, untilListening } from './peer-process.ts';

/** An nginx that runs. */
export interface NginxProcess {
  readonly version: string;
  /** The path of a socket that its configuration listens on. */
  socketOf(name: string): string;
  stop(): Promise<void>;
}

/**
 * Starts nginx. It ends with this process at the latest.
 *
 * @param sockets the names of those that it listens on
 * @param http what stands in the `http` block, given the path of a socket by its name
 * @throws {Error} with what nginx said, when it does not come up
 */
export async function startNginxProcess(
  sockets: readonly string[],
  http: (socketOf: (name: string) => string) => string,
): Promise<NginxProcess> {
  const folder = new TemporaryFolder('ferrata-nginx-');
  const socketOf = (name: string): string => join(folder.path, `${name}.sock`);
  const configFile = join(folder.path, 'nginx.conf');
  writeFileSync(configFile, configuration(folder.path, http(socketOf)));
  const child = spawn('nginx', ['-p', folder.path, '-c', configFile, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
  killOnExit(child);
  const stop = async (): Promise<void> => {
    await endProcess(child);
    folder.remove();
  };
  try {
    await untilListening('nginx', child, sockets.map(socketOf));
  } catch (error) {
    await stop();
    throw error;
  }
  return { version: versionOf('nginx', '-v'), socketOf, stop };
}

function configuration(folder: string, http: string): string {
  const temporaryPaths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `  ${kind}_temp_path ${folder}/${kind};`);
  // One process: no change of user, one pid to end, and one order of requests.
  return `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr emerg;
events { worker_connections 512; }
http {
  access_log off;
${temporaryPaths.join('\n')}
${http}
}
`;
}

/** What is asked of a server on a Unix socket. */
export interface SocketRequest {
  readonly agent: Agent;
  readonly socketPath: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks, and reads the answer to its end, so that the connection serves again. */
export async function askSocket({ agent, socketPath, path, headers = {} }: SocketRequest): Promise<IncomingMessage> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request({ agent, socketPath, path, headers: { ...headers } }, resolve)
      .on('error', reject)
      .end();
  });
  for await (const _ of response) {
    // Nobody wants it.
  }
  return response;
}

/** Whom nginx tried for an answer, in order: `$upstream_addr` in the field `X-Tried`. @throws {Error} when it does not say */
export function triedBy({ headersDistinct, statusCode }: IncomingMessage): readonly string[] {
  const [tried] = headersDistinct['x-tried'] ?? [];
  if (tried === undefined) throw new Error(`nginx answered ${String(statusCode)} without saying whom it tried`);
  return tried.split(', ');
}
