/**
 * Spawning a generation: the same program, with the same arguments, as a child that serves.
 *
 * It gets the terminal's streams as they are, the descriptors of the sockets behind them, and a channel for messages. It stays in the process group of its
 * keeper, so that whoever ends the whole group ends it too; signals that reach it that way it ignores.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { textOf } from '@ferrata/error';
import { currentEnvironment, type Environment } from '../environment.ts';
import { GENERATION_VARIABLE, OPTIONS_VARIABLE } from '../role.ts';
import type { GenerationMessage, KeeperMessage } from './generation-messages.ts';
import { isGenerationMessage } from './message-check.ts';

/** How a process ended: with a code or by a signal, or it never began, and `why` says so. */
export interface ProcessEnd {
  readonly code: number | null;
  readonly signal: string | null;
  readonly why: string | null;
}

/** Hears of a process. Nothing comes after `onEnd`. */
export interface ProcessWatcher {
  onMessage(message: GenerationMessage): void;
  onEnd(end: ProcessEnd): void;
}

/** A process that was spawned. */
export interface GenerationProcess {
  /** Null: it could not be spawned. */
  readonly pid: number | null;
  /** A message to a process that has gone is dropped: its end is told by itself. */
  send(message: KeeperMessage): void;
  /** SIGKILL. */
  kill(): void;
}

/** The program to run again. */
export interface Program {
  readonly execPath: string;
  readonly execArgv: readonly string[];
  /** The script and its arguments. */
  readonly argv: readonly string[];
  readonly env: Environment;
  /** Where the process was started: relative paths in Node's own options mean that place. */
  readonly directory: string;
}

/** This process's own program. @throws {TypeError} if there is none that could be run again: it was typed in, or came from standard input */
export function ownProgram(directory: string): Program {
  const [, script, ...args] = process.argv;
  // `-` is standard input, which nobody can read a second time.
  if (script === undefined || script === '-' || process.execArgv.some((option) => /^(?:-e|-p|-pe|--eval|--print)(?:=|$)/.test(option))) {
    throw new TypeError('a server must be a program in a file: it is run again by each of its processes and threads');
  }
  return {
    execPath: process.execPath,
    execArgv: withoutDebugging(process.execArgv),
    argv: [script, ...args],
    env: generationEnvironment(currentEnvironment()),
    directory,
  };
}

/** What belongs to one process alone: a port of the debugger, the runs of Node's test runner and of its file watcher. */
const ownOptions = /^--(?:inspect|debug-port|test|watch|experimental-test)(?:[-=].*)?$/;

/** Node's options without those that are for one process alone. */
export function withoutDebugging(execArgv: readonly string[]): string[] {
  const kept: string[] = [];
  let isDropping = false;
  for (const argument of execArgv) {
    // What has no dash is the value of the option before it: `--watch-path src`.
    if (argument.startsWith('-')) isDropping = ownOptions.test(argument);
    if (!isDropping) kept.push(argument);
  }
  return kept;
}

/** What a generation is not to know: it would talk to systemd in the keeper's name, or take sockets that are not its own. */
const keeperVariables = /^(?:NOTIFY_SOCKET|WATCHDOG_(?:PID|USEC)|LISTEN_(?:PID|FDS|FDNAMES)|NODE_CHANNEL_.*|NODE_UNIQUE_ID)$/;

/** The environment of a generation. */
export function generationEnvironment(env: Environment): Environment {
  const kept = Object.fromEntries(Object.entries(env).filter(([name]) => !keeperVariables.test(name)));
  const { NODE_OPTIONS: options } = kept;
  if (options?.includes('--inspect') !== true) return kept;
  return { ...kept, NODE_OPTIONS: withoutDebugging(options.split(/\s+/)).join(' ') };
}

/** What a generation is born with. */
export interface Birth {
  readonly generation: number;
  /** See `Role`. */
  readonly keptOptions: string | null;
  /** The keeper's descriptors that the child gets from place 3 on. */
  readonly stdio: readonly number[];
}

/** Spawns a generation. */
export function spawnGeneration(program: Program, { generation, keptOptions, stdio }: Birth, watcher: ProcessWatcher): GenerationProcess {
  let child: ChildProcess;
  try {
    // A child with so many descriptors cannot say that there is nothing to execute: libuv lays one of them over the pipe that would tell, and it ends with code 127.
    accessSync(program.execPath, constants.X_OK);
    child = spawn(program.execPath, [...program.execArgv, ...program.argv], {
      ...(canEnter(program.directory) ? { cwd: program.directory } : null),
      env: {
        ...program.env,
        [GENERATION_VARIABLE]: String(generation),
        ...(keptOptions === null ? null : { [OPTIONS_VARIABLE]: keptOptions }),
      },
      stdio: ['inherit', 'inherit', 'inherit', ...stdio, 'ipc'],
      // As JSON the bytes of a configuration would become an object with a name for each.
      serialization: 'advanced',
    });
  } catch (thrown) {
    // E2BIG, EMFILE and the like come at once; nothing must end before the caller has the process in hand.
    queueMicrotask(() => watcher.onEnd({ code: null, signal: null, why: textOf(thrown) }));
    return { pid: null, send: () => {}, kill: () => {} };
  }
  return new SpawnedGeneration(child, watcher);
}

/** One that a deployment has removed meanwhile, or that is closed to the user whom this process has become, would fail the spawn. */
function canEnter(directory: string): boolean {
  try {
    accessSync(directory, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** How long after the exit of a process its last messages are waited for. */
const LAST_MESSAGES_MS = 1_000;

class SpawnedGeneration implements GenerationProcess {
  readonly #child: ChildProcess;
  #hasEnded = false;

  constructor(child: ChildProcess, watcher: ProcessWatcher) {
    this.#child = child;
    let late: NodeJS.Timeout | undefined;
    const end = (code: number | null, signal: string | null, why: string | null): void => {
      // Left to itself it would keep this process for its time.
      clearTimeout(late);
      if (this.#hasEnded) return;
      this.#hasEnded = true;
      watcher.onEnd({ code, signal, why });
    };
    child.on('message', (message: unknown) => {
      // The program may send messages of its own over the channel, of any shape.
      if (!this.#hasEnded && isGenerationMessage(message)) watcher.onMessage(message);
    });
    // Its last messages may be read after its exit is known; `close` comes when the channel has ended, too. Should a descendant keep that open, it never does.
    child.on('exit', (code, signal) => {
      late = setTimeout(end, LAST_MESSAGES_MS, code, signal, null);
    });
    child.on('close', (code, signal) => end(code, signal, null));
    child.on('error', (error) => {
      // Only that of spawning ends it. Others are of a message or of `kill`, and the end of the process comes by itself.
      if (child.pid === undefined) end(null, null, error.message);
    });
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  send(message: KeeperMessage): void {
    if (!this.#child.connected) return;
    this.#child.send(message, () => {
      // EPIPE: it is on its way out.
    });
  }

  kill(): void {
    if (!this.#hasEnded) this.#child.kill('SIGKILL');
  }
}

/** How a process ended, as the end of a sentence: `was ended by SIGSEGV`. */
export function describeEnd({ code, signal, why }: ProcessEnd): string {
  if (why !== null) return `could not be spawned (${why})`;
  return signal === null ? `ended with code ${code ?? 'unknown'}` : `was ended by ${signal}`;
}
