/** The suite `http1-llhttp`: see `README.md` beside this file. */
import { parseArgs } from 'node:util';
import { type KnownFailures, type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { type LlhttpCase, readLlhttpCases } from './cases.ts';
import { type Decoded, type DecodeOptions, decodeCase } from './decode.ts';
import { AGREEING_LENIENCIES, ALL_LENIENCIES } from './leniencies.ts';

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
  lenient: [],
  expected: { messages: [], ending: 'error', finish: null },
};

const cases = [hostMissing, ...readLlhttpCases()].filter(({ id }) => values.only === undefined || id === values.only);
const outcomes = (await Promise.all(cases.map(outcomesOf))).flat();
for (const id of AGREEING_LENIENCIES.keys()) {
  if (values.only === undefined && cases.every((one) => one.id !== id))
    outcomes.push({ id, problem: 'leniencies.ts names it, but no case has this id' });
}
if (values.only !== undefined) for (const one of cases) tellAll(one);
const known = readKnownFailures(new URL('known-differences.txt', import.meta.url));
process.exitCode = report('http1-llhttp', summarise(outcomes, narrowed(known)));

/**
 * A strict case must be read as llhttp reads it. A lenient one must be refused by default; and with leniencies it must be read as llhttp reads it,
 * where one of ours does the same, or else be refused still, with all of ours at once.
 */
async function outcomesOf(one: LlhttpCase): Promise<Outcome[]> {
  const ours = AGREEING_LENIENCIES.get(one.id);
  const asTheirs = ours === undefined ? [] : [await outcomeOf(`${one.id}/lenient`, () => compare(one, ours))];
  if (one.lenient.length === 0) return [await outcomeOf(one.id, () => compare(one, {})), ...asTheirs];
  const inAnyCase = ours === undefined ? [await outcomeOf(`${one.id}/lenient`, () => refused(one, ALL_LENIENCIES))] : [];
  return [await outcomeOf(`${one.id}/strict`, () => refused(one, {})), ...asTheirs, ...inAnyCase];
}

function compare(one: LlhttpCase, options: DecodeOptions): string | null {
  return inBothCuts(one, options, (decoded) => difference(one, decoded));
}

function refused(one: LlhttpCase, options: DecodeOptions): string | null {
  return inBothCuts({ ...one, expected: { ...one.expected, ending: 'error' } }, options, ({ ending, reason }) => {
    if (ending !== 'error') return `accepted: '${ending}'; llhttp does only when told to be lenient with ${one.lenient.join(', ')}`;
    return reason === 'H1_HOST_MISSING' ? 'refused, but only because it has no Host' : null;
  });
}

/** @param judge says what is wrong, or null */
function inBothCuts(one: LlhttpCase, options: DecodeOptions, judge: (decoded: Decoded) => string | null): string | null {
  const whole = judge(decode(one, Number.POSITIVE_INFINITY, options));
  const split = judge(decode(one, 1, options));
  if (whole !== split) return `whole: ${whole ?? 'agrees'}; byte by byte: ${split ?? 'agrees'}`;
  return whole === null ? null : `${one.name}: ${whole}`;
}

/** llhttp judges a length or a version where it stands, we at the end of the head: a refused head that the input leaves open is ended. */
function decode(one: LlhttpCase, chunkSize: number, options: DecodeOptions): Decoded {
  const ours = decodeCase(one, chunkSize, options);
  if (one.expected.ending !== 'error' || ours.ending !== 'open') return ours;
  return decodeCase({ ...one, input: Buffer.concat([one.input, Buffer.from('\r\n\r\n')]) }, chunkSize, options);
}

function difference({ id, kind, expected }: LlhttpCase, ours: Decoded): string | null {
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
  return values.only === undefined ? all : new Map([...all].filter(([id]) => outcomes.some((outcome) => outcome.id === id)));
}
