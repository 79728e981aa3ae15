/**
 * The parts of an input that are single messages, cut in the plainest way, so that what excuses one message is never looked for in another.
 *
 * Framing is taken from the reading that is judged; if that was wrong, the parts are too, and then a reader that framed otherwise has no excuse.
 */
import { BodyLength } from '@ferrata/http1';
import type { DecodedMessage } from './transcript.ts';

/** One message as it stands in the input. Lines come without their ends; what is not there, or was not found, is empty. */
export interface Sections {
  /** Offset of the start line. */
  readonly at: number;
  readonly startLine: string;
  readonly fieldLines: readonly string[];
  /** Of each chunk, the last one included. */
  readonly chunkLines: readonly string[];
  readonly trailerLines: readonly string[];
  /** A line behind the head ends with LF alone. */
  readonly hasBareFeedInBody: boolean;
}

/** @param messages what was read of `input`, in order */
export function sectionsOf(input: string, messages: readonly Pick<DecodedMessage, 'bodyLength'>[]): Sections[] {
  const cutter = new Cutter(input);
  return messages.map(({ bodyLength }) => cutter.cut(bodyLength));
}

const EMPTY_LINES = /(?:\r?\n)*/y;

class Cutter {
  readonly #input: string;
  #at = 0;
  #bareFeeds = 0;

  constructor(input: string) {
    this.#input = input;
  }

  cut(bodyLength: number): Sections {
    EMPTY_LINES.lastIndex = this.#at;
    this.#at += EMPTY_LINES.exec(this.#input)?.[0].length ?? 0;
    const at = this.#at;
    const [startLine = '', ...fieldLines] = this.#lines();
    this.#bareFeeds = 0;
    const isChunked = bodyLength === BodyLength.chunked;
    const chunkLines = isChunked ? this.#chunkLines() : [];
    const trailerLines = isChunked ? this.#lines() : [];
    if (bodyLength > 0) this.#at += bodyLength;
    else if (bodyLength === BodyLength.untilClose) this.#at = this.#input.length;
    return { at, startLine, fieldLines, chunkLines, trailerLines, hasBareFeedInBody: this.#bareFeeds > 0 };
  }

  /** Up to an empty line. */
  #lines(): string[] {
    const lines: string[] = [];
    for (let line = this.#line(); line !== ''; line = this.#line()) lines.push(line);
    return lines;
  }

  /** Up to the last chunk. Where there is no size the chunks are lost, and so is all that follows. */
  #chunkLines(): string[] {
    const lines: string[] = [];
    for (;;) {
      const line = this.#line();
      const size = Number.parseInt(/^[0-9A-Fa-f]+/.exec(line)?.[0] ?? '', 16);
      if (Number.isNaN(size)) {
        this.#at = this.#input.length;
        return lines;
      }
      lines.push(line);
      if (size === 0) return lines;
      this.#at = Math.min(this.#input.length, this.#at + size);
      if (!this.#input.startsWith('\r\n', this.#at)) this.#at = this.#input.length;
      else this.#at += 2;
    }
  }

  /** Empty if it has no end yet. */
  #line(): string {
    const feed = this.#input.indexOf('\n', this.#at);
    const line = feed < 0 ? '' : this.#input.slice(this.#at, feed);
    this.#at = feed < 0 ? this.#input.length : feed + 1;
    if (line.endsWith('\r')) return line.slice(0, -1);
    if (feed >= 0) this.#bareFeeds++;
    return line;
  }
}
