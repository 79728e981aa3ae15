/** All cases of requests. */
import { type RequestCase, TOKEN } from '../request-case.ts';
import { byteCases } from './bytes.ts';
import { chunkCases } from './chunks.ts';
import { connectionCases } from './connection.ts';
import { contentLengthCases } from './content-length.ts';
import { fieldCases } from './fields.ts';
import { hostCases } from './host.ts';
import { limitCases } from './limits.ts';
import { requestLineCases } from './request-line.ts';
import { trailerCases } from './trailers.ts';
import { transferEncodingCases } from './transfer-encoding.ts';

/** Makes the cases, each with its own token in place of `TOKEN_`. */
export function requestCases(): readonly RequestCase[] {
  const cases = [
    ...contentLengthCases(),
    ...transferEncodingCases(),
    ...chunkCases(),
    ...trailerCases(),
    ...byteCases(),
    ...requestLineCases(),
    ...hostCases(),
    ...connectionCases(),
    ...fieldCases(),
    ...limitCases(),
  ];
  return cases.map((one, index) => withToken(one, `t${String(index).padStart(5, '0')}`));
}

function withToken(one: RequestCase, token: string): RequestCase {
  const put = (text: string): string => text.replaceAll(TOKEN, token);
  return {
    ...one,
    raw: put(one.raw),
    serves: one.serves.map((request) => ({ ...request, target: put(request.target), path: put(request.path), body: put(request.body) })),
  };
}
