/** What the parts of the suite are played on: checks with a name and an end, certificates, and ways through the proxy. */
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import type { ProxyRoute } from '../rig/proxy-process.ts';
import { type Outcome, outcomeOf } from '../runner.ts';

/** One part of the suite. */
export interface Part {
  readonly name: string;
  run(stage: Stage): Promise<void>;
}

/** What is chosen by the command line, and what all parts share. */
export interface StageOptions {
  readonly isLong: boolean;
  readonly seed: number;
  /** Checks whose ids match; null: all. */
  readonly only: RegExp | null;
  readonly certificates: Certificates;
}

/** A server's certificate for 127.0.0.1 and localhost, and who has signed it. */
export interface Certificates {
  readonly server: IssuedCertificate;
  readonly ca: string;
}

/** How long one check may take unless it says otherwise. */
const CHECK_MS = 30_000;

/** A check that takes longer is named. */
const SLOW_MS = 2_500;

/** Collects what became of each check. */
export class Stage {
  readonly isLong: boolean;
  readonly seed: number;
  readonly certificates: Certificates;
  readonly outcomes: Outcome[] = [];
  readonly #only: RegExp | null;

  constructor({ isLong, seed, only, certificates }: StageOptions) {
    this.isLong = isLong;
    this.seed = seed;
    this.certificates = certificates;
    this.#only = only;
  }

  /** Whether a check is wanted: what is expensive to set up can be left out if not. */
  wants(id: string): boolean {
    return this.#only === null || this.#only.test(id);
  }

  /** Runs a check to its end, which comes in time. @param check returns the problem, or null */
  async check(id: string, check: () => string | null | Promise<string | null>, limitMs = CHECK_MS): Promise<void> {
    if (!this.wants(id)) return;
    const began = performance.now();
    this.outcomes.push(await outcomeOf(id, async () => await within(id, Promise.resolve().then(check), limitMs)));
    const tookMs = performance.now() - began;
    if (tookMs > SLOW_MS) this.figure(`${id} took ${(tookMs / 1000).toFixed(1)} s`);
  }

  figure(text: string): void {
    console.log(`proxy-peers: ${text}`);
  }

  /** What the proxy listens with. */
  front(isTls: boolean): ProxyRoute['front'] {
    return isTls ? { certificate: this.certificates.server.chain, key: this.certificates.server.key } : null;
  }
}

/** @throws {Error} that names what did not come in time */
export async function within<T>(what: string, promise: Promise<T>, limitMs = 10_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${limitMs / 1000} s`)), limitMs);
  });
  try {
    return await Promise.race([promise, tooLate]);
  } finally {
    clearTimeout(timer);
  }
}

/** @returns what is different, or null */
export function differs(what: string, seen: unknown, expected: unknown): string | null {
  // By a template, as there is no JSON of undefined.
  const [a, b] = [JSON.stringify(seen), JSON.stringify(expected)];
  return a === b ? null : `${what}: ${a.slice(0, 600)}, not ${b.slice(0, 600)}`;
}

/** The first of several problems. */
export function firstOf(...problems: readonly (string | null)[]): string | null {
  return problems.find((problem) => problem !== null) ?? null;
}

/** Certificates that live as long as the suite. */
export async function makeCertificates(): Promise<Certificates> {
  const authority = await createAuthority();
  return { server: await authority.issue({ names: ['localhost', '127.0.0.1'] }), ca: authority.certificate };
}
