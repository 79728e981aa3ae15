/** Queries that answer what the test wants, when it wants it. */
import type { DnsRecord } from '@ferrata/net';
import type { SrvQueries, SrvRecord } from '../../src/discovery/dns-discovery-options.ts';

export type Answer = readonly (DnsRecord | SrvRecord)[] | Error | Promise<unknown>;

/** An error with one of Node's codes. */
export function coded(code: string): Error {
  return Object.assign(new Error(`query ${code}`), { code });
}

/** Addresses with a TTL in seconds. */
export function records(ttl: number, ...addresses: readonly string[]): readonly DnsRecord[] {
  return addresses.map((address) => ({ address, ttl }));
}

/** Answers by `A name`, `AAAA name`, `SRV name`; what is not there does not exist. */
export class FakeQueries implements SrvQueries {
  readonly answers: Record<string, Answer> = {};
  readonly asked: string[] = [];
  cancelled = 0;

  constructor(answers: Readonly<Record<string, Answer>>) {
    Object.assign(this.answers, answers);
  }

  resolve4(name: string): Promise<readonly DnsRecord[]> {
    return this.#answer(`A ${name}`);
  }

  resolve6(name: string): Promise<readonly DnsRecord[]> {
    return this.#answer(`AAAA ${name}`);
  }

  resolveSrv(name: string): Promise<readonly SrvRecord[]> {
    return this.#answer(`SRV ${name}`);
  }

  cancel(): void {
    this.cancelled++;
  }

  async #answer<T>(question: string): Promise<T> {
    this.asked.push(question);
    const answer = await (this.answers[question] ?? coded('ENODATA'));
    if (answer instanceof Error) throw answer;
    return answer as T;
  }
}
