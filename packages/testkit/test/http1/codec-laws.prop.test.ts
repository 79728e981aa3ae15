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

// What a leniency takes must obey the laws too; the naive reader knows of none (RFC 9112 §2.2, §5.1, §5.2, §6.3, §7.1).
const lenientWords = [
  '\n',
  '\n\n',
  '\r\n ',
  '\r\n\t',
  ' :',
  '\x80',
  'Content-Length: 1\r\nContent-Length: 1\r\n',
  'Content-Length: 1, 1\r\n',
  'Content-Length: x\r\n',
  'Content-Length: 1\r\nTransfer-Encoding: chunked\r\n',
  '1 \r\n',
];
codecLaws(
  'RequestDecoder with all leniencies',
  http1RequestCodec(
    { leniency: { bareLineFeed: true, missingHost: true, nonAsciiTarget: true, repeatedEqualContentLength: true } },
    { hasOracle: false, dictionary: lenientWords },
  ),
  { runs: 300, examples: { 'lines that end in LF': latin1Encode('\nGET /\xe4 HTTP/1.1\nHost: a\nContent-Length: 2, 2\n\nhi') } },
);
const leniency = {
  bareLineFeed: true,
  blankAfterChunkSize: true,
  blankBeforeColon: true,
  contentLengthWithTransferEncoding: true,
  emptyLinesBeforeResponse: true,
  foldedFields: true,
  invalidContentLength: true,
  repeatedEqualContentLength: true,
};
for (const method of ['GET', 'HEAD']) {
  codecLaws(
    `ResponseDecoder with all leniencies, answer to ${method}`,
    http1ResponseCodec(method, { leniency }, { hasOracle: false, dictionary: lenientWords }),
    {
      runs: 300,
      examples: {
        'folds, blanks and both lengths': latin1Encode(
          '\r\nHTTP/1.1 200 OK\nX : a\n b\nContent-Length: 9\nTransfer-Encoding: chunked\n\n1 \r\nx\r\n0\r\n\r\n',
        ),
      },
    },
  );
}
