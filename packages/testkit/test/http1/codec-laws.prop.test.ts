/** The decoders of HTTP/1 under the laws of codecs, with the naive reading as the oracle (RFC 9112). */
import { latin1Encode } from '@ferrata/bytes';
import { codecLaws, http1RequestCodec, http1ResponseCodec } from '../../src/index.ts';

const chunked =
  'POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;x="y"\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n';

codecLaws('RequestDecoder', http1RequestCodec(), {
  runs: 300,
  examples: {
    'a chunked request and another': latin1Encode(chunked),
    'a request with both lengths': latin1Encode('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n'),
  },
});
for (const method of ['GET', 'HEAD']) {
  codecLaws(`ResponseDecoder, answer to ${method}`, http1ResponseCodec(method), {
    runs: 300,
    examples: {
      'an interim and a final response': latin1Encode(
        'HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
      ),
    },
  });
}
