/** How many descriptors this process may open: what a cap on connections has to stay below. */
import { readFileSync } from 'node:fs';

/**
 * The soft limit of open descriptors (`ulimit -n`), which holds for all threads of the process together.
 *
 * @returns `Infinity` where there is none, or where it cannot be known (Windows)
 */
export function descriptorLimit(): number {
  return process.platform === 'linux' ? fromProc() : fromReport();
}

/** `Max open files            1024                 1048576              files`, see proc(5). */
function fromProc(): number {
  try {
    const limits = readFileSync('/proc/self/limits', 'latin1');
    return toLimit(/^Max open files +(\S+)/m.exec(limits)?.[1]);
  } catch {
    // No /proc in this container.
    return fromReport();
  }
}

/** Takes some 10 ms; asked once, at the start. */
function fromReport(): number {
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft?: number | string } } };
  return toLimit(report.userLimits?.open_files?.soft);
}

function toLimit(soft: number | string | undefined): number {
  const limit = Number(soft);
  return Number.isSafeInteger(limit) && limit > 0 ? limit : Infinity;
}
