/** The frame decoder under the laws of codecs, with the naive reading as the oracle (RFC 9113 §4, §6). */
import { concatBytes } from '@ferrata/bytes';
import { codecLaws, http2FrameCodec, naiveHttp2Frame } from '../../src/index.ts';

const empty = new Uint8Array(0);
const headers = naiveHttp2Frame(1, 0x2c, 1, Uint8Array.of(2, 0x80, 0, 0, 3, 15, 0x82, 0, 0));

codecLaws('FrameDecoder', http2FrameCodec(), {
  runs: 400,
  examples: {
    'HEADERS with padding and priority, DATA of padding alone': concatBytes([headers, naiveHttp2Frame(0, 9, 1, Uint8Array.of(3, 0, 0, 0))]),
    'a PRIORITY of four bytes': naiveHttp2Frame(2, 0, 1, new Uint8Array(4)),
    'a field block without an end': concatBytes([headers, naiveHttp2Frame(1, 0, 3, empty), naiveHttp2Frame(9, 0, 3, empty)]),
    'DATA of which a part is there': naiveHttp2Frame(0, 8, 1, Uint8Array.of(1, 2, 3, 0)).subarray(0, 11),
    'a frame that is too long, before its payload': Uint8Array.of(0, 0x40, 1, 0xfa, 0, 0, 0, 0, 0),
  },
});

codecLaws('FrameDecoder with low limits', http2FrameCodec({ maxContinuations: 1, maxHeaderBlockBytes: 80, maxSettings: 6 }), {
  runs: 300,
});
