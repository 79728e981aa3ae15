/**
 * The chart of docs/guide/phases.md: the hooks of the proxy in their order, by what each of them may do. Written as SVG, without a library:
 * `node tools/guide-chart.ts` writes docs/guide/phases.svg, and tools/test/guide.test.ts sees to it that what is written is what ProxyHooks says.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './workspace.ts';

/** Where the chart is kept. */
export const CHART_FILE = 'docs/guide/phases.svg';

/** What the session of a hook may still do. */
type Power = 'RequestSession' | 'AnswerableSession' | 'ProxySession';

/** One box: a hook, or something that the proxy does by itself between two of them. */
interface Box {
  readonly name: string;
  /** Null: no hook. */
  readonly power: Power | null;
  readonly mayWait: boolean;
  /** Nothing leads from it to the box below: that stands for another case. */
  readonly isLast?: boolean;
}

const edits = (name: string, mayWait = true): Box => ({ name, power: 'RequestSession', mayWait });
const answers = (name: string, mayWait = true): Box => ({ name, power: 'AnswerableSession', mayWait });
const looks = (name: string, mayWait = true): Box => ({ name, power: 'ProxySession', mayWait });
const own = (name: string): Box => ({ name, power: null, mayWait: true });

/** The columns, each from top to bottom. */
export const COLUMNS: readonly { readonly title: string; readonly boxes: readonly Box[] }[] = [
  {
    title: 'the request comes, and goes upstream',
    boxes: [
      looks('newContext', false),
      edits('onConnectionReuse', false),
      edits('earlyRequestFilter'),
      looks('allowSpawningSubrequest', false),
      own('modules: the request'),
      edits('requestFilter'),
      answers('proxyUpstreamFilter'),
      answers('upstreamPeer'),
      own('a connection, made or reused'),
      answers('connectedToUpstream'),
      answers('upstreamRequestFilter'),
      answers('requestBodyFilter'),
    ],
  },
  {
    title: 'the response comes back',
    boxes: [
      answers('adjustUpstreamModules'),
      own('upstream modules'),
      answers('upstreamResponseFilter'),
      answers('responseFilter'),
      own('modules: the head'),
      looks('upstreamResponseBodyFilter'),
      looks('responseBodyFilter'),
      own('modules: the body'),
      looks('upstreamResponseTrailerFilter', false),
      looks('responseTrailerFilter'),
      own('modules: the trailers'),
    ],
  },
  {
    title: 'it fails, or ends',
    boxes: [
      { ...answers('failToConnect'), isLast: true },
      answers('errorWhileProxy', false),
      own('no try is left, or a hook failed'),
      looks('suppressErrorLog', false),
      looks('requestSummary', false),
      own('onError'),
      answers('failToProxy'),
      own('all is over'),
      looks('logging'),
      looks('persistConnectionContext', false),
    ],
  },
];

const FILLS: Readonly<Record<Power, string>> = { RequestSession: '#cfe8d5', AnswerableSession: '#fde9b8', ProxySession: '#dfe3ea' };
const MEANINGS: Readonly<Record<Power, string>> = {
  RequestSession: 'edits the request, too',
  AnswerableSession: 'may answer, or fail',
  ProxySession: 'looks',
};

const LEFT = 12;
const TOP = 44;
const WIDTH = 248;
const HEIGHT = 24;
const STEP = 36;
const COLUMN_STEP = 284;

/** The chart, as the text of an SVG. */
export function phasesChart(): string {
  const rows = Math.max(...COLUMNS.map(({ boxes }) => boxes.length));
  const legendTop = TOP + rows * STEP + 8;
  const width = LEFT * 2 + COLUMN_STEP * (COLUMNS.length - 1) + WIDTH;
  const height = legendTop + 44;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>The hooks of the proxy, in their order</title>',
    '<defs><marker id="tip" markerWidth="7" markerHeight="6" refX="6" refY="3" orient="auto"><path d="M0 0 7 3 0 6z"/></marker></defs>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...COLUMNS.flatMap(({ title, boxes }, index) => columnOf(title, boxes, LEFT + index * COLUMN_STEP)),
    ...legendAt(legendTop),
    '</svg>',
    '',
  ].join('\n');
}

function columnOf(title: string, boxes: readonly Box[], x: number): readonly string[] {
  const lines = [`<text x="${x}" y="${TOP - 16}" font-weight="bold">${title}</text>`];
  for (const [index, box] of boxes.entries()) {
    const y = TOP + index * STEP;
    lines.push(boxAt(box, x, y));
    const from = y + HEIGHT;
    if (index < boxes.length - 1 && box.isLast !== true)
      lines.push(`<path d="M${x + WIDTH / 2} ${from}V${from + STEP - HEIGHT - 1}" stroke="#000" marker-end="url(#tip)"/>`);
  }
  return lines;
}

function boxAt({ name, power, mayWait }: Box, x: number, y: number): string {
  const look = power === null ? 'fill="#fff" stroke-dasharray="3 2"' : `fill="${FILLS[power]}"`;
  const rect = `<rect x="${x}" y="${y}" width="${WIDTH}" height="${HEIGHT}" rx="4" stroke="#555" ${look}/>`;
  const style = power === null ? ' font-style="italic"' : '';
  const sync = mayWait ? '' : `<text x="${x + WIDTH - 8}" y="${y + 16}" text-anchor="end" fill="#555">sync</text>`;
  return `${rect}<text x="${x + 8}" y="${y + 16}"${style}>${name}</text>${sync}`;
}

function legendAt(top: number): readonly string[] {
  const powers = Object.entries(MEANINGS) as [Power, string][];
  const entries = powers.map(([power, meaning], index) => {
    const x = LEFT + index * COLUMN_STEP;
    return `<rect x="${x}" y="${top}" width="16" height="14" rx="3" stroke="#555" fill="${FILLS[power]}"/><text x="${x + 24}" y="${top + 12}">${power}: ${meaning}</text>`;
  });
  const note =
    'Dashed: done by the proxy itself. sync: must not return a promise. Both failures of a try lead back to upstreamPeer if another is allowed.';
  return [...entries, `<text x="${LEFT}" y="${top + 34}" fill="#333">${note}</text>`];
}

if (import.meta.main) writeFileSync(join(root, CHART_FILE), phasesChart());
