/** U11 to U14 of the fault list: answers of HTTP/1 that break its rules, before every client. */
import { answerBatches } from './answer-plan.ts';
import { runAnswers } from './answer-run.ts';
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';

testCells({
  what: 'nothing of an answer that breaks the rules goes on',
  cells: CELLS.filter(({ up }) => up.protocol === 'http1'),
  batchesOf: answerBatches,
  run: runAnswers,
});
