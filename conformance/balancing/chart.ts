/**
 * The chart of docs/guide/load-balancing.md, and the table beside it: what the simulation has measured. Written as SVG, without a library:
 * `node conformance/balancing/chart.ts` writes both anew, and the suite sees to it that what stands there is what the simulation gives.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type Figure, figuresOf, type Measured, markdownTable } from './figures.ts';
import { chartJobs, runJobs } from './jobs.ts';
import { ALGORITHMS, type AlgorithmId, SCENARIOS, WORLD } from './scenarios.ts';
import type { SimulationResult } from './simulation.ts';

const GUIDE = new URL('../../docs/guide/', import.meta.url);

/** Where the chart is kept. */
export const chartUrl: URL = new URL('load-balancing.svg', GUIDE);

/** The page that has the table. */
export const pageUrl: URL = new URL('load-balancing.md', GUIDE);

/** Okabe and Ito's, which the colour-blind can tell apart. */
const FILLS: Readonly<Record<AlgorithmId, string>> = {
  roundRobin: '#d55e00',
  leastRequests: '#e69f00',
  powerOfTwo: '#56b4e9',
  peakEwma: '#0072b2',
  ketama: '#8a8a8a',
  boundedLoad: '#009e73',
};

/** What a group of bars is called: two lines. */
const NAMES: Readonly<Record<string, readonly [string, string]>> = {
  well: ['all well', ''],
  slow: ['one backend', '10× slower'],
  errors: ['one answers', 'errors at once'],
  gone: ['one is gone', 'for 25 s'],
  flapping: ['one comes and', 'goes, each 5 s'],
  unequal: ['half of them', '2× faster'],
  keyed: ['by key; some keys', 'are very popular'],
};

const WIDTH = 960;
const LEFT = 64;
const RIGHT = 16;
const PANEL_HEIGHT = 210;
const BAR = 25;
/** From bar to bar, where there is room. */
const WIDE_STEP = 38;
const INK = '#1f2328';
const FAINT = '#d0d7de';
const SOFT = '#57606a';

/** One half of the picture. */
interface Panel {
  readonly title: string;
  readonly axis: string;
  readonly scenarios: readonly string[];
  readonly what: 'p99' | 'failed';
  /** The powers of ten that the axis begins and ends with. */
  readonly decades: readonly [number, number];
  readonly top: number;
}

const PANELS: readonly Panel[] = [
  {
    title: 'Latency: 99 of 100 requests were answered within …',
    axis: 'p99 in milliseconds, log scale',
    scenarios: SCENARIOS.map(({ id }) => id),
    what: 'p99',
    decades: [1, 3.2],
    top: 172,
  },
  {
    title: 'Failed requests, after one retry where a retry was allowed',
    axis: 'of 10 000, log scale',
    scenarios: ['slow', 'errors', 'gone', 'flapping'],
    what: 'failed',
    decades: [-1, 3],
    top: 500,
  },
];

/** The chart, as the text of an SVG. */
export function balancingChart(figures: readonly Figure[]): string {
  const height = 770;
  const { backends, requestsPerSecond, seconds } = WORLD;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" fill="${INK}">`,
    '<title>What algorithms of selection and outlier ejection do for latency and errors, simulated</title>',
    '<defs><pattern id="pale" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="6" height="6" fill="#fff" fill-opacity="0.72"/><rect width="1.5" height="6" fill="#fff" fill-opacity="0.2"/></pattern></defs>',
    `<rect width="${WIDTH}" height="${height}" rx="6" fill="#fff"/>`,
    `<text x="${LEFT}" y="34" font-size="17" font-weight="bold">Who gets the next request, when one of ${backends} backends is in trouble?</text>`,
    `<text x="${LEFT}" y="54" fill="${SOFT}">Simulated: ${requestsPerSecond.toLocaleString('en').replace(',', ' ')} requests a second for ${seconds} s, half of what the backends can do; active health checks each second; mean of 5 seeds.</text>`,
    ...legend(),
    ...PANELS.flatMap((panel) => panelOf(panel, figures)),
    '</svg>',
    '',
  ].join('\n');
}

function legend(): readonly string[] {
  const lines: string[] = [];
  let x = LEFT;
  for (const [id, { title }] of Object.entries(ALGORITHMS)) {
    lines.push(
      `<rect x="${x}" y="70" width="14" height="14" rx="2" fill="${FILLS[id as AlgorithmId]}"/><text x="${x + 20}" y="81">${title}</text>`,
    );
    x += 52 + title.length * 7;
  }
  const y = 95;
  lines.push(
    `<rect x="${LEFT}" y="${y}" width="14" height="14" rx="2" fill="${SOFT}"/><rect x="${LEFT}" y="${y}" width="14" height="14" rx="2" fill="url(#pale)"/><text x="${LEFT + 20}" y="${y + 11}">whole bar, upper figure: without outlier ejection</text>`,
    `<rect x="${LEFT + 330}" y="${y}" width="14" height="14" rx="2" fill="${SOFT}"/><text x="${LEFT + 350}" y="${y + 11}">full colour, figure with an arrow: with outlier ejection (left out where it is the same)</text>`,
  );
  return lines;
}

function panelOf(panel: Panel, figures: readonly Figure[]): readonly string[] {
  const { title, axis, scenarios, what, top, decades } = panel;
  const bottom = top + PANEL_HEIGHT;
  const yOf = (value: number): number => {
    const [from, to] = decades;
    const share = (Math.log10(Math.max(value, 10 ** from)) - from) / (to - from);
    return Math.round((bottom - Math.min(1, share) * PANEL_HEIGHT) * 10) / 10;
  };
  const lines = [
    `<text x="${LEFT}" y="${top - 22}" font-size="14" font-weight="bold">${title}</text>`,
    `<text x="16" y="${top + PANEL_HEIGHT / 2}" fill="${SOFT}" text-anchor="middle" transform="rotate(-90 16 ${top + PANEL_HEIGHT / 2})">${axis}</text>`,
  ];
  for (let power = Math.ceil(decades[0]); power <= decades[1]; power++) {
    const y = yOf(10 ** power);
    lines.push(
      `<path d="M${LEFT} ${y}H${WIDTH - RIGHT}" stroke="${FAINT}"/><text x="${LEFT - 8}" y="${y + 4}" text-anchor="end" fill="${SOFT}">${10 ** power}</text>`,
    );
  }
  const step = (WIDTH - LEFT - RIGHT) / scenarios.length;
  const barStep = Math.min(WIDE_STEP, step / 4.4);
  for (const [index, scenario] of scenarios.entries()) {
    const own = figures.filter((figure) => figure.scenario === scenario);
    const middle = LEFT + (index + 0.5) * step;
    for (const [place, figure] of own.entries())
      lines.push(...barOf(figure, what, middle + (place + 0.5 - own.length / 2) * barStep - BAR / 2, { yOf, bottom }));
    const [first, second] = NAMES[scenario] ?? [scenario, ''];
    lines.push(
      `<text x="${middle}" y="${bottom + 20}" text-anchor="middle">${first}</text><text x="${middle}" y="${bottom + 35}" text-anchor="middle">${second}</text>`,
    );
  }
  lines.push(`<path d="M${LEFT} ${bottom}H${WIDTH - RIGHT}" stroke="${INK}"/>`);
  return lines;
}

/** A bar in full colour up to what is left with ejection, pale up to what it is without. */
function barOf(
  { algorithm, plain, ejecting }: Figure,
  what: keyof Measured,
  x: number,
  { yOf, bottom }: { readonly yOf: (value: number) => number; readonly bottom: number },
): readonly string[] {
  const [without, left] = [plain[what], ejecting[what]];
  const [high, low] = [yOf(Math.max(without, left)), yOf(Math.min(without, left))];
  const rect = (top: number, height: number, fill: string): string =>
    `<rect x="${round(x)}" y="${top}" width="${BAR}" height="${round(height)}" fill="${fill}"/>`;
  const middle = round(x + BAR / 2);
  const isTold = Math.abs(without - left) > 0.05 * without;
  const label = (text: string, y: number, weight: string): string =>
    `<text x="${middle}" y="${round(y)}" text-anchor="middle" font-size="11"${weight}>${text}</text>`;
  const lines = without === 0 ? [] : [rect(high, bottom - high, FILLS[algorithm])];
  if (isTold && without > left) lines.push(rect(high, low - high, 'url(#pale)'));
  const above = isTold ? high - 17 : high - 5;
  lines.push(label(String(without), above, ''));
  if (isTold) lines.push(label(`→${left}`, high - 4, ' font-weight="bold"'));
  return lines;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Behind this line of the page the table begins; it ends with an empty line. */
const TABLE_MARK = '<!-- written by conformance/balancing/chart.ts -->\n';

/** The page, with the table of these figures. @throws {RangeError} when it has no place for one */
export function withTable(page: string, figures: readonly Figure[]): string {
  const from = page.indexOf(TABLE_MARK) + TABLE_MARK.length;
  const to = page.indexOf('\n\n', from);
  if (from < TABLE_MARK.length || to === -1) throw new RangeError(`the page has no line ${TABLE_MARK.trim()}, or nothing below`);
  return `${page.slice(0, from)}${markdownTable(figures)}${page.slice(to)}`;
}

/** @returns what differs between what is kept and what was measured, or null */
export function chartProblem(results: readonly SimulationResult[]): string | null {
  const figures = figuresOf(results);
  const page = readFileSync(pageUrl, 'utf8');
  const stale = [
    ...(readFileSync(chartUrl, 'utf8') === balancingChart(figures) ? [] : ['docs/guide/load-balancing.svg']),
    ...(page === withTable(page, figures) ? [] : ['the table of docs/guide/load-balancing.md']),
  ];
  return stale.length === 0 ? null : `${stale.join(' and ')}: not what was measured; node conformance/balancing/chart.ts writes them anew`;
}

if (import.meta.main) {
  const figures = figuresOf(await runJobs(chartJobs()));
  writeFileSync(chartUrl, balancingChart(figures));
  writeFileSync(pageUrl, withTable(readFileSync(pageUrl, 'utf8'), figures));
}
