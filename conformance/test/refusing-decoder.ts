/** A decoder with a planted fault: it refuses what is to be refused, but says another status. */
import assert from 'node:assert/strict';
import { WireError } from '@ferrata/error';
import { RequestDecoder } from '@ferrata/http1';

/** Makes a `RequestDecoder` whose every refusal has `status`. */
export function refusingWith(status: number): RequestDecoder {
  return new (class extends RequestDecoder {
    override next(): boolean {
      try {
        return super.next();
      } catch (error) {
        assert.ok(error instanceof WireError);
        throw new WireError(error.type, error.reason, { wire: { status } });
      }
    }
  })();
}
