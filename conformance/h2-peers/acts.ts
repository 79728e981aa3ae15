/**
 * What servers of the suite do for requests that no plan describes: those of programs, and those that one side gives up. The path says it:
 * `/ACT/TOKEN`, and the bodies are made of the token.
 */
import { markedBytes } from '../http1-peers/plan.ts';

/**
 * `bytes`: so many bytes, with their length announced; `echo`: the request's body and trailers; `hold`: no answer; `stream`: a head, some bytes
 * and nothing more; `cut`: the same, and then the server gives up; `refuse`: REFUSED_STREAM the first time, `bytes` after that.
 */
export type ActKind = 'bytes' | 'echo' | 'hold' | 'stream' | 'cut' | 'refuse';

/** One request, as its path describes it. */
export interface Act {
  readonly kind: ActKind;
  readonly token: string;
  /** Of the body, where it is made of the token. */
  readonly byteCount: number;
}

/** What is sent of an answer that never ends. */
export const PART_BYTES = 3_000;

const PATH = /^\/(bytes|echo|hold|stream|cut|refuse)\/(\d{1,8})\/([\w.-]+)$/;

/** Null: the path is of a plan. */
export function actOf(path: string): Act | null {
  const [, kind, count, token] = PATH.exec(path) ?? [];
  return kind === undefined ? null : { kind: kind as ActKind, byteCount: Number(count), token: token ?? '' };
}

/** The path of an act. */
export function pathOf(kind: ActKind, token: string, byteCount = 0): string {
  return `/${kind}/${byteCount}/${token}`;
}

/** The body of an answer: its own for each token. */
export function actBytes(token: string, byteCount: number): Uint8Array {
  return markedBytes(`${token} `, byteCount);
}

/** How exchanges ended, as their server has it, and how many there were. */
export class Endings {
  #counts = new Map<string, number>();
  readonly #ended = new Map<string, PromiseWithResolvers<'whole' | 'cut'>>();

  /** A request has come. @returns which one of this token it is, from 1 */
  begin(token: string): number {
    const count = (this.#counts.get(token) ?? 0) + 1;
    this.#counts.set(token, count);
    return count;
  }

  /** The exchange is over. */
  end(token: string, how: 'whole' | 'cut'): void {
    this.#entry(token).resolve(how);
  }

  /** How the first exchange of a token ended, once it has. */
  async of(token: string): Promise<'whole' | 'cut'> {
    return await this.#entry(token).promise;
  }

  /** How many requests a token had. */
  countOf(token: string): number {
    return this.#counts.get(token) ?? 0;
  }

  /** How many requests came since the last call. */
  takeTotal(): number {
    const total = [...this.#counts.values()].reduce((sum, count) => sum + count, 0);
    this.#counts = new Map();
    return total;
  }

  #entry(token: string): PromiseWithResolvers<'whole' | 'cut'> {
    const found = this.#ended.get(token);
    if (found !== undefined) return found;
    const entry = Promise.withResolvers<'whole' | 'cut'>();
    this.#ended.set(token, entry);
    return entry;
  }
}
