/** @ferrata/error: one error shape for every layer: type, reason, source, retry, fault, wire code, cause. */

export {
  applicationError,
  connectError,
  internalError,
  ioError,
  limitError,
  protocolError,
  timeoutError,
  tlsError,
  toWireError,
} from './make.ts';
export { fromNodeError } from './node-error.ts';
export { checkNumber, checkWholeNumber, type NumberRange, type WholeNumberRange } from './option-checks.ts';
export { textOf } from './text-of.ts';
export { throwCollected } from './throw-collected.ts';
export { unreachable } from './unreachable.ts';
export {
  addContext,
  type ErrorSource,
  type ErrorType,
  type Fault,
  isWireError,
  mayRetry,
  type Retry,
  rootCause,
  WireError,
  type WireErrorDetails,
  type WireHint,
  withSource,
} from './wire-error.ts';
