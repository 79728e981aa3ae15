/** Failures of certificates and keys that this program was given, as `WireError`s: ours to mend, nothing that a peer did. */
import { isWireError, textOf, tlsError, type WireError } from '@ferrata/error';

/** An error of the type `tls`, fault local, status 500, never to be retried. */
export function certificateError(reason: string, message: string, cause?: unknown): WireError {
  return tlsError(reason, message, { cause, fault: 'local', retry: 'never', wire: { status: 500 } });
}

/** What an error says, without the type and the reason in front: for the message of another one, which has them by itself. */
export function bareTextOf(error: unknown): string {
  const text = textOf(error);
  return isWireError(error) ? text.replace(`${error.type} ${error.reason}: `, '') : text;
}
