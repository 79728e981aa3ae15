/** python3-h2 as a client and as a server that acts plans out: `python-peer.py` in a process, told what to do in lines of JSON. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { FieldLine } from '@ferrata/testkit';
import type { PeerProgram } from '@ferrata/tools/peers';
import type { PlanClient } from '../http1-peers/client.ts';
import { inTime } from '../http1-peers/deadline.ts';
import type { Ledger, SeenResponse } from '../http1-peers/ledger.ts';
import type { PlanServer } from '../http1-peers/node-server.ts';
import { bodyBytes, isBodyless, type Plan, pieces } from '../http1-peers/plan.ts';
import { killOnExit } from '../rig/clean-up.ts';
import { endProcess } from '../rig/peer-process.ts';
import { lowerCase, pseudoOf, requestFieldLines, responseFieldLines, withoutPseudo } from './field-lines.ts';

/** Debian's own interpreter: another one on PATH does not see Debian's packages. */
const PYTHON = '/usr/bin/python3';

/** What has to be installed. */
export const PYTHON_H2: PeerProgram = {
  command: PYTHON,
  debianPackage: 'python3-h2',
  purpose: 'a client and a server of another making',
  isThere: () => spawnSync(PYTHON, ['-c', 'import h2']).status === 0,
};

/** Python takes its time with large bodies. */
const MAX_BODY_BYTES = 300_000;

/** What a line says; each kind of line has some of it. */
interface Told {
  readonly id?: string;
  readonly port?: number;
  readonly error?: string;
  readonly interim?: readonly (readonly FieldLine[])[];
  readonly lines?: readonly FieldLine[];
  readonly body?: string;
  readonly trailers?: readonly FieldLine[];
}

/** The process: each line that it tells is given to `onLine`. */
class PythonPeer {
  readonly child: ChildProcess;
  #stderr = '';

  constructor(args: readonly string[], onLine: (told: Told) => void) {
    const script = fileURLToPath(new URL('python-peer.py', import.meta.url));
    this.child = spawn(PYTHON, [script, ...args], { stdio: 'pipe' });
    killOnExit(this.child);
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-2_000);
    });
    this.child.stdin?.on('error', () => undefined);
    if (this.child.stdout !== null) createInterface(this.child.stdout).on('line', (line) => onLine(JSON.parse(line) as Told));
    this.child.on('exit', () => onLine({ error: `the process ended: ${this.#stderr.trim()}` }));
    this.child.on('error', (error) => onLine({ error: error.message }));
  }

  say(what: object): void {
    this.child.stdin?.write(`${JSON.stringify(what)}\n`);
  }
}

/** A client made of python3-h2, for one exchange at a time. */
export class PythonClient implements PlanClient {
  static #connections = 0;
  readonly #peer: PythonPeer;
  readonly #connection = ++PythonClient.#connections;
  #settle: (told: Told) => void = () => {};

  constructor(port: number) {
    this.#peer = new PythonPeer(['client', String(port)], (told) => this.#settle(told));
  }

  /** It sends its whole request without a look at what comes back. */
  static canSend({ request, response }: Plan): boolean {
    const isSmall = typeof request.body !== 'number' || request.body <= MAX_BODY_BYTES;
    return (
      isSmall &&
      (typeof response.body !== 'number' || response.body <= MAX_BODY_BYTES) &&
      request.expectation !== 'waits' &&
      response.when === 'whole'
    );
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const { framing, body, pieceBytes, trailers } = one.request;
    const told = await new Promise<Told>((resolve) => {
      this.#settle = resolve;
      this.#peer.say({
        id: token,
        lines: requestFieldLines(one, token),
        pieces: framing === 'none' ? [] : base64Pieces(bodyBytes(body, token, 'request'), pieceBytes),
        trailers: framing === 'chunked' ? lowerCase(trailers) : [],
        ends: framing === 'none',
      });
    });
    if (told.error !== undefined) throw new Error(`python3-h2: ${told.error}`);
    const lines = told.lines ?? [];
    return {
      interim: (told.interim ?? []).map((interim) => ({ status: Number(pseudoOf(interim, ':status')), fields: withoutPseudo(interim) })),
      status: Number(pseudoOf(lines, ':status')),
      reason: '',
      fields: withoutPseudo(lines),
      body: Buffer.from(told.body ?? '', 'base64'),
      trailers: told.trailers ?? [],
      connection: this.#connection,
    };
  }

  async close(): Promise<void> {
    await endProcess(this.#peer.child);
  }
}

/** Whether the server can act a plan out: it answers requests that are whole. */
export function canPythonAnswer(one: Plan): boolean {
  return PythonClient.canSend(one);
}

/** Starts a server made of python3-h2. */
export async function startPythonServer(ledger: Ledger): Promise<PlanServer> {
  const listening = Promise.withResolvers<number>();
  let isClosing = false;
  const peer = new PythonPeer(['server'], (told) => {
    if (told.port !== undefined) listening.resolve(told.port);
    else if (told.error === undefined) answer(ledger, peer, told);
    else if (!isClosing) {
      listening.reject(new Error(told.error));
      ledger.noteFault(`python3-h2: ${told.error}`);
    }
  });
  const port = await inTime('the port of python3-h2', listening.promise);
  return {
    port,
    close: async () => {
      isClosing = true;
      await endProcess(peer.child);
    },
  };
}

function answer(ledger: Ledger, peer: PythonPeer, { id, lines = [], body = '', trailers = [] }: Told): void {
  const [method, target] = [pseudoOf(lines, ':method'), pseudoOf(lines, ':path')];
  const entry = ledger.take(method, target, lines);
  if (entry === null) {
    peer.say({ id, interim: [], lines: [[':status', '599']], pieces: [], trailers: [], ends: true });
    return;
  }
  const { plan: one, token } = entry;
  entry.see({ method, target, minorVersion: 1, fields: withoutPseudo(lines), body: Buffer.from(body, 'base64'), trailers });
  const { response } = one;
  const ends = isBodyless(one);
  peer.say({
    id,
    interim: response.interim.map(({ status, fields }) => [[':status', String(status)], ...lowerCase(fields)]),
    lines: lowerCase(responseFieldLines(one, token)),
    pieces: ends ? [] : base64Pieces(bodyBytes(response.body, token, 'response'), response.pieceBytes),
    trailers: response.framing === 'chunked' && !ends ? lowerCase(response.trailers) : [],
    ends,
  });
}

function base64Pieces(bytes: Uint8Array, pieceBytes: number): readonly string[] {
  return pieces(bytes, pieceBytes).map((piece) => Buffer.from(piece).toString('base64'));
}
