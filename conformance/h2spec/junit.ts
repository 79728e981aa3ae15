/**
 * Reads the JUnit report of h2spec: which test it ran, in what order, and what became of each.
 *
 * The report is not quite XML: it repeats bytes that a server sent, control characters among them. So it is read for what it is, the output of
 * one program, and whatever does not look like that is refused.
 */

/** One test of h2spec. */
export interface TestResult {
  /** The section and the number within it, as h2spec itself takes them: `http2/5.1/11`. */
  readonly id: string;
  readonly title: string;
  readonly result: 'passed' | 'skipped' | 'failed';
  /** What was expected, line by line, and last what came; empty unless it failed. */
  readonly detail: readonly string[];
}

const ELEMENT = /<testsuite [^>]*?package="([^"]*)"[^>]*?tests="(\d+)"[^>]*>|<testcase [^>]*?classname="([^"]*)"[^>]*>([^]*?)<\/testcase>/g;
const FAILURE = /^\s*<(?:error|failure)[^>]*>([^]*)<\/(?:error|failure)>\s*$/;
const SKIPPED = /^\s*<skipped[^>]*>[^]*<\/skipped>\s*$/;

/** @throws {SyntaxError} when the text is no whole report */
export function parseReport(text: string): readonly TestResult[] {
  if (!/<\/testsuites>\s*$/.test(text)) throw new SyntaxError('the report of h2spec has no end');
  const results: TestResult[] = [];
  let section = '';
  let announced = 0;
  let count = 0;
  const endSection = (): void => {
    if (count !== announced) throw new SyntaxError(`${section} has ${count} tests, ${announced} announced`);
  };
  for (const [, name, tests, title, content = ''] of text.matchAll(ELEMENT)) {
    if (name !== undefined) {
      endSection();
      section = name;
      announced = Number(tests);
      count = 0;
    } else {
      count++;
      results.push({ id: `${section}/${count}`, title: unescape(title ?? ''), ...outcomeOf(content) });
    }
  }
  endSection();
  return results;
}

function outcomeOf(content: string): Pick<TestResult, 'result' | 'detail'> {
  if (content.trim() === '') return { result: 'passed', detail: [] };
  if (SKIPPED.test(content)) return { result: 'skipped', detail: [] };
  const failure = FAILURE.exec(content)?.[1];
  if (failure === undefined) throw new SyntaxError(`a test with ${JSON.stringify(content.slice(0, 80))}`);
  return { result: 'failed', detail: unescape(failure).split('\n') };
}

const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };

function unescape(text: string): string {
  return text.replace(/&(?:#(x[\da-f]+|\d+)|(\w+));/gi, (whole, code: string | undefined, name: string | undefined) => {
    if (code !== undefined) return String.fromCodePoint(Number(code.startsWith('x') ? `0${code}` : code));
    return ENTITIES[name ?? ''] ?? whole;
  });
}
