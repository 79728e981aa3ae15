/** The suite `llhttp`: see `README.md` beside this file. */
import { parseArgs } from 'node:util';
import { type KnownFailures, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { type LlhttpCase, readStrictCases, type Transcript } from './cases.ts';
import { decodeCase } from './decode.ts';

const { values } = parseArgs({
  options: {
    /** One case, told in full. */
    only: { type: 'string' },
  },
});

const hostMissing: LlhttpCase = {
  id: 'host-missing',
  kind: 'request',
  name: 'a request of HTTP/1.1 without Host is refused (RFC 9112 §3.2)',
  input: Buffer.from('GET / HTTP/1.1\r\n\r\n', 'latin1'),
  isHead: false,
  expected: { messages: [], ending: 'error', finish: null },
};

const cases = [hostMissing, ...readStrictCases()].filter(({ id }) => values.only === undefined || id === values.only);
const outcomes = await Promise.all(cases.map((one) => outcomeOf(one.id, () => compare(one))));
if (values.only !== undefined) for (const one of cases) tellAll(one);
const known = readKnownFailures(new URL('known-differences.txt', import.meta.url));
process.exitCode = report('llhttp', summarise(outcomes, narrowed(known)));

function compare(one: LlhttpCase): string | null {
  const whole = difference(one, decode(one, Number.POSITIVE_INFINITY));
  const split = difference(one, decode(one, 1));
  if (whole !== split) return `whole: ${whole ?? 'agrees'}; byte by byte: ${split ?? 'agrees'}`;
  return whole === null ? null : `${one.name}: ${whole}`;
}

/** llhttp judges a length or a version where it stands, we at the end of the head: a refused head that the input leaves open is ended. */
function decode(one: LlhttpCase, chunkSize: number): ReturnType<typeof decodeCase> {
  const ours = decodeCase(one, chunkSize);
  if (one.expected.ending !== 'error' || ours.ending !== 'open') return ours;
  return decodeCase({ ...one, input: Buffer.concat([one.input, Buffer.from('\r\n\r\n')]) }, chunkSize);
}

function difference({ id, kind, expected }: LlhttpCase, ours: Transcript & { readonly reason: string | null }): string | null {
  if (ours.ending !== expected.ending) {
    return `llhttp ends with '${expected.ending}', we with '${ours.ending}'${ours.reason === null ? '' : ` (${ours.reason})`}`;
  }
  if (ours.reason === 'H1_HOST_MISSING' && id !== hostMissing.id) return 'refused, but only because it has no Host';
  if (kind === 'url') return null;
  if (expected.finish !== null && ours.finish !== expected.finish) {
    return `at the end of the connection llhttp says '${expected.finish}', we '${ours.finish ?? 'nothing'}'`;
  }
  // After an error only what was complete counts: how much of the broken message is reported first is everyone's own affair.
  const [theirs, mine] = [expected.messages, ours.messages].map((list) =>
    list.filter((message) => message.isComplete || expected.ending !== 'error'),
  );
  const [a, b] = [JSON.stringify(theirs), JSON.stringify(mine)];
  return a === b ? null : `llhttp reads ${a}, we ${b}`;
}

function tellAll(one: LlhttpCase): void {
  console.log(`${JSON.stringify(one.input.toString('latin1'))}\nllhttp ${JSON.stringify(one.expected, null, 1)}`);
  console.log(`ours ${JSON.stringify(decodeCase(one, Number.POSITIVE_INFINITY), null, 1)}`);
}

function narrowed(all: KnownFailures): KnownFailures {
  return values.only === undefined ? all : new Map([...all].filter(([id]) => id === values.only));
}
