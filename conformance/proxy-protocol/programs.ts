/** A haproxy that takes headers and sends its own, and an nginx that says what it has read. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PeerProgram } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { endProcess, untilListening } from '../rig/peer-process.ts';

export const HAPROXY: PeerProgram = { command: 'haproxy', debianPackage: 'haproxy', purpose: 'to read and write PROXY headers' };
export const NGINX: PeerProgram = { command: 'nginx', debianPackage: 'nginx', purpose: 'to read PROXY headers' };
export const CURL: PeerProgram = { command: 'curl', debianPackage: 'curl', purpose: 'to write PROXY headers' };

/** By name: how haproxy writes the header that it sends. */
export const OUTPUTS: ReadonlyMap<string, string> = new Map([
  ['v1', 'send-proxy'],
  ['v2', 'send-proxy-v2'],
  ['v2-crc32c', 'send-proxy-v2 proxy-v2-options crc32c'],
  ['v2-unique-id', 'send-proxy-v2 proxy-v2-options unique-id'],
  ['v2-both', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'],
]);

/** What haproxy is told to give as the unique id. */
export const UNIQUE_ID = 'id-of-the-connection';

/** A program under way. */
export interface RunningProgram {
  /** The path of the socket of this name. */
  socketOf(name: string): string;
  stop(): Promise<void>;
}

/** Starts a haproxy with one socket for each output, all of which go on to `port` of loopback. @throws {Error} when it does not come up */
export function startHaproxy(port: number): Promise<RunningProgram> {
  return start('haproxy', [...OUTPUTS.keys()], (folder, socketOf) => {
    const sections = [...OUTPUTS].map(
      ([name, output]) => `
listen ${name}
  bind unix@${socketOf(name)} accept-proxy
  unique-id-format ${UNIQUE_ID}
  server ours 127.0.0.1:${port} ${output}`,
    );
    const file = join(folder, 'haproxy.cfg');
    writeFileSync(
      file,
      `global
  maxconn 100
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
${sections.join('\n')}
`,
    );
    return spawn('haproxy', ['-db', '-f', file], { stdio: ['ignore', 'ignore', 'pipe'] });
  });
}

/** Starts an nginx that answers with the addresses and ports of the header. @throws {Error} when it does not come up */
export function startNginx(): Promise<RunningProgram> {
  return start('nginx', ['http'], (folder, socketOf) => {
    const file = join(folder, 'nginx.conf');
    writeFileSync(
      file,
      `daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen unix:${socketOf('http')} proxy_protocol;
    location / {
      return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port";
    }
  }
}
`,
    );
    return spawn('nginx', ['-p', folder, '-c', file, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] });
  });
}

async function start(
  name: string,
  sockets: readonly string[],
  spawnIn: (folder: string, socketOf: (socket: string) => string) => ChildProcess,
): Promise<RunningProgram> {
  const folder = new TemporaryFolder(`ferrata-${name}-`);
  const socketOf = (socket: string): string => join(folder.path, `${socket}.sock`);
  const child = spawnIn(folder.path, socketOf);
  killOnExit(child);
  const stop = async (): Promise<void> => {
    await endProcess(child);
    folder.remove();
  };
  try {
    await untilListening(name, child, sockets.map(socketOf));
  } catch (error) {
    await stop();
    throw error;
  }
  return { socketOf, stop };
}
