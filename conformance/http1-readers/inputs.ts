/**
 * What the readers are given: the inputs of the fuzz corpora, the cases of `http1-smuggling`, valid messages that the test kit draws, and near misses
 * of all of these, parts of one spliced into another among them. A seed makes all that is random.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { concatBytes } from '@ferrata/bytes';
import { http1Pipelines, http1Responses, nearMisses } from '@ferrata/testkit';
import fc from 'fast-check';
import { readCases } from '../http1-smuggling/cases.ts';

/** The bytes of one connection. */
export interface Input {
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** The bytes of an origin's connection, and the method of the request that they answer. */
export interface ResponseInput extends Input {
  readonly method: string;
}

/** One input for each thing that a reader is known to do in its own way, so that none of these is left to chance. */
const REQUEST_EDGES: readonly string[] = [
  'get / HTTP/1.1\r\nHost: a\r\n\r\n',
  'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET /a/../../b HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a..b\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nIf-Match: 1\r\nIf-Match: 2\r\n\r\n',
  'PRI / HTTP/1.1\r\nHost: a\r\n\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n',
  'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n',
];
const RESPONSE_EDGES: readonly string[] = [
  'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200   OK\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\n!#$: 1\r\nContent-Length: 0\r\n\r\n',
  'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n',
];

const CHUNKED_HEAD = Buffer.from('POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n', 'latin1');
/** Stands behind half of the mutations: what is wrong with the length of a message shows in the one that follows. */
const NEXT_REQUEST = Buffer.from('GET /next HTTP/1.1\r\nHost: next\r\n\r\n', 'latin1');
const MAX_BASE_BYTES = 2048;
const MAX_PIECE_BYTES = 256;
const MAX_CHANGES = 4;
const RESPONSE_METHODS = ['GET', 'HEAD', 'GET', 'POST'] as const;

/** How much of what is random there is. */
export interface Counts {
  readonly drawn: number;
  readonly mutated: number;
}

/** The inputs for the server side. */
export function requestInputs(seed: number, { drawn, mutated }: Counts): readonly Input[] {
  const seeds = [
    ...corpus('http1-request'),
    ...corpus('http1-chunked').map(({ id, bytes }) => ({ id, bytes: Buffer.concat([CHUNKED_HEAD, bytes]) })),
    ...REQUEST_EDGES.map((text, index) => ({ id: `edge/${index}`, bytes: Buffer.from(text, 'latin1') })),
    ...readCases().map(({ id, raw }) => ({ id: `smuggling/${id}`, bytes: raw })),
    ...fc
      .sample(http1Pipelines(), { seed, numRuns: drawn })
      .map((requests, index) => ({ id: `drawn/${seed}/${index}`, bytes: concatBytes(requests.map(({ bytes }) => bytes)) })),
  ];
  const mutations = mutate(seeds, seed, mutated).map(({ id, bytes }, index) => ({
    id,
    bytes: index % 2 === 0 ? bytes : Buffer.concat([bytes, NEXT_REQUEST]),
  }));
  return [...seeds, ...mutations];
}

/**
 * The inputs for the client side. The first byte of a corpus file says which requests its responses answer, as in the fuzz target; here there is
 * one request, so only the first counts.
 */
export function responseInputs(seed: number, { drawn, mutated }: Counts): readonly ResponseInput[] {
  const seeds = [
    ...corpus('http1-response'),
    ...RESPONSE_EDGES.map((text, index) => ({ id: `edge/${index}`, bytes: Buffer.from(`\0${text}`, 'latin1') })),
    ...fc.sample(http1Responses(), { seed, numRuns: drawn }).map(({ requestMethod, bytes }, index) => ({
      id: `drawn/${seed}/${index}`,
      bytes: concatBytes([Uint8Array.of(RESPONSE_METHODS.indexOf(requestMethod as 'GET')), bytes]),
    })),
  ];
  return [...seeds, ...mutate(seeds, seed, mutated)].map(({ id, bytes }) => ({
    id,
    bytes: bytes.subarray(1),
    method: RESPONSE_METHODS[(bytes[0] ?? 0) & 3] as string,
  }));
}

function corpus(name: string): Input[] {
  const folder = new URL(`../../fuzz/corpora/${name}/`, import.meta.url);
  return readdirSync(folder)
    .toSorted()
    .map((file) => ({ id: `${name}/${file}`, bytes: readFileSync(new URL(file, folder)) }));
}

/** A splice of one message into another is what smuggling is made of, so whole messages are pieces too. */
function mutate(seeds: readonly Input[], seed: number, count: number): Input[] {
  // Plain arrays: `slice` of a Buffer is no copy.
  const bases = seeds.map(({ bytes }) => Uint8Array.from(bytes)).filter(({ length }) => length <= MAX_BASE_BYTES);
  const dictionary = bases.filter(({ length }) => length <= MAX_PIECE_BYTES);
  return fc
    .sample(nearMisses(fc.constantFrom(...bases), { maxChanges: MAX_CHANGES, dictionary }), { seed, numRuns: count })
    .map((bytes, index) => ({ id: `mutated/${seed}/${index}`, bytes }));
}
