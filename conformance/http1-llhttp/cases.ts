/** llhttp's cases, each as bytes and the transcript that llhttp reports for them. */
import { readFileSync } from 'node:fs';

/** A message as far as it was read. */
export interface Message {
  /** Method, or status code. */
  readonly start: string;
  /** Target, or reason phrase. */
  readonly rest: string;
  readonly version: string;
  /** `name: value` lines without optional whitespace. */
  fields: string[];
  body: string;
  trailers: string[];
  isComplete: boolean;
}

/**
 * How reading ended: `open`, all bytes were taken and more may come; `upgrade`, what follows is another protocol; `error`.
 * `finish` is what the end of the connection at this point means, where a case says so.
 */
export type Ending = 'open' | 'upgrade' | 'error';
export type Finish = 'complete' | 'completesBody' | 'truncated';

/** What a parser made of an input. */
export interface Transcript {
  readonly messages: readonly Message[];
  readonly ending: Ending;
  readonly finish: Finish | null;
}

/** One case. */
export interface LlhttpCase {
  readonly id: string;
  readonly kind: 'request' | 'response' | 'url';
  readonly name: string;
  readonly input: Buffer;
  /** The user of the parser says that no response has a body, as after HEAD. */
  readonly isHead: boolean;
  /** The leniencies that llhttp was run with; none for most. */
  readonly lenient: readonly string[];
  readonly expected: Transcript;
}

interface JsonEvent {
  readonly off: number;
  readonly len?: number;
  readonly event?: string;
  readonly span?: string;
  readonly status?: string;
}

interface JsonCase {
  readonly id: string;
  readonly kind: 'request' | 'response' | 'url';
  readonly name: string;
  readonly mode: string;
  readonly lenient: readonly string[];
  readonly skipBody: boolean;
  readonly finishValue: string | null;
  readonly input: string;
  readonly events: readonly JsonEvent[];
  readonly error: { readonly codeName: string } | null;
}

const FINISH: Readonly<Record<string, Finish>> = { '0': 'complete', '1': 'completesBody', '2': 'truncated' };

/** All 272 cases, strict and lenient. */
export function readLlhttpCases(): LlhttpCase[] {
  const { cases } = JSON.parse(readFileSync(new URL('fixtures/cases.json', import.meta.url), 'utf8')) as {
    readonly cases: readonly JsonCase[];
  };
  return cases.map(toCase);
}

function toCase(json: JsonCase): LlhttpCase {
  const { messages, hostlessAt } = readEvents(json);
  const ending = json.error === null ? 'open' : json.error.codeName === 'PAUSED_UPGRADE' ? 'upgrade' : 'error';
  return {
    id: json.id,
    kind: json.kind,
    name: json.name,
    input: Buffer.from(json.kind === 'url' ? requestFor(json.input) : withoutFragment(addHosts(json.input, hostlessAt)), 'latin1'),
    isHead: json.skipBody,
    lenient: json.lenient,
    expected: { messages, ending, finish: json.finishValue === null ? null : (FINISH[json.finishValue] ?? null) },
  };
}

/** The cases on Transfer-Encoding have a fragment in their target, which we refuse: it would hide what they are about. */
const FRAGMENT = '#hey';

function withoutFragment(text: string): string {
  return text.replace(FRAGMENT, '');
}

function requestFor(url: string): string {
  return `GET ${url} HTTP/1.1\r\nHost: host\r\n\r\n`;
}

/** Puts a Host line at each offset. */
function addHosts(input: string, offsets: readonly number[]): string {
  let text = '';
  let from = 0;
  for (const at of offsets) {
    text += `${input.slice(from, at)}Host: host\r\n`;
    from = at;
  }
  return text + input.slice(from);
}

/** Reads the log of llhttp. @returns the messages, and after which request lines a Host was put that the input lacks */
function readEvents({ kind, input, events }: JsonCase): { readonly messages: Message[]; readonly hostlessAt: number[] } {
  const messages: Message[] = [];
  const hostlessAt: number[] = [];
  let draft = newDraft();
  for (const event of events) {
    // A line end in a body has no span of its own in the log.
    if (/^len=1 span\[body\]=(cr|lf)$/.test(event.event ?? '')) {
      if (draft.message !== null) draft.message.body += input[event.off];
      continue;
    }
    if (event.span !== undefined) {
      const bytes = input.slice(event.off, event.off + (event.len ?? 0));
      if (event.span === 'body' && draft.message !== null) draft.message.body += bytes;
      else draft.spans[event.span] = (draft.spans[event.span] ?? '') + bytes;
      continue;
    }
    switch (event.event) {
      case 'message begin':
        draft = newDraft();
        break;
      case 'version complete':
        draft.fieldsAt = event.off + (/^\r?\n/.exec(input.slice(event.off, event.off + 2))?.[0].length ?? Number.NEGATIVE_INFINITY);
        break;
      case 'header_value complete': {
        const line = `${draft.spans['header_field'] ?? ''}: ${trimBlanks(draft.spans['header_value'] ?? '')}`;
        (draft.message === null ? draft.fields : draft.message.trailers).push(line);
        draft.spans['header_field'] = '';
        draft.spans['header_value'] = '';
        break;
      }
      case 'headers complete':
        draft.message = {
          start: kind === 'request' ? (draft.spans['method'] ?? '') : (event.status ?? ''),
          rest: withoutFragment((kind === 'request' ? draft.spans['url'] : draft.spans['status']) ?? ''),
          version: draft.spans['version'] ?? '',
          fields: draft.fields,
          body: '',
          trailers: [],
          isComplete: false,
        };
        messages.push(draft.message);
        break;
      case 'message complete':
        if (draft.message !== null) draft.message.isComplete = true;
        break;
      default:
    }
    if (event.event === 'version complete' && kind === 'request' && draft.spans['version'] === '1.1' && draft.fieldsAt > 0) {
      const fields = input.slice(draft.fieldsAt - 1);
      const end = fields.search(/\n\r?\n/);
      const head = end < 0 ? fields : fields.slice(0, end);
      if (!/^host[ \t]*:/im.test(head)) {
        hostlessAt.push(draft.fieldsAt);
        draft.fields.push('Host: host');
      }
    }
  }
  return { messages, hostlessAt };
}

interface Draft {
  message: Message | null;
  readonly spans: Record<string, string>;
  readonly fields: string[];
  /** Where the first field line begins; 0 if unknown. */
  fieldsAt: number;
}

function newDraft(): Draft {
  return { message: null, spans: {}, fields: [], fieldsAt: 0 };
}

function trimBlanks(value: string): string {
  return value.replace(/^[ \t]+|[ \t]+$/g, '');
}
