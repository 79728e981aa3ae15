/** The last resort for what a callback of the user has thrown: where nobody is told, or the one who was told throws in turn. */
import { textOf } from '@ferrata/error';

/** Shows a bug as a warning of the process, which lives on. */
export function warn(thrown: unknown): void {
  process.emitWarning(thrown instanceof Error ? thrown : textOf(thrown));
}
