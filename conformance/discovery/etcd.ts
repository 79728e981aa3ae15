/** A real etcd, one member, on ports of loopback that were free a moment ago; and its own gateway, to change what stands in it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { PeerProgram } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { endProcess } from '../rig/peer-process.ts';

/** For `providePrograms`. */
export const ETCD: PeerProgram = { command: 'etcd', debianPackage: 'etcd-server', purpose: 'the registry that etcdDiscovery reads' };

const START_TIMEOUT_MS = 15_000;
const POLL_MS = 50;

/** An etcd that may be stopped and started again, with its data or without. */
export class RealEtcd {
  readonly #folder = new TemporaryFolder('ferrata-etcd-');
  readonly #clientPort: number;
  readonly #peerPort: number;
  #child: ChildProcess | null = null;
  #life = 0;
  /** Sent with each request, once there is one. */
  token: string | null = null;

  private constructor([clientPort, peerPort]: readonly [number, number]) {
    this.#clientPort = clientPort;
    this.#peerPort = peerPort;
  }

  /** Makes one, and starts it. @throws {Error} with its last words when it does not come up */
  static async start(): Promise<RealEtcd> {
    const etcd = new RealEtcd([await freePort(), await freePort()]);
    await etcd.start();
    return etcd;
  }

  get address(): string {
    return `127.0.0.1:${this.#clientPort}`;
  }

  async start(): Promise<void> {
    const [client, peer] = [`http://127.0.0.1:${this.#clientPort}`, `http://127.0.0.1:${this.#peerPort}`];
    const args = ['--name', 'one', '--data-dir', `${this.#folder.path}/data-${this.#life}`, '--logger', 'zap', '--log-level', 'error'];
    args.push('--listen-client-urls', client, '--advertise-client-urls', client);
    args.push('--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`);
    const child = spawn('etcd', args, { stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child = child;
    killOnExit(child);
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-2_000);
    });
    const deadline = performance.now() + START_TIMEOUT_MS;
    for (;;) {
      const isUp = await this.ask('/v3/maintenance/status', {}).then(
        // With authentication on it does not tell its status to everybody, but it answers.
        ({ status }) => status === 200 || status === 400 || status === 401,
        () => false,
      );
      if (isUp) return;
      if (child.exitCode !== null || performance.now() > deadline) throw new Error(`etcd did not come up: ${said.trim()}`);
      await delay(POLL_MS);
    }
  }

  /** Ends it at once, as a crash does. What it has acknowledged it has on disk. */
  async kill(): Promise<void> {
    if (this.#child !== null) await endProcess(this.#child);
    this.#child = null;
  }

  /** Ends it in order, as an operator does. */
  async terminate(): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    this.#child = null;
  }

  /** The next start finds an empty folder. */
  forgetEverything(): void {
    this.#life++;
  }

  /** Ends it for good. */
  async close(): Promise<void> {
    await this.kill();
    this.#folder.remove();
  }

  async put(key: string, value: string): Promise<void> {
    await this.must('/v3/kv/put', { key: base64(key), value: base64(value) });
  }

  async delete(key: string): Promise<void> {
    await this.must('/v3/kv/deleterange', { key: base64(key) });
  }

  /** Forgets all history before now. */
  async compact(): Promise<void> {
    const { header } = (await this.must('/v3/kv/range', { key: base64('x') })) as { header: { revision: string } };
    await this.must('/v3/kv/compaction', { revision: header.revision, physical: true });
  }

  /** Asks its gateway. @throws {Error} for anything but 200 */
  async must(path: string, question: object): Promise<unknown> {
    const { status, text } = await this.ask(path, question);
    if (status !== 200) throw new Error(`etcd answered ${status} to ${path}: ${text}`);
    return JSON.parse(text);
  }

  async ask(path: string, question: object): Promise<{ readonly status: number; readonly text: string }> {
    const headers = this.token === null ? {} : { Authorization: this.token };
    const options = { host: '127.0.0.1', port: this.#clientPort, path, method: 'POST', headers, agent: false, timeout: 5_000 };
    return await new Promise((resolve, reject) => {
      const asked = request(options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
        response.on('error', reject);
      });
      asked.on('timeout', () => asked.destroy(new Error('etcd did not answer')));
      asked.on('error', reject);
      asked.end(JSON.stringify(question));
    });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
