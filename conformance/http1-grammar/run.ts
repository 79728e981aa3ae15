/** The suite `http1-grammar`: see `README.md` beside this file. */
import { HeaderMap, removeHopByHop } from '@ferrata/headers';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { byteQuestions, GRAMMARS, methodQuestions, type Question } from './tables.ts';

const outcomes: readonly Outcome[] = await Promise.all(
  GRAMMARS.flatMap((grammar) => [
    ...[...byteQuestions(grammar), ...methodQuestions(grammar)].map((question) => outcomeOf(question.id, () => compare(question))),
    ...grammar.specialFields.map((name) => outcomeOf(`${grammar.name}/special/${name}`, () => staysHere(name))),
  ]),
);
process.exitCode = report('http1-grammar', summarise(outcomes, readKnownFailures(new URL('known-differences.txt', import.meta.url))));

function compare({ theirs, ours }: Question): string | null {
  return ours.every((one) => one === theirs) ? null : `llhttp says ${String(theirs)}, we ${ours.join(' and ')}`;
}

/** A field that llhttp obeys itself must not go to the next hop as it came. */
function staysHere(name: string): string | null {
  const headers = new HeaderMap();
  headers.append(name, 'x');
  removeHopByHop(headers);
  return headers.has(name) ? 'sent on to the next hop' : null;
}
