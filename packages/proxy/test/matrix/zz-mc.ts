import { CELLS, samplingOf } from './ends.ts';
import { clientBatches } from './client-plan.ts';
import { runClient } from './client-run.ts';
const want = process.argv[2]; const re = process.argv[3]; 
let total = 0;
for (const cell of CELLS) {
  if (want && cell.name !== want) continue;
  const t = performance.now(), c0 = process.cpuUsage();
  let n = 0; const groups = new Map<string, string[]>();
  for (const batch of clientBatches(cell, samplingOf(cell, 3))) {
    if (re && !new RegExp(re).test(batch[0]!.name)) continue;
    n += batch.length;
    for (const f of await runClient(batch)) {
      const k = f.name.replace(/ at \d+ of \d+/, '').replace(cell.name, '') + ' :: ' + f.breaches.join('; ');
      const pos = / at (\d+)/.exec(f.name)?.[1] ?? '?';
      groups.set(k, [...(groups.get(k) ?? []), pos]);
    }
  }
  total += n;
  const c = process.cpuUsage(c0);
  console.log(cell.name, n, 'cases', Math.round(performance.now() - t), 'ms wall', Math.round((c.user + c.system) / 1000), 'ms cpu');
  for (const [k, v] of groups) console.log('   ', k, '@', v.length > 12 ? v.slice(0, 4).join(',') + '…' + v.at(-1) + ` (${v.length})` : v.join(','));
}
console.log(total);
