/** All cases of responses. */
import { TOKEN } from '../request-case.ts';
import type { ResponseCase } from '../response-case.ts';
import { responseByteCases } from './bytes.ts';
import { exchangeCases } from './exchange.ts';
import { mirroredCases } from './mirrored.ts';
import { statusLineCases } from './status-line.ts';

/** Makes the cases. */
export function responseCases(): readonly ResponseCase[] {
  const cases = [...statusLineCases(), ...exchangeCases(), ...responseByteCases(), ...mirroredCases()];
  const odd = cases.find(({ raw }) => raw.includes(TOKEN));
  if (odd !== undefined) throw new TypeError(`${odd.id} holds a token, and responses have none`);
  return cases;
}
