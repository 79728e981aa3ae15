/**
 * What a worker whose event loop stands still is doing: its JavaScript stack, taken from outside.
 *
 * Node's inspector reaches the workers of a process from its main thread (domain `NodeWorker`), and interrupts even an endless loop, as terminating does. Nothing
 * listens on a port for it.
 *
 * ```
 *  NodeWorker.enable → attachedToWorker (one for each worker) → Debugger.enable, Debugger.pause → paused {callFrames} → detach: the worker runs on
 * ```
 * A worker that waits in native code (`Atomics.wait`, a synchronous child process) has no answer: then there is none, after a bounded time.
 */
import type { Clock } from '@ferrata/clock';

/** Frames told of at most; the innermost come first. */
const MAX_FRAMES = 6;

/** Of all the scripts of a worker, so many names are kept: a worker that makes scripts without end costs nothing here. */
const MAX_SCRIPTS = 10_000;

/** For a worker to confirm that its debugger is off. One that is paused by a debugger could neither run on nor be ended. */
const RESUME_LIMIT_MS = 1_000;

interface InspectorSession {
  connect(): void;
  disconnect(): void;
  post(method: string, params: object, callback: (error: Error | null) => void): void;
  on(event: string, listener: (message: { readonly params: unknown }) => void): unknown;
}

interface AttachedWorker {
  readonly sessionId: string;
  /** `workerId` counts the workers that this session has met; the number of the thread stands in the title only: `[worker 7] name`. */
  readonly workerInfo: { readonly title: string };
}

interface CallFrame {
  readonly functionName: string;
  readonly url: string;
  readonly location: { readonly scriptId: string; readonly lineNumber: number; readonly columnNumber?: number };
}

/**
 * Says where a worker stands: `spin (/srv/app.ts:12:5) ← handle (/srv/app.ts:40:3)`.
 *
 * The worker is paused for some milliseconds and runs on. Don't call it for one worker while a call for the same is under way.
 *
 * @param threadId Node's number of the thread
 * @param limitMs after which there is no answer
 * @returns null when there is none: native code, a Node without inspector, a worker that has just ended
 */
export async function reportHang(threadId: number, clock: Clock, limitMs = 2_000): Promise<string | null> {
  let session: InspectorSession;
  try {
    const { Session } = await import('node:inspector');
    session = new Session();
    session.connect();
  } catch {
    // A Node that was built without it, or whose permissions leave it out.
    return null;
  }
  const inspection = new Inspection(session, threadId);
  try {
    return await within(clock, limitMs, inspection.frames);
  } finally {
    // Whatever came of it: nobody may stay paused. A pause that was asked for and has not come yet is taken back, too.
    await within(clock, RESUME_LIMIT_MS, inspection.resume());
    session.disconnect();
  }
}

/** The debugger of one worker, seen through a session of the main thread. */
class Inspection {
  readonly #session: InspectorSession;
  readonly #title: string;
  readonly #frames = Promise.withResolvers<string | null>();
  readonly #resumed = Promise.withResolvers<null>();
  readonly #scripts = new Map<string, string>();
  #worker: string | null = null;
  #isOver = false;

  constructor(session: InspectorSession, threadId: number) {
    this.#session = session;
    this.#title = `[worker ${threadId}]`;
    session.on('NodeWorker.attachedToWorker', ({ params }) => this.#handleAttached(params as AttachedWorker));
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      const { sessionId, message } = params as { readonly sessionId: string; readonly message: string };
      if (sessionId === this.#worker) this.#handleMessage(JSON.parse(message) as WorkerDebuggerMessage);
    });
    session.on('NodeWorker.detachedFromWorker', ({ params }) => {
      if ((params as AttachedWorker).sessionId === this.#worker) this.#giveUp();
    });
    this.#post('NodeWorker.enable', { waitForDebuggerOnStart: false });
  }

  /** Where it stands. */
  get frames(): Promise<string | null> {
    return this.#frames.promise;
  }

  /** Has it run on. */
  resume(): Promise<null> {
    this.#isOver = true;
    if (this.#worker === null) return Promise.resolve(null);
    this.#send(3, 'Debugger.disable');
    return this.#resumed.promise;
  }

  #handleAttached({ sessionId, workerInfo }: AttachedWorker): void {
    // Once it is over, nobody would take a pause back.
    if (this.#isOver || this.#worker !== null || !workerInfo.title.startsWith(this.#title)) return;
    this.#worker = sessionId;
    this.#send(1, 'Debugger.enable');
    this.#send(2, 'Debugger.pause');
  }

  #handleMessage({ id, method, params }: WorkerDebuggerMessage): void {
    if (method === 'Debugger.scriptParsed') {
      const { scriptId, url } = params as { readonly scriptId: string; readonly url: string };
      if (this.#scripts.size < MAX_SCRIPTS) this.#scripts.set(scriptId, url);
    } else if (method === 'Debugger.paused') {
      this.#frames.resolve(describe((params as { readonly callFrames: readonly CallFrame[] }).callFrames, this.#scripts));
    } else if (id === 3) {
      this.#resumed.resolve(null);
    }
  }

  #send(id: number, method: string): void {
    this.#post('NodeWorker.sendMessageToWorker', { sessionId: this.#worker, message: JSON.stringify({ id, method }) });
  }

  #post(method: string, params: object): void {
    try {
      this.#session.post(method, params, (error) => {
        if (error !== null) this.#giveUp();
      });
    } catch {
      this.#giveUp();
    }
  }

  #giveUp(): void {
    this.#frames.resolve(null);
    this.#resumed.resolve(null);
  }
}

interface WorkerDebuggerMessage {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
}

/** @returns null if it does not settle in time */
function within<T>(clock: Clock, limitMs: number, answer: Promise<T | null>): Promise<T | null> {
  return new Promise((resolve) => {
    const timeout = clock.schedule(limitMs, () => resolve(null));
    void answer.then((value) => {
      timeout.cancel();
      resolve(value);
    });
  });
}

function describe(frames: readonly CallFrame[], scripts: ReadonlyMap<string, string>): string | null {
  const lines = frames.map(({ functionName, url, location }) => {
    const script = (url === '' ? scripts.get(location.scriptId) : url) ?? '';
    // The inspector counts lines and columns from 0.
    const place = `${script.replace(/^file:\/\//, '')}:${location.lineNumber + 1}:${(location.columnNumber ?? 0) + 1}`;
    return { isNode: script.startsWith('node:'), text: `${functionName === '' ? '(anonymous)' : functionName} (${place})` };
  });
  // Node's own timers and emitters below the program's functions say nothing, unless there is nothing else.
  const own = lines.filter(({ isNode }) => !isNode);
  const told = (own.length === 0 ? lines : own).slice(0, MAX_FRAMES).map(({ text }) => text);
  return told.length === 0 ? null : told.join(' ← ');
}
