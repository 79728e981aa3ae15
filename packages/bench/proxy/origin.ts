/**
 * The origin of all benches: nginx, one process, answering from memory (`return 200`) for small bodies and from files for larger ones.
 * It never closes a connection by itself, so a proxy that pools has every chance to.
 */

import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort, untilAccepting } from './ports.ts';
import type { ProcessGroup, RunningProcess } from './processes.ts';
import type { NamedSize } from './sizes.ts';

/** Bodies up to here stand in nginx's configuration; nginx limits one parameter to about 4 KiB. */
const LARGEST_INLINE_BODY = 1024;
/** Bodies above this are sparse files of zeros, so that a gigabyte costs no disk. */
const LARGEST_WRITTEN_BODY = 2 ** 24;
const BODY_PATTERN = 'the quick brown fox jumps over the lazy dog, and the origin serves it again\n';

/** A running origin. */
export interface Origin {
  /** `http://127.0.0.1:PORT`; the body of a size called `16k` is at `/16k`. */
  readonly url: string;
  /** The process now serving. */
  readonly process: RunningProcess;
  /** Starts it again on the same port, after it was killed. */
  restart(): Promise<void>;
  /** What it has accepted and answered since some moment, this question included: for differences, `countsBetween`. @throws {Error} if it does not answer */
  counts(): Promise<OriginCounts>;
}

/** Counts of an origin. */
export interface OriginCounts {
  readonly connections: number;
  readonly requests: number;
}

/**
 * Starts the origin.
 *
 * @throws {Error} when nginx does not come up.
 */
export async function startOrigin(processes: ProcessGroup, cores: string, sizes: readonly NamedSize[]): Promise<Origin> {
  const folder = processes.makeFolder('origin');
  const port = await findFreePort();
  const configFile = join(folder, 'nginx.conf');
  writeFileSync(configFile, configuration(folder, port, sizes));
  for (const size of sizes) if (size.bytes > LARGEST_INLINE_BODY) writeBody(join(folder, size.name), size.bytes);

  const launch = async (): Promise<RunningProcess> => {
    const args = ['-p', folder, '-c', configFile, '-e', 'stderr'];
    const running = await processes.start({ name: 'origin', command: 'nginx', args, cores });
    await untilAccepting(running, port);
    return running;
  };
  let current = await launch();
  return {
    url: `http://127.0.0.1:${port}`,
    get process() {
      return current;
    },
    async restart() {
      await current.kill();
      current = await launch();
    },
    async counts() {
      const answer = await fetch(`http://127.0.0.1:${port}/status`, { headers: { Connection: 'close' } });
      const text = await answer.text();
      const found = /^ *(\d+) \d+ (\d+) *$/m.exec(text);
      if (found === null) throw new Error(`the origin does not tell what it has counted: ${text}`);
      return { connections: Number(found[1]), requests: Number(found[2]) };
    },
  };
}

/** Returns what came between two questions, the second of which was a connection and a request itself. */
export function countsBetween(before: OriginCounts, after: OriginCounts): OriginCounts {
  return { connections: after.connections - before.connections - 1, requests: after.requests - before.requests - 1 };
}

/** Returns a body of exactly that many bytes. */
function bodyText(bytes: number): string {
  return BODY_PATTERN.repeat(Math.ceil(bytes / BODY_PATTERN.length)).slice(0, bytes);
}

function writeBody(file: string, bytes: number): void {
  writeFileSync(file, bytes <= LARGEST_WRITTEN_BODY ? bodyText(bytes) : '');
  truncateSync(file, bytes);
}

function configuration(folder: string, port: number, sizes: readonly NamedSize[]): string {
  const inline = sizes
    .filter((size) => size.bytes <= LARGEST_INLINE_BODY)
    .map((size) => `    location = /${size.name} { return 200 '${bodyText(size.bytes)}'; }`);
  // master_process off: one process and one pid to kill in the soak, and no change of user, so the temporary folder stays readable.
  return `daemon off;
master_process off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log stderr error;
events { worker_connections 8192; }
http {
  access_log off;
  default_type application/octet-stream;
  sendfile on;
  sendfile_max_chunk 512k;
  tcp_nodelay on;
  open_file_cache max=64 inactive=1h;
  keepalive_requests 1000000000;
  keepalive_timeout 1h;
  ${temporaryPaths(folder)}
  server {
    listen 127.0.0.1:${port} backlog=4096;
    root ${folder};
    location = /status { stub_status; }
${inline.join('\n')}
  }
}
`;
}

/** Returns the lines that keep nginx's working files in a folder of ours. */
export function temporaryPaths(folder: string): string {
  const kinds = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  return kinds.map((kind) => `${kind}_temp_path ${folder}/${kind};`).join('\n  ');
}
