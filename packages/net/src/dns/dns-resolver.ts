/**
 * A resolver of names with a memory: all addresses of a name, for as long as their TTL says, and the last good ones where no new ones can be had.
 *
 * `dns.lookup` works on four threads, which a slow name server blocks for the whole process, and remembers nothing. This one asks by c-ares, without threads.
 *
 * ```text
 *   unknown ──► asking ──► good ── TTL over ──► asking, the old ones in hand ──► good
 *                 │                                └── failed, or too slow ──► the old ones, stale, up to maxStaleMs
 *                 └── failed, or no address ──► not asked again for negativeTtlMs
 * ```
 * Rules of this file:
 * - A name is asked for by one question at a time, whoever wants it; a question is the A and the AAAA records at once.
 * - The addresses of one family wait for those of the other no longer than `resolutionDelayMs` (RFC 8305 §3); what comes later is there for the next. The question is
 *   over with that: the next one waits for the family that is still silent, too, and does not ask it a second time.
 * - Names without a dot, `localhost` and names that the DNS does not know are the system's: the hosts file, and search domains.
 *
 * @see RFC 8305 (happy eyeballs) · RFC 8767 (stale answers) · RFC 6761 §6.3 (localhost)
 */
import { Resolver } from 'node:dns/promises';
import { isIP, type LookupFunction } from 'node:net';
import type { Wakeup } from '@ferrata/clock';
import { connectError, limitError, type WireError } from '@ferrata/error';
import { addressesOf, type DnsAnswer, DnsName, type FamilyOutcome, type FamilyOutcomes, notFound, outcomeOfError } from './dns-name.ts';
import { type DnsQueries, type DnsResolverConfig, type DnsResolverOptions, resolveDnsResolverOptions } from './dns-options.ts';

/** What has happened since the start. */
export interface DnsCounts {
  /** Questions asked, A and AAAA together as one. */
  asked: number;
  /** Of them, those that found no address. */
  failed: number;
  /** Answers handed out with addresses that were past their time. */
  stale: number;
}

/** Looks names up, and remembers what it found. Give it to `connect` as `lookup`, and to whatever else takes a `LookupFunction`. */
export class DnsResolver implements Disposable {
  readonly counts: DnsCounts = { asked: 0, failed: 0, stale: 0 };
  readonly #config: DnsResolverConfig;
  readonly #queries: DnsQueries;
  /** By name in lower case, the one used last at the end. */
  readonly #names = new Map<string, DnsName>();
  /** What ends the waiting for each question that is open, those for names that were forgotten meanwhile included. */
  readonly #open = new Set<() => void>();
  #isClosed = false;

  /**
   * @throws {RangeError} for a number out of range
   * @throws {TypeError} for an option that is none or of the wrong kind, or a server that is no address
   */
  constructor(options: DnsResolverOptions = {}) {
    this.#config = resolveDnsResolverOptions(options);
    this.#queries = this.#config.queries ?? makeQueries(this.#config);
  }

  /** Names that are remembered. */
  get size(): number {
    return this.#names.size;
  }

  /**
   * The addresses of a name.
   *
   * @returns at least one. Rejected with `connect DNS_NOT_FOUND`, `DNS_SERVER_FAILURE`, `DNS_TIMEOUT`, `DNS_TEMPORARY_FAILURE`, `DNS_LOOKUP_FAILED` or `DNS_CLOSED`, all with
   *   status 502, or `limit DNS_TOO_MANY_NAMES` with 503
   */
  async resolve(name: string): Promise<DnsAnswer> {
    const family = isIP(name);
    if (family !== 0) return { addresses: [{ address: name, family: family === 4 ? 4 : 6 }], staleMs: 0, error: null };
    return this.#answerOf(name, 0);
  }

  async #answerOf(name: string, wanted: 0 | 4 | 6): Promise<DnsAnswer> {
    if (this.#isClosed) throw closedError();
    // A stranger may have chosen it: it must not fill the memory, nor be another name for whoever ends names at a NUL.
    if (!isName(name)) throw notFound(JSON.stringify(name.slice(0, MAX_NAME_LENGTH)));
    const entry = this.#entryOf(name.toLowerCase());
    const { clock } = this.#config;
    const now = clock.now();
    if (now >= entry.askAt) {
      if (entry.asking === null) this.#ask(entry);
      if (entry.asking !== null && !entry.isFresh(now)) await (entry.isUsable(now) ? this.#notTooLong(entry.asking) : entry.asking);
      if (this.#isClosed) throw closedError();
    }
    const answer = entry.answer(clock.now(), wanted);
    if (answer.staleMs > 0) this.counts.stale++;
    return answer;
  }

  /** The same in the form that Node asks for. */
  readonly lookup: LookupFunction = (name, options, callback) => {
    const wanted = familyOf(options.family);
    const literal = isIP(name);
    const asked = literal === 0 ? this.#answerOf(name, wanted) : this.resolve(name);
    asked.then(
      ({ addresses }) => {
        const [first] = addresses;
        // Later: what the callback throws is none of ours.
        if (first === undefined || (wanted !== 0 && first.family !== wanted)) process.nextTick(callback, notFound(name), '', 0);
        else if (options.all === true) process.nextTick(callback, null, addresses);
        else process.nextTick(callback, null, first.address, first.family);
      },
      (error: unknown) => process.nextTick(callback, error as NodeJS.ErrnoException, '', 0),
    );
  };

  /** Forgets what is known, of one name or of all. */
  clear(name?: string): void {
    if (name === undefined) this.#names.clear();
    else this.#names.delete(name.toLowerCase());
  }

  /** Gives up what is under way, and asks nobody any more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#names.clear();
    this.#queries.cancel?.();
    for (const end of this.#open) end();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  // ---- names ---------------------------------------------------------------------------------------------------------------------

  /** @throws {WireError} DNS_TOO_MANY_NAMES */
  #entryOf(name: string): DnsName {
    const known = this.#names.get(name);
    if (known !== undefined) {
      this.#names.delete(name);
      this.#names.set(name, known);
      return known;
    }
    if (this.#names.size >= this.#config.maxNames) this.#forgetOne();
    const entry = new DnsName(name, this.#config);
    this.#names.set(name, entry);
    return entry;
  }

  /** The one used longest ago that nobody asks for just now: one that is asked for would be asked for a second time. */
  #forgetOne(): void {
    for (const [name, { isAsked }] of this.#names) {
      if (isAsked) continue;
      this.#names.delete(name);
      return;
    }
    const message = `${this.#config.maxNames} names are being looked up`;
    throw limitError('DNS_TOO_MANY_NAMES', message, { wire: { status: 503 }, retry: 'always' });
  }

  // ---- asking --------------------------------------------------------------------------------------------------------------------

  #ask(entry: DnsName): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    entry.asking = promise;
    this.#open.add(resolve);
    void promise.then(() => this.#open.delete(resolve));
    this.counts.asked++;
    if (isOfSystem(entry.name)) {
      this.#askSystem(entry.name).then((outcomes) => this.#finish(entry, outcomes, resolve), resolve);
      return;
    }
    const { clock, resolutionDelayMs } = this.#config;
    const outcomes: FamilyOutcomes = { 4: null, 6: null };
    let hold: Wakeup | null = null;
    let isOver = false;
    const take = (family: 4 | 6, outcome: FamilyOutcome): void => {
      if (isOver) return entry.storeLate(family, outcome, clock.now());
      outcomes[family] = outcome;
      if (outcomes[4] !== null && outcomes[6] !== null) {
        hold?.cancel();
        this.#conclude(entry, outcomes, resolve);
      } else if (outcome.kind === 'found') {
        hold = clock.schedule(resolutionDelayMs, () => {
          isOver = true;
          entry.asking = null;
          entry.store(outcomes, clock.now(), false);
          resolve();
        });
      }
    };
    for (const family of [4, 6] as const) this.#running(entry, family).then((outcome) => take(family, outcome), resolve);
  }

  /** The question for one family that is on its way already, else a new one. */
  #running({ name, running }: DnsName, family: 4 | 6): Promise<FamilyOutcome> {
    const known = running[family];
    if (known !== null) return known;
    const asked = this.#askFamily(name, family).finally(() => {
      running[family] = null;
    });
    running[family] = asked;
    return asked;
  }

  /** Both families have answered: what the DNS knows nothing of, the system may. */
  #conclude(entry: DnsName, outcomes: FamilyOutcomes, resolve: () => void): void {
    const isUnknown = [outcomes[4], outcomes[6]].every((outcome) => outcome?.kind === 'none' && outcome.isUnknown);
    if (!isUnknown || this.#isClosed) return this.#finish(entry, outcomes, resolve);
    this.#askSystem(entry.name).then((found) => this.#finish(entry, hasFound(found) ? found : outcomes, resolve), resolve);
  }

  #finish(entry: DnsName, outcomes: FamilyOutcomes, resolve: () => void): void {
    entry.asking = null;
    if (!hasFound(outcomes)) this.counts.failed++;
    entry.store(outcomes, this.#config.clock.now(), true);
    resolve();
  }

  async #askFamily(name: string, family: 4 | 6): Promise<FamilyOutcome> {
    const { clock, minTtlMs, maxTtlMs, maxAddresses } = this.#config;
    const ask = async (): Promise<FamilyOutcome> => {
      const records: unknown = await (family === 4
        ? this.#queries.resolve4(name, { ttl: true })
        : this.#queries.resolve6(name, { ttl: true }));
      const addresses = addressesOf(records, family, maxAddresses);
      if (addresses === null) return { kind: 'failed', reason: 'DNS_LOOKUP_FAILED', message: 'the answer is no list of records' };
      if (addresses.length === 0) return { kind: 'none', isUnknown: false };
      const ttlMs = Math.min(Math.max(leastTtl(records as readonly unknown[]) * 1_000, minTtlMs), maxTtlMs);
      return { kind: 'found', addresses, freshUntil: clock.now() + ttlMs };
    };
    return this.#inTime(name, ask);
  }

  async #askSystem(name: string): Promise<FamilyOutcomes> {
    const { clock, systemLookup, systemTtlMs, maxAddresses } = this.#config;
    let answer: unknown = null;
    const ask = async (): Promise<FamilyOutcome> => {
      answer = await systemLookup(name);
      return { kind: 'none', isUnknown: true };
    };
    const outcome = await this.#inTime(name, ask);
    if (answer === null) return { 4: outcome, 6: outcome };
    const freshUntil = clock.now() + systemTtlMs;
    const familyOutcome = (family: 4 | 6): FamilyOutcome => {
      const addresses = addressesOf(answer, family, maxAddresses) ?? [];
      return addresses.length > 0 ? { kind: 'found', addresses, freshUntil } : { kind: 'none', isUnknown: false };
    };
    return { 4: familyOutcome(4), 6: familyOutcome(6) };
  }

  /** Never rejects, and answers in time. */
  #inTime(name: string, ask: () => Promise<FamilyOutcome>): Promise<FamilyOutcome> {
    const { clock, queryTimeoutMs } = this.#config;
    return new Promise((resolve) => {
      const message = `no answer for ${name} within ${queryTimeoutMs} ms`;
      const wakeup = clock.schedule(queryTimeoutMs, () => resolve({ kind: 'failed', reason: 'DNS_TIMEOUT', message }));
      const settle = (outcome: FamilyOutcome): void => {
        wakeup.cancel();
        resolve(outcome);
      };
      ask().then(settle, (thrown: unknown) => settle(outcomeOfError(thrown)));
    });
  }

  /** Whoever has old addresses in hand waits a moment only. */
  #notTooLong(asking: Promise<void>): Promise<void> {
    const { clock, staleAfterMs } = this.#config;
    return new Promise((resolve) => {
      const wakeup = clock.schedule(staleAfterMs, resolve);
      void asking.then(() => {
        wakeup.cancel();
        resolve();
      });
    });
  }
}

/** Two tries of c-ares, the second twice as long, within our own time. */
function makeQueries({ servers, queryTimeoutMs }: DnsResolverConfig): DnsQueries {
  const resolver = new Resolver({ timeout: Math.max(1, Math.ceil(queryTimeoutMs / 3)), tries: 2 });
  if (servers !== null) resolver.setServers(servers);
  return resolver;
}

/** Without the dot of the root, which ends with nothing more (RFC 1035 §2.3.4: 255 bytes on the wire). */
const MAX_NAME_LENGTH = 253;

/** Short enough, not empty, and without blanks and control characters; the rest is for those to judge who are asked. */
function isName(name: string): boolean {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return bare !== '' && bare.length <= MAX_NAME_LENGTH && !/[\0-\x20\x7f]/.test(bare);
}

/** Names that are no business of the DNS (RFC 6761 §6.3), and those that search domains may make whole. */
function isOfSystem(name: string): boolean {
  const bare = name.endsWith('.') ? name.slice(0, -1) : name;
  return !bare.includes('.') || bare === 'localhost' || bare.endsWith('.localhost');
}

function hasFound(outcomes: FamilyOutcomes): boolean {
  return outcomes[4]?.kind === 'found' || outcomes[6]?.kind === 'found';
}

/** The whole set holds as long as the first of its records. What says no TTL has none. */
function leastTtl(records: readonly unknown[]): number {
  let least = Number.POSITIVE_INFINITY;
  for (const record of records) {
    const ttl: unknown = typeof record === 'object' && record !== null && 'ttl' in record ? record.ttl : 0;
    least = Math.min(least, typeof ttl === 'number' && ttl >= 0 ? ttl : 0);
  }
  return least;
}

function familyOf(family: number | string | undefined): 0 | 4 | 6 {
  if (family === 4 || family === 'IPv4') return 4;
  return family === 6 || family === 'IPv6' ? 6 : 0;
}

function closedError(): WireError {
  return connectError('DNS_CLOSED', 'the resolver was closed', { retry: 'never', fault: 'local' });
}
