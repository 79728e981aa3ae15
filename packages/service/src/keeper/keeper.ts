/**
 * The keeper's mind: which generation serves, which one is being started, which ones are on their way out, and what each signal, message and death means for them.
 * It touches nothing itself; processes, sockets, time and the service manager are handed in.
 *
 * ```
 *             run                 ready                    SIGTERM, SIGINT          all gone
 *   (waiting) ───► first attempt ──────► serving ───────────────────────► stopping ────────► ended (exit code)
 *                    │ failed             ▲  │ └─ death ─► back-off ─► attempt (again and again; the sockets are kept)
 *                    └──► ended           │  │                            │ ready
 *                             failed:     │  │ upgrade, or reload         ▼
 *                          it goes on     └──┴── attempt ── ready ───► serving; the one before leaves
 * ```
 *
 * - One attempt at a time. An upgrade or a reload that is asked for meanwhile waits; of several, one is done.
 * - At most one generation is `current`. What is neither current nor attempted is leaving, and is killed if it does not leave in its time.
 * - What takes the place of a dead one may be offered the configuration that was last in force; what follows another in order has to do with that on disk.
 * - While nobody serves, a reload or an upgrade that is asked for does not wait for the back-off: whoever asks has mended something.
 * - A socket is let go of when no generation can be accepting on it and no attempt is under way. A server that stops so lets go of all of them before it has drained.
 */
import type { Wakeup } from '@ferrata/clock';
import { textOf, unreachable } from '@ferrata/error';
import { BackOff } from '../back-off.ts';
import { TERMINAL_SIGNALS } from '../role.ts';
import type { SocketSpec } from '../socket-spec.ts';
import type { Attempt, AttemptReason } from './attempt.ts';
import { Departures, KILL_MARGIN_MS } from './departures.ts';
import { type GenerationMessage, PROTOCOL_VERSION, type ReloadOutcome } from './generation-messages.ts';
import { describeEnd, type ProcessEnd, type ProcessWatcher } from './generation-process.ts';
import type { KeeperPorts, KeeperSettings } from './keeper-ports.ts';
import { KeptConfig } from './kept-config.ts';
import { Liveness } from './liveness.ts';
import { isDeaf, isPhase, type Member, newMember } from './member.ts';
import { listOf, nameOf, seconds } from './notice-text.ts';
import type { KeeperSignal } from './signals.ts';

/** How long a generation may take to end that has been told for the second time. */
const HASTY_MARGIN_MS = 1_000;
/** A signal of the terminal reaches all processes; the one to us may come behind the news of what it did to a child. */
const SIGNAL_LAG_MS = 200;
const PING_INTERVAL_MS = 1_000;
const SILENCE_LIMIT_MS = 10_000;
/** Sockets are missing, they are opened, and then others are missing: a configuration that says something else each time. */
const MAX_ROUNDS = 3;
const RESTART_DELAY_MS = { firstMs: 100, maxMs: 10_000 };
/** The same after the death of one that had served: to start takes a while by itself, and nobody serves meanwhile. */
const MAX_DELAY_AFTER_SERVING_MS = 1_000;

/** See the head of this file. */
export class Keeper {
  readonly #settings: KeeperSettings;
  readonly #ports: KeeperPorts;
  readonly #liveness: Liveness;
  readonly #restarts: BackOff;
  readonly #ended = Promise.withResolvers<number>();
  readonly #departures: Departures;
  readonly #lastGood: KeptConfig;
  #current: Member | null = null;
  #attempt: Attempt | null = null;
  #retry: Wakeup | null = null;
  #reload: { readonly id: number; readonly deadline: Wakeup } | null = null;
  #reloads = 0;
  #wantsReload = false;
  #wantedUpgrade: 'upgrade' | 'descriptors' | null = null;
  #ending: { code: number; readonly isOrderly: boolean; signals: number } | null = null;
  #isFinishing = false;
  #generations = 0;
  #threads: number;
  #hasServed = false;

  constructor(settings: KeeperSettings, ports: KeeperPorts) {
    this.#settings = settings;
    this.#ports = ports;
    this.#threads = settings.threads;
    this.#lastGood = new KeptConfig(() => ports.clock.now());
    this.#departures = new Departures(ports.clock, (text) => this.#warn(text));
    this.#restarts = new BackOff({ ...RESTART_DELAY_MS, clock: ports.clock });
    this.#liveness = new Liveness({
      clock: ports.clock,
      pingIntervalMs: PING_INTERVAL_MS,
      silenceLimitMs: SILENCE_LIMIT_MS,
      watchdogMs: ports.manager.watchdogMs,
      ping: (id) => this.#ping(id),
      feedWatchdog: () => (this.#hasServed ? ports.manager.feedWatchdog() : undefined),
      onSilence: (silentMs) =>
        this.#warn(`${this.#nameOfCurrent()} has not answered for ${seconds(silentMs)}: its main thread stands still`),
      onAnswer: (silentMs) => this.#warn(`${this.#nameOfCurrent()} answers again after ${seconds(silentMs)}`),
    });
  }

  /** Whether it has been told to end; before `run`, too. */
  get isEnding(): boolean {
    return this.#ending !== null;
  }

  /** Starts the first generation; the sockets are open. @returns the exit code, when all is over */
  run(): Promise<number> {
    this.#liveness.start();
    if (this.#ending === null) this.#begin('first', []);
    else this.#finishIfDone();
    return this.#ended.promise;
  }

  /** What the operator wants. May come at any time, before `run` too. */
  signal(signal: KeeperSignal): void {
    switch (signal) {
      case 'SIGTERM':
        return this.#stop('terminate', 143);
      case 'SIGINT':
        return this.#stop('fast', 130);
      case 'SIGHUP':
        return this.#tellRefusal(signal, this.#askReload());
      case 'SIGQUIT':
      case 'SIGUSR2':
        return this.#tellRefusal(signal, this.#askUpgrade('upgrade'));
      default:
        return unreachable(signal);
    }
  }

  // ——— starting a generation

  #begin(reason: AttemptReason, specs: readonly SocketSpec[], changes: readonly string[] = []): void {
    const { readyTimeoutMs } = this.#settings;
    const deadline = this.#ports.clock.schedule(readyTimeoutMs, () =>
      this.#giveUp(attempt, `it was not ready within ${seconds(readyTimeoutMs)}`),
    );
    const attempt: Attempt = { reason, changes, deadline, member: null, name: 'a new generation', isReload: this.#wantsReload, rounds: 0 };
    this.#attempt = attempt;
    this.#retry = null;
    // What it reads, it reads from now on: a reload that waits is done by that, and whoever waits for it (`systemctl reload`) is to hear of its beginning, too.
    if (this.#wantsReload && this.#hasServed) this.#ports.manager.reloading('reloading by a new generation');
    if (this.#wantsReload) this.#lastGood.lookAtDisk();
    this.#wantsReload = false;
    this.#current?.process.send({ kind: 'upgrading' });
    void this.#advance(attempt, specs);
  }

  /** Opens what is missing, and spawns. Without anything to open it does so at once. */
  async #advance(attempt: Attempt, specs: readonly SocketSpec[]): Promise<void> {
    if (specs.length > 0) {
      try {
        await this.#ports.sockets.open(specs);
      } catch (thrown) {
        return this.#giveUp(attempt, textOf(thrown));
      }
    }
    if (this.#attempt !== attempt) return this.#releaseUnused();
    const number = ++this.#generations;
    const watcher: ProcessWatcher = {
      onMessage: (message) => this.#receive(member, message),
      onEnd: (end) => this.#handleEnd(member, end),
    };
    const keptOptions = attempt.reason === 'replace' ? this.#lastGood.fileOptions : null;
    const member = newMember(number, this.#ports.spawn(number, this.#threads, keptOptions, watcher));
    attempt.member = member;
    attempt.name = nameOf(member);
    this.#tellPhase(member);
  }

  #receive(member: Member, message: GenerationMessage): void {
    const attempt = this.#attempt?.member === member ? this.#attempt : null;
    switch (message.kind) {
      case 'hello':
        return attempt === null ? undefined : this.#greet(attempt, member, message.protocol);
      case 'need':
        return attempt === null ? undefined : this.#provide(attempt, member, message);
      case 'ready':
        return attempt === null ? undefined : this.#swap(attempt, member, message);
      case 'failed':
        return attempt === null ? undefined : this.#giveUp(attempt, message.why, message.exitCode, KILL_MARGIN_MS);
      case 'reloaded':
        // Also of an answer that comes too late: it is in force.
        if (member === this.#current && message.outcome.kind === 'reloaded') this.#lastGood.keep(message.config, 'reload');
        return this.#handleReloaded(member, message.id, message.outcome);
      case 'pong':
        return member === this.#current ? this.#liveness.answer(message.id) : undefined;
      case 'phase':
        return this.#handlePhase(member, message.phase);
      case 'notice':
        return this.#ports.notify(message.notice);
      case 'ask':
        return this.#handleAsk(member, message.what, message.id);
      case 'stopped':
        if (attempt !== null) return this.#giveUp(attempt, 'it stopped before it was ready', 1, KILL_MARGIN_MS);
        return this.#departures.handleStopped(member, message.cut);
      default:
        return unreachable(message);
    }
  }

  #greet(attempt: Attempt, member: Member, protocol: number): void {
    if (protocol !== PROTOCOL_VERSION) {
      return this.#giveUp(
        attempt,
        `it speaks version ${protocol} of the protocol between processes, and this one ${PROTOCOL_VERSION}: restart the server instead`,
      );
    }
    const lastGood = attempt.reason === 'replace' ? this.#lastGood.offer() : null;
    member.process.send({
      kind: 'start',
      protocol: PROTOCOL_VERSION,
      generation: member.number,
      sockets: member.sockets,
      ...(lastGood === null ? null : { lastGood }),
    });
  }

  #provide(attempt: Attempt, member: Member, { sockets, threads = 0 }: Extract<GenerationMessage, { kind: 'need' }>): void {
    attempt.member = null;
    this.#threads = Math.max(this.#threads, threads);
    this.#departures.dismiss(member, KILL_MARGIN_MS);
    if (++attempt.rounds > MAX_ROUNDS) return this.#giveUp(attempt, 'it needs other sockets each time it is started');
    void this.#advance(attempt, sockets);
  }

  #swap(attempt: Attempt, member: Member, ready: Extract<GenerationMessage, { kind: 'ready' }>): void {
    const { upgradeGraceMs: graceMs, upgradeOverlapMs: delayMs } = this.#settings;
    const before = this.#current;
    attempt.deadline.cancel();
    this.#attempt = null;
    this.#current = member;
    member.keys = new Set(ready.sockets.map(({ key }) => key));
    member.lastingKeys = new Set(ready.sockets.filter(({ isForDraining }) => isForDraining === true).map(({ key }) => key));
    this.#threads = Math.max(this.#settings.threads, ready.threads);
    this.#liveness.forget();
    // It has new ones.
    if (this.#wantedUpgrade === 'descriptors') this.#wantedUpgrade = null;
    if (before !== null) this.#departures.leave(before, { kind: 'stop', why: 'superseded', graceMs, delayMs });
    this.#lastGood.keep(ready.config, attempt.reason);
    this.#lastGood.keepFileOptions(ready.fileOptions);
    this.#tellPhase(member);
    const isFirst = !this.#hasServed;
    this.#hasServed = true;
    this.#ports.manager.ready(`${nameOf(member)} serves`);
    this.#info(`${nameOf(member)} serves${before === null ? '' : `; ${nameOf(before)} has ${seconds(graceMs + delayMs)} to end`}`);
    if (attempt.reason === 'reload') this.#info(`reloaded with other listeners or options${listOf(attempt.changes)}`);
    if (isFirst) this.#ports.onReady();
    for (const text of this.#ports.sockets.mismatches(ready.sockets)) this.#warn(text);
    this.#releaseUnused();
    this.#doWanted();
  }

  /** None came of it. What serves goes on; without anything that serves it is tried again, or was the first and only one. */
  #giveUp(attempt: Attempt, why: string, exitCode = 1, patienceMs = 0): void {
    if (this.#attempt !== attempt) return;
    attempt.deadline.cancel();
    this.#attempt = null;
    if (attempt.member !== null) this.#departures.dismiss(attempt.member, patienceMs);
    if (!this.#hasServed) {
      this.#error(`the server could not start: ${why}`);
      // Codes of the program's own would say something else: 2 is what systemd takes for a reason not to try again.
      this.#ending = { code: exitCode === 2 ? 2 : 1, isOrderly: false, signals: 0 };
      return this.#finishIfDone();
    }
    if (this.#current === null) {
      this.#error(`${attempt.name} could not start: ${why}`);
      this.#lastGood.handleFailedStart(why, attempt.reason);
      // Asked for since it was begun: what it has read was not yet mended.
      return this.#wantsReload || this.#wantedUpgrade === 'upgrade' ? this.#replaceNow() : this.#tryAgain(RESTART_DELAY_MS.maxMs);
    }
    this.#current.process.send({ kind: 'upgradeFailed', why });
    const what = attempt.reason === 'reload' ? 'the reload is refused' : 'the upgrade has failed';
    this.#error(`${what}, and ${nameOf(this.#current)} goes on: ${why}`);
    this.#ports.manager.ready(`${nameOf(this.#current)} serves; ${what}: ${why}`);
    this.#releaseUnused();
    this.#wantsReload ||= attempt.isReload;
    this.#doWanted();
  }

  #tryAgain(maxDelayMs: number): void {
    const delayMs = Math.min(this.#restarts.nextDelayMs(), maxDelayMs);
    this.#ports.manager.status(`no generation serves; the next one starts in ${delayMs} ms`);
    this.#retry = this.#ports.clock.schedule(delayMs, () => this.#begin('replace', []));
  }

  /** Somebody has asked for it, and wants that on disk. */
  #replaceNow(): void {
    this.#retry?.cancel();
    this.#wantedUpgrade = null;
    this.#lastGood.lookAtDisk();
    this.#begin('replace', []);
  }

  // ——— what is asked for while it serves

  #askReload(): string | null {
    if (this.#ending !== null) return 'the server is stopping';
    if (this.#current === null || this.#attempt !== null || this.#reload !== null) this.#wantsReload = true;
    else this.#startReload(this.#current);
    if (this.#retry !== null) this.#replaceNow();
    return null;
  }

  #askUpgrade(what: 'upgrade' | 'descriptors'): string | null {
    if (this.#ending !== null) return 'the server is stopping';
    if (!this.#hasServed) return 'the server is still starting';
    if (this.#retry !== null) this.#replaceNow();
    else if (this.#attempt === null && this.#reload === null) this.#begin(what, []);
    else {
      if (what === 'upgrade') this.#info('a start or a reload is under way; the upgrade follows it');
      // Both are done by the same.
      if (this.#wantedUpgrade !== 'upgrade') this.#wantedUpgrade = what;
    }
    return null;
  }

  #startReload(current: Member): void {
    const id = ++this.#reloads;
    const { readyTimeoutMs } = this.#settings;
    const deadline = this.#ports.clock.schedule(readyTimeoutMs, () => {
      this.#reload = null;
      this.#error(`${nameOf(current)} has not said within ${seconds(readyTimeoutMs)} what became of the reload`);
      this.#ports.manager.ready(`${nameOf(current)} serves; a reload was not answered`);
      this.#doWanted();
    });
    this.#reload = { id, deadline };
    this.#ports.manager.reloading('reloading');
    current.process.send({ kind: 'reload', id });
  }

  #handleReloaded(member: Member, id: number, outcome: ReloadOutcome): void {
    if (member !== this.#current || this.#reload?.id !== id) return;
    this.#forgetReload();
    if (outcome.kind === 'needsGeneration') return this.#begin('reload', outcome.sockets, outcome.changes);
    this.#ports.manager.ready(`${nameOf(member)} serves; the last reload: ${outcome.kind}`);
    switch (outcome.kind) {
      case 'reloaded':
        this.#info(`reloaded, version ${outcome.version}${listOf(outcome.changes)}`);
        break;
      case 'unchanged':
        this.#lastGood.lookAtDisk();
        this.#info(`reloaded: nothing has changed, still version ${outcome.version}`);
        break;
      case 'refused':
        this.#error(`the reload is refused, and nothing has changed: ${outcome.why}`);
        break;
      default:
        outcome satisfies never;
    }
    this.#doWanted();
  }

  #handleAsk(member: Member, what: 'reload' | 'upgrade' | 'drain' | 'descriptors', id: number): void {
    const isDrain = what === 'drain';
    const take = (): string | null => (isDrain ? null : what === 'reload' ? this.#askReload() : this.#askUpgrade(what));
    const refused = member === this.#current ? take() : 'another generation serves';
    member.process.send({ kind: 'answer', id, refused });
    // Drained already or being so: a second one is no reason to hasten.
    if (isDrain && refused === null && this.#ending === null) this.#stop('terminate', 143);
  }

  /** The next thing that waits, if nothing is under way. */
  #doWanted(): void {
    if (this.#ending !== null || this.#attempt !== null || this.#reload !== null || this.#current === null) return;
    const upgrade = this.#wantedUpgrade;
    this.#wantedUpgrade = null;
    if (upgrade !== null) return this.#begin(upgrade, []);
    if (!this.#wantsReload) return;
    this.#wantsReload = false;
    this.#startReload(this.#current);
  }

  #forgetReload(): void {
    this.#reload?.deadline.cancel();
    this.#reload = null;
  }

  // ——— stopping and ending

  #stop(why: 'terminate' | 'fast', codeOfSecond: number): void {
    if (this.#ending !== null) return this.#hasten(this.#ending, codeOfSecond);
    const graceMs = why === 'fast' ? 0 : this.#settings.graceMs;
    const delayMs = why === 'fast' ? 0 : this.#settings.preStopDelayMs;
    this.#ending = { code: 0, isOrderly: true, signals: 1 };
    this.#ports.manager.stopping(why === 'fast' ? 'stopping' : 'stopping when all is done');
    this.#retry?.cancel();
    this.#forgetReload();
    const attempt = this.#attempt;
    this.#attempt = null;
    attempt?.deadline.cancel();
    // Nobody has connected to it yet, or only through what its predecessor serves, too.
    for (const member of this.#departures.members) this.#departures.leave(member, { kind: 'stop', why, graceMs, delayMs: 0 });
    if (attempt?.member) this.#departures.leave(attempt.member, { kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 });
    if (this.#current !== null) this.#departures.leave(this.#current, { kind: 'stop', why, graceMs, delayMs });
    this.#releaseUnused();
    this.#finishIfDone();
  }

  #hasten(ending: { code: number; readonly isOrderly: boolean; signals: number }, code: number): void {
    ending.signals += 1;
    if (ending.isOrderly) ending.code = code;
    for (const member of this.#members()) {
      if (ending.signals > 2) this.#departures.kill(member);
      else this.#departures.leave(member, { kind: 'stop', why: 'fast', graceMs: 0, delayMs: 0 }, HASTY_MARGIN_MS);
    }
  }

  #handleEnd(member: Member, end: ProcessEnd): void {
    const isCurrent = this.#current === member;
    if (isCurrent) this.#current = null;
    if (this.#current === null) this.#liveness.forget();
    this.#departures.forget(member);
    if (this.#attempt?.member === member) this.#handleEarlyEnd(this.#attempt, end);
    else if (isCurrent && this.#ending === null) this.#handleDeath(member, end);
    else if (end.code !== 0 && !member.endIsNoNews) this.#warn(`${nameOf(member)}, which was to end, ${describeEnd(end)}`);
    this.#releaseUnused();
    this.#finishIfDone();
  }

  #handleEarlyEnd(attempt: Attempt, end: ProcessEnd): void {
    const why = `it ${describeEnd(end)} before it was ready`;
    attempt.member = null;
    if (!(TERMINAL_SIGNALS as readonly (string | null)[]).includes(end.signal)) return this.#giveUp(attempt, why);
    this.#ports.clock.schedule(SIGNAL_LAG_MS, () => this.#giveUp(attempt, why));
  }

  #handleDeath(member: Member, end: ProcessEnd): void {
    // Nobody has answered it: what takes its place does it.
    this.#wantsReload ||= this.#reload !== null;
    this.#forgetReload();
    this.#lastGood.handleDeath();
    this.#error(`${nameOf(member)} ${describeEnd(end)}; another one takes its place`);
    // What is being started already takes its place.
    if (this.#attempt === null) this.#tryAgain(MAX_DELAY_AFTER_SERVING_MS);
  }

  #finishIfDone(): void {
    if (this.#ending === null || this.#isFinishing || this.#current !== null || this.#departures.members.size > 0) return;
    this.#isFinishing = true;
    this.#liveness.stop();
    void this.#finish(this.#ending);
  }

  async #finish(ending: { readonly code: number }): Promise<void> {
    await this.#ports.sockets.releaseAll();
    this.#ports.onPhase('terminated');
    this.#ended.resolve(ending.code);
  }

  // ——— small things

  /**
   * While nothing serves, and something will again, all are kept: connections wait in their queues. When nothing ever will, they go as soon as they are not accepted
   * on any more: to be refused is better than to wait in a queue until the end.
   */
  #releaseUnused(): void {
    if (this.#attempt !== null || (this.#current === null && this.#ending === null)) return;
    const used = new Set([...this.#members()].flatMap(({ keys }) => [...keys]));
    const unused = this.#ports.sockets.keys.filter((key) => !used.has(key));
    if (unused.length > 0) void this.#ports.sockets.release(unused);
  }

  /** All that serve or have served, and those that failed and have not ended yet. */
  #members(): ReadonlySet<Member> {
    return new Set([...this.#departures.members, ...(this.#current === null ? [] : [this.#current])]);
  }

  #handlePhase(member: Member, phase: unknown): void {
    if (!isPhase(phase)) return;
    member.phase = phase;
    // One that has gone deaf by itself is on its way to its death: it will be replaced, and connections wait for the next one.
    if (isDeaf(phase) && member.isLeaving) member.keys = new Set([...member.keys].filter((key) => member.lastingKeys.has(key)));
    this.#tellPhase(member);
    this.#releaseUnused();
  }

  /** The server's phase is that of the generation that serves, or of the one that is to serve if none does. The end is ours to tell. */
  #tellPhase(member: Member): void {
    const leader = this.#current ?? this.#attempt?.member;
    if (member === leader && member.phase !== 'terminated') this.#ports.onPhase(member.phase);
  }

  #ping(id: number): boolean {
    // One that is leaving has other things to do, and a time to be killed at.
    if (this.#current === null || this.#current.isLeaving) return false;
    this.#current.process.send({ kind: 'ping', id });
    return true;
  }

  #nameOfCurrent(): string {
    return this.#current === null ? 'the generation' : nameOf(this.#current);
  }

  #tellRefusal(signal: KeeperSignal, refused: string | null): void {
    if (refused !== null) this.#warn(`${signal} is ignored: ${refused}`);
  }

  #info(text: string): void {
    this.#ports.notify({ severity: 'info', text });
  }

  #warn(text: string): void {
    this.#ports.notify({ severity: 'warning', text });
  }

  #error(text: string): void {
    this.#ports.notify({ severity: 'error', text });
  }
}
