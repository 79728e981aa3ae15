/** The errors of modules, as the exchanges that they end hear of them. */
import { addContext, applicationError, limitError, timeoutError, toWireError, type WireError, withSource } from '@ferrata/error';

/** A callback of a module threw or rejected. A `WireError` was meant, and stays what it is; anything else is a bug. */
export function moduleThrew(name: string, thrown: unknown): WireError {
  return addContext(withSource(toWireError(thrown, 'MODULE_THREW'), 'internal'), name);
}

/** The promise of a module was not settled in time. */
export function moduleTooSlow(name: string, timeoutMs: number): WireError {
  const message = `a module's promise was not settled within ${timeoutMs} ms`;
  return timeoutError('MODULE_TIMEOUT', message, { wire: { status: 500 }, fault: 'local', source: 'internal', context: name });
}

/** A module gave back what it may not. */
export function moduleGarbage(name: string, wanted: string): WireError {
  return applicationError('MODULE_RETURNED_GARBAGE', `a module must give ${wanted}`, { source: 'internal', context: name });
}

/** A body goes on, though whoever sends it was told to wait for a module. */
export function tooMuchQueued(maxBytes: number): WireError {
  const message = `more than ${maxBytes} bytes of a body wait for a module`;
  return limitError('MODULE_QUEUE_OVERFLOW', message, { wire: { status: 500 }, fault: 'local', source: 'internal' });
}
