/** What `npm test` shows: a line as each step ends, a live line below it on a terminal, and one table at the end. */

import type { Finished, StepObserver } from './steps.ts';
import { addTotals, type Totals, totalsLine } from './totals.ts';

/** Lines of a failed step's output that go on the screen; the rest is in its log file. */
const SHOWN_LINES = 200;

export class Board implements StepObserver {
  readonly #stream: NodeJS.WriteStream;
  readonly #running = new Map<string, string>();
  #hasLiveLine = false;

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream;
  }

  onStart(name: string): void {
    this.#running.set(name, '');
    this.#drawLiveLine();
  }

  onFinish(step: Finished): void {
    this.#running.delete(step.name);
    this.#print(row(step));
    this.#drawLiveLine();
  }

  /** Says how far a running step is; only seen on a terminal. */
  progress(name: string, text: string): void {
    if (!this.#running.has(name)) return;
    this.#running.set(name, text);
    this.#drawLiveLine();
  }

  /** Prints what failed, then the table, then the totals as the last line. @returns the totals */
  conclude(steps: readonly Finished[], seconds: number): Totals {
    this.#clearLiveLine();
    for (const step of steps) {
      if (step.failed === 0) continue;
      this.#print(`\n── ${step.name} ${'─'.repeat(Math.max(0, 76 - step.name.length))}\n${shorten(step.output ?? '', step.name)}`);
    }
    this.#print(`\n${steps.map(row).join('\n')}\n`);
    const totals = steps.reduce<Totals>((sum, step) => addTotals(sum, step, 0), { passed: 0, failed: 0 });
    this.#print(`${seconds.toFixed(0)} s`);
    this.#print(totalsLine(totals));
    return totals;
  }

  #print(text: string): void {
    this.#clearLiveLine();
    this.#stream.write(`${text}\n`);
  }

  #drawLiveLine(): void {
    if (!this.#stream.isTTY) return;
    const parts = [...this.#running].map(([name, text]) => (text === '' ? name : `${name} (${text})`));
    this.#clearLiveLine();
    if (parts.length === 0) return;
    this.#stream.write(`  … ${parts.join(', ')}`.slice(0, this.#stream.columns - 1));
    this.#hasLiveLine = true;
  }

  #clearLiveLine(): void {
    if (!this.#hasLiveLine) return;
    this.#stream.write('\r\u001B[2K');
    this.#hasLiveLine = false;
  }
}

function row(step: Finished): string {
  const mark = step.failed === 0 ? '✔' : '✘';
  const seconds = `${(step.ms / 1000).toFixed(1)} s`;
  return `${mark} ${step.name.padEnd(12)}${seconds.padStart(8)}   ${String(step.passed).padStart(6)} passed ${String(step.failed).padStart(4)} failed   ${step.note}`;
}

function shorten(output: string, name: string): string {
  const lines = output.trimEnd().split('\n');
  if (lines.length <= SHOWN_LINES) return lines.join('\n');
  return [
    ...lines.slice(0, SHOWN_LINES),
    `… ${lines.length - SHOWN_LINES} more lines in .cache/check/${name.replaceAll(' ', '-')}.log`,
  ].join('\n');
}
