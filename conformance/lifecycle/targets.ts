/**
 * The servers that every scenario runs on: `examples/echo-server`, and `ferrata reverse` in front of one.
 *
 * Ports are the kernel's choice; sockets outlive generations, so they stay what they were at the start.
 */
import { chmodSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Accepted } from './culprits.ts';
import type { LoadTarget } from './load.ts';
import { ServerProcess, type ServerStart } from './server-process.ts';

/** Names of the servers. */
export type TargetName = 'echo-server' | 'reverse';

const ECHO_PROGRAM = fileURLToPath(new URL('../../examples/echo-server/server.ts', import.meta.url));
const FERRATA_PROGRAM = fileURLToPath(new URL('../../packages/ferrata/src/main.ts', import.meta.url));
const SABOTEUR = new URL('saboteur.ts', import.meta.url).href;

/** A certificate for `localhost`, in files, and who stands for it. */
export interface Certificates {
  readonly ca: string;
  readonly file: string;
  readonly keyFile: string;
  /** It has expired a day ago. */
  readonly expired: { readonly certificateFile: string; readonly keyFile: string };
  /** Of another certificate. */
  readonly otherKeyFile: string;
  /** Two that clients take, each with its key in one text: they can take each other's place in one step. */
  readonly pairs: readonly [string, string];
}

/** How a server is to be started. Times in ms. */
export interface TargetOptions {
  readonly threads?: number;
  readonly graceMs?: number;
  readonly upgradeGraceMs?: number;
  readonly readyTimeoutMs?: number;
  readonly preStopDelayMs?: number;
  readonly pidFile?: string;
  readonly maxOldGenerationMb?: number;
  /** Fields of the echo server's own configuration. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Stands in the file instead of `config`. */
  readonly rawConfig?: string;
  /** Only looks at the configuration (`--test`). */
  readonly isTest?: boolean;
  /** Any user may read and write in the folder of the server. */
  readonly isOpenToAll?: boolean;
  /** The proxy tells of each request. */
  readonly hasAccessLog?: boolean;
  /** Its workers note which connections they accept: `Target.accepted`. */
  readonly tellsAccepted?: boolean;
  /** Passed on to the process. */
  readonly process?: Partial<Pick<ServerStart, 'env' | 'descriptors' | 'stdout' | 'cwd' | 'readyLine'>>;
  /** Started by this program, which gets ours behind its own arguments. */
  readonly wrapper?: readonly [command: string, ...args: string[]];
}

/** A server that runs, and where its clients find it. */
export class Target {
  readonly name: TargetName;
  readonly server: ServerProcess;
  readonly folder: string;
  readonly load: LoadTarget;
  #config: Record<string, unknown>;
  readonly #pairs: Certificates['pairs'];

  constructor(parts: {
    readonly name: TargetName;
    readonly server: ServerProcess;
    readonly folder: string;
    readonly load: LoadTarget;
    readonly config: Record<string, unknown>;
    readonly pairs: Certificates['pairs'];
  }) {
    this.name = parts.name;
    this.server = parts.server;
    this.folder = parts.folder;
    this.load = parts.load;
    this.#config = parts.config;
    this.#pairs = parts.pairs;
  }

  /** Where the configuration of the services stands; of the proxy, what can change of it: its certificate. */
  get configFile(): string {
    return join(this.folder, this.name === 'echo-server' ? 'echo.json' : 'reverse.pem');
  }

  /** Where the options of the server stand that may differ in the next process. */
  get optionsFile(): string {
    return join(this.folder, 'server.yaml');
  }

  /** Writes the configuration with some fields changed, in one step: it is never seen half. */
  configure(change: Readonly<Record<string, unknown>>): void {
    this.#config = { ...this.#config, ...change };
    this.writeConfig(JSON.stringify(this.#config));
  }

  /** Writes a configuration that is another one than that of the number before: a message, or the other certificate. */
  configureNumber(number: number): void {
    if (this.name === 'echo-server') this.configure({ message: `m${number}` });
    else this.writeConfig(this.#pairs[number % 2 === 0 ? 0 : 1]);
  }

  /** Writes whatever there is to be read instead. */
  writeConfig(text: string | Uint8Array): void {
    const next = `${this.configFile}.next`;
    writeFileSync(next, text);
    rmSync(this.configFile, { recursive: true, force: true });
    renameSync(next, this.configFile);
  }

  /** Writes the configuration that was last meant to be right. */
  restoreConfig(): void {
    this.configure({});
  }

  /** Has one worker, whichever comes first, do something to itself; see `saboteur.ts`. */
  sabotageWorker(order: string): void {
    const next = join(this.folder, 'next-order');
    writeFileSync(next, order);
    renameSync(next, join(this.folder, 'worker'));
  }

  /** Ends what `block` and `fill` do, for good. */
  releaseWorkers(): void {
    writeFileSync(join(this.folder, 'release'), '');
  }

  /** Has all threads collect their garbage. @returns bytes of heap of each, by pid and worker; worker 0 is the main thread */
  async measureHeaps(text: string): Promise<readonly { readonly pid: number; readonly worker: number; readonly bytes: number }[]> {
    const threads = (): readonly { readonly pid: number; readonly worker: number; readonly bytes: number }[] =>
      linesOf(join(this.folder, 'measured'))
        .map((line) => line.split(' '))
        .filter(([of]) => of === text)
        .map(([, pid, worker, bytes]) => ({ pid: Number(pid), worker: Number(worker), bytes: Number(bytes) }));
    writeFileSync(join(this.folder, 'measure'), text);
    const pids = [this.server.pid, ...this.server.descendants()];
    const { value } = await this.server.admin('GET', '/workers');
    const expected = pids.length + (value['workers'] as readonly unknown[]).length;
    await this.server.until(() => threads().length >= expected, 30_000);
    // Threads that begin later are not asked.
    rmSync(join(this.folder, 'measure'));
    return threads();
  }

  /** Has processes that begin from now on do something to themselves; null: no more. */
  sabotageStart(order: 'crash' | 'segv' | 'hang' | null): void {
    const file = join(this.folder, 'start');
    if (order === null) rmSync(file, { force: true });
    else writeFileSync(file, order);
  }

  /** The threads that have taken an order, as `PID.WORKER.THREAD`. */
  sabotaged(): readonly string[] {
    return this.#done().map(([by = '']) => by);
  }

  /** When a thread took its order, in monotonic milliseconds; null: it has had none. */
  sabotagedAt(by: string): number | null {
    const line = this.#done().find(([of]) => of === by);
    return line === undefined ? null : Number(line[1]);
  }

  /** The connections that its workers have accepted, if they note them. */
  accepted(): readonly Accepted[] {
    return linesOf(join(this.folder, 'accepted')).map((line) => {
      const [ports = '', by = '', at] = line.split(' ');
      return { ports, by, at: Number(at) };
    });
  }

  #done(): readonly (readonly string[])[] {
    return linesOf(join(this.folder, 'done')).map((line) => line.split(' '));
  }

  /** Ends it in order. @returns what was wrong with that */
  async stop(ms?: number): Promise<string | null> {
    return await this.server.stop(ms);
  }

  async kill(): Promise<void> {
    await this.server.kill();
  }
}

/** Starts servers in a folder of their own each. */
export class TargetRig {
  /** All of theirs are in it. */
  readonly folder: string;
  readonly certificates: Certificates;
  #count = 0;
  #origin: Promise<Target> | null = null;

  constructor(folder: string, certificates: Certificates) {
    this.folder = folder;
    this.certificates = certificates;
  }

  async start(name: TargetName, options: TargetOptions = {}): Promise<Target> {
    return name === 'echo-server' ? await this.startEcho(options) : await this.startReverse(options);
  }

  /** Ends what is shared by all. */
  async close(): Promise<void> {
    const origin = await this.#origin?.catch(() => null);
    await origin?.kill();
  }

  async startEcho(options: TargetOptions = {}): Promise<Target> {
    const folder = this.#newFolder(options);
    const { ca, file, keyFile } = this.certificates;
    const config: Record<string, unknown> = {
      message: 'm1',
      http: ['127.0.0.1:0', `unix:${join(folder, 'http.sock')}`],
      https: ['127.0.0.1:0'],
      certificate: { certificateFile: file, keyFile },
      tcp: ['127.0.0.1:0'],
      udp: ['127.0.0.1:0'],
      faults: true,
      ...options.config,
    };
    writeFileSync(join(folder, 'echo.json'), options.rawConfig ?? JSON.stringify(config));
    if (options.isOpenToAll === true) chmodSync(folder, 0o777);
    writeOptions(folder, options);
    const args = [
      ECHO_PROGRAM,
      join(folder, 'echo.json'),
      '--conf',
      join(folder, 'server.yaml'),
      ...(options.isTest === true ? ['--test'] : []),
    ];
    // The last of its listeners, as long as a scenario leaves it that one.
    const server = await ServerProcess.start({ readyLine: /^ready \S+ udp$/m, ...startOf(folder, args, options) });
    const port = (service: string): number | null => {
      const found = new RegExp(`^ready 127\\.0\\.0\\.1:(\\d+) ${service}$`, 'm').exec(server.output)?.[1];
      return found === undefined ? null : Number(found);
    };
    const [http, https] = [port('http'), port('https')];
    return new Target({
      name: 'echo-server',
      server,
      folder,
      load: {
        http: { port: http ?? 0 },
        https: https === null ? null : { port: https, ca },
        unix: { path: join(folder, 'http.sock') },
        tcp: port('tcp'),
        udp: port('udp'),
      },
      config,
      pairs: this.certificates.pairs,
    });
  }

  async startReverse(options: TargetOptions = {}): Promise<Target> {
    // One for all of them: it is not what is tried.
    this.#origin ??= this.startEcho({ threads: 1 });
    const origin = await this.#origin;
    const folder = this.#newFolder(options);
    const { ca, pairs } = this.certificates;
    const pem = join(folder, 'reverse.pem');
    writeFileSync(pem, pairs[1]);
    const to = 'port' in origin.load.http ? origin.load.http.port : 0;
    const args = [
      FERRATA_PROGRAM,
      'reverse',
      '--listen',
      'http://127.0.0.1:0',
      '--listen',
      'https://127.0.0.1:0',
      '--listen',
      `http://unix:${join(folder, 'http.sock')}`,
      '--cert',
      pem,
      '--key',
      pem,
      '--to',
      `http://127.0.0.1:${to}`,
      '--threads',
      String(options.threads ?? 2),
      '--grace',
      `${options.graceMs ?? 20_000}ms`,
      '--admin',
      `unix:${join(folder, 'admin.sock')}`,
      ...(options.hasAccessLog === true ? ['--access-log'] : []),
    ];
    const server = await ServerProcess.start({ ...startOf(folder, args, options), readyLine: /^ready http:\/\/unix:/m });
    const port = (scheme: string): number =>
      Number(new RegExp(`^ready ${scheme}://127\\.0\\.0\\.1:(\\d+)`, 'm').exec(server.output)?.[1] ?? 0);
    return new Target({
      name: 'reverse',
      server,
      folder,
      load: {
        http: { port: port('http') },
        https: { port: port('https'), ca },
        unix: { path: join(folder, 'http.sock') },
        tcp: null,
        udp: null,
      },
      config: {},
      pairs,
    });
  }

  #newFolder({ tellsAccepted = false }: TargetOptions): string {
    const folder = join(this.folder, String(++this.#count));
    mkdirSync(folder);
    if (tellsAccepted) writeFileSync(join(folder, 'accepted'), '');
    return folder;
  }
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    return [];
  }
}

/** Writes the options of a server that are no arguments. */
export function writeOptions(folder: string, options: TargetOptions): void {
  const { threads = 2, graceMs = 20_000, upgradeGraceMs, readyTimeoutMs, preStopDelayMs, pidFile, maxOldGenerationMb } = options;
  const seconds = (key: string, ms: number | undefined): string => (ms === undefined ? '' : `${key}: ${ms / 1000}`);
  const lines = [
    'version: 1',
    `threads: ${threads}`,
    seconds('grace_period_seconds', graceMs),
    seconds('upgrade_grace_seconds', upgradeGraceMs),
    seconds('ready_timeout_seconds', readyTimeoutMs),
    seconds('pre_stop_delay_seconds', preStopDelayMs),
    pidFile === undefined ? '' : `pid_file: ${pidFile}`,
    maxOldGenerationMb === undefined ? '' : `workers:\n  max_old_generation_mb: ${maxOldGenerationMb}`,
    `admin: ${JSON.stringify(`unix:${join(folder, 'admin.sock')}`)}`,
  ];
  writeFileSync(join(folder, 'server.yaml'), `${lines.filter((line) => line !== '').join('\n')}\n`);
}

function startOf(folder: string, args: readonly string[], { process: more = {}, wrapper }: TargetOptions): ServerStart {
  const [command, ...before] = wrapper ?? [process.execPath];
  return {
    ...more,
    command,
    args: [...before, ...(wrapper === undefined ? [] : [process.execPath]), ...args],
    admin: join(folder, 'admin.sock'),
    // All run the same modules: compiled once, they start in half the time.
    env: {
      NODE_COMPILE_CACHE: join(dirname(folder), 'compiled'),
      LIFECYCLE_SABOTAGE: folder,
      NODE_OPTIONS: `--import=${SABOTEUR}`,
      ...more.env,
    },
  };
}
