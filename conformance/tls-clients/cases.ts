/** What each client does, and what it must have seen. A check returns the problem, or null. */
import { connect as connectHttp2 } from 'node:http2';
import { request } from 'node:https';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import { Agent, fetch } from 'undici';
import { dumpPage, type Ended, runProgram } from './programs.ts';
import { type Rig, type Route, UPLOAD_BYTES } from './rig.ts';

/** A case, before it is run. */
export interface ClientCase {
  readonly id: string;
  readonly check: () => Promise<string | null>;
}

const LIMIT_MS = 20_000;

/** Those of curl. */
export function curlCases(rig: Rig, route: Route): readonly ClientCase[] {
  const { name, port, originVersion } = route;
  const url = `https://a.test:${port}`;
  const base = ['-sS', '--max-time', '15', '--resolve', `a.test:${port}:127.0.0.1`, '--resolve', `x.b.test:${port}:127.0.0.1`];
  const trusting = [...base, '--cacert', rig.authorityFile];
  const shown = ['-o', '/dev/null', '-w', '%{http_code} %{http_version} %header{x-origin-version} %header{x-forwarded-proto-seen}'];
  const expected = (version: string): string => (originVersion === null ? `502 ${version}  ` : `200 ${version} ${originVersion} https`);
  const curl = (id: string, args: readonly string[], judge: (ended: Ended) => string | null): ClientCase => ({
    id: `curl/${name}/${id}`,
    check: async () => judge(await runProgram('curl', args)),
  });
  const says = (text: string) => (ended: Ended) => differs('curl saw', ended.output.trim(), text.trim()) ?? exited(ended, 0);
  const cases = [
    curl('page-http1', [...trusting, '--http1.1', ...shown, `${url}/`], says(expected('1.1'))),
    curl('page-http2', [...trusting, '--http2', ...shown, `${url}/`], says(expected('2'))),
    curl('tls12', [...trusting, '--tls-max', '1.2', '--http2', ...shown, `${url}/`], says(expected('2'))),
    curl('sni-wildcard', [...trusting, '--http2', ...shown, `https://x.b.test:${port}/`], says(expected('2'))),
  ];
  if (originVersion === null) return cases;
  return [
    ...cases,
    // 60: the certificate cannot be verified; 35: the handshake failed.
    curl('wrong-authority', [...base, '--cacert', rig.otherAuthorityFile, `${url}/`], (ended) => exited(ended, 60)),
    curl(
      'wrong-name',
      [...base, '--cacert', rig.authorityFile, '--resolve', `c.test:${port}:127.0.0.1`, `https://c.test:${port}/`],
      (ended) => exited(ended, 60),
    ),
    curl('tls11', [...trusting, '--tlsv1.0', '--tls-max', '1.1', '--ciphers', 'DEFAULT@SECLEVEL=0', `${url}/`], (ended) =>
      exited(ended, 35),
    ),
    curl(
      'upload',
      [
        ...trusting,
        '--http2',
        '--data-binary',
        `@${rig.uploadFile}`,
        '-o',
        '/dev/null',
        '-w',
        '%{http_code} %{size_upload} %{size_download}',
        `${url}/echo`,
      ],
      (ended) => {
        const [code, sent, received] = ended.output.split(' ');
        return code === '200' && sent === received && Number(sent) === UPLOAD_BYTES ? null : `curl saw ${ended.output} ${ended.errors}`;
      },
    ),
    curl(
      'many',
      [...trusting, '--http2', '--parallel', '-o', '/dev/null', '-w', '%{http_code} %{size_download}\\n', `${url}/number/[1-99]`],
      (ended) => {
        const answers = ended.output.trim().split('\n');
        return answers.length === 99 && answers.every((answer) => /^200 [12]$/.test(answer))
          ? exited(ended, 0)
          : `curl saw ${ended.output}`;
      },
    ),
  ];
}

/** Those of `openssl s_client`. */
export function opensslCases(rig: Rig, { name, port }: Route): readonly ClientCase[] {
  const base = ['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', rig.authorityFile];
  const ask = 'GET /number/7 HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n';
  const client = (
    id: string,
    args: readonly string[],
    input: Parameters<typeof runProgram>[2],
    judge: (ended: Ended) => string | null,
  ): ClientCase => ({
    id: `openssl/${name}/${id}`,
    check: async () => judge(await runProgram('openssl', [...base, ...args], input)),
  });
  const holds =
    (...patterns: readonly RegExp[]) =>
    (ended: Ended): string | null => {
      const missing = patterns.find((pattern) => !pattern.test(ended.output + ended.errors));
      return missing === undefined
        ? null
        : `nothing like ${String(missing)} in:\n${ended.output.slice(-2_000)}${ended.errors.slice(-1_000)}`;
    };
  const sessionFile = join(rig.folder, `session-${name}.pem`);
  const answered = { text: ask, until: /\r\n\r\n7|closed/ };
  return [
    client(
      'page',
      ['-servername', 'a.test', '-verify_return_error', '-verify_hostname', 'a.test'],
      answered,
      holds(/Verify return code: 0 \(ok\)/, /New, TLSv1\.3/, /HTTP\/1\.1 200 OK/, /\r\n\r\n7/),
    ),
    client('alpn-h2', ['-servername', 'a.test', '-alpn', 'h2,http/1.1'], { text: '' }, holds(/ALPN protocol: h2/)),
    client('alpn-http1', ['-servername', 'a.test', '-alpn', 'http/1.1'], answered, holds(/ALPN protocol: http\/1\.1/, /\r\n\r\n7/)),
    client('alpn-unknown', ['-servername', 'a.test', '-alpn', 'nothing/9'], answered, holds(/No ALPN negotiated/, /\r\n\r\n7/)),
    client(
      'sni-wildcard',
      ['-servername', 'x.b.test', '-verify_return_error', '-verify_hostname', 'x.b.test'],
      { text: '' },
      holds(/Verify return code: 0 \(ok\)/),
    ),
    client('sni-two-labels', ['-servername', 'x.y.b.test'], { text: '' }, holds(/DNS:a\.test|CN = a\.test/)),
    client('no-sni', ['-noservername'], answered, holds(/CN = a\.test/, /\r\n\r\n7/)),
    client('tls12', ['-servername', 'a.test', '-tls1_2'], answered, holds(/New, TLSv1\.2/, /\r\n\r\n7/)),
    client(
      'tls11',
      ['-servername', 'a.test', '-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0'],
      { text: '' },
      holds(/alert protocol version|no protocols available|unsupported protocol|wrong version|handshake failure|alert internal error/i),
    ),
    client('weak-cipher', ['-servername', 'a.test', '-tls1_2', '-cipher', 'AES128-SHA'], { text: '' }, holds(/handshake failure/i)),
    {
      id: `openssl/${name}/resumed`,
      async check() {
        const first = await runProgram('openssl', [...base, '-servername', 'a.test', '-sess_out', sessionFile], answered);
        if (!first.output.includes('\r\n\r\n7')) return `no answer at first:\n${first.output.slice(-1_000)}`;
        return holds(
          /Reused, TLSv1\.3/,
          /\r\n\r\n7/,
        )(await runProgram('openssl', [...base, '-servername', 'a.test', '-sess_in', sessionFile], answered));
      },
    },
    {
      // A line `R` asks for a renegotiation, which a server of today refuses; what is asked behind it must not be answered.
      id: `openssl/${name}/renegotiation`,
      async check() {
        const input = { text: `R\n${ask}`, until: /RENEGOTIATING[^]*(?:alert|error|closed|\r\n\r\n7)/i };
        const ended = await runProgram('openssl', [...base, '-servername', 'a.test', '-tls1_2'], input);
        if (ended.code === null) return 'it was not refused within 30 s';
        return holds(/RENEGOTIATING/)(ended) ?? (ended.output.includes('\r\n\r\n7') ? 'it went on' : null);
      },
    },
  ];
}

/** How long the proxy may look at what is no handshake. */
const GARBAGE_LIMIT_MS = 5_000;
/** And at what may still become one: its own time for handshakes, 10 s, and some more. */
const UNFINISHED_LIMIT_MS = 12_000;

/** Bytes that are no handshake, each on a connection of its own, which stays open: the proxy must close it, and serve the next. */
export function garbageCases(rig: Pick<Rig, 'authority'>, { name, port }: Route): readonly ClientCase[] {
  const garbage: Readonly<Record<string, Uint8Array>> = {
    'plain-http': Buffer.from('GET / HTTP/1.1\r\nHost: a.test\r\n\r\n'),
    zeros: new Uint8Array(512),
    'half-record': Uint8Array.of(0x16, 0x03, 0x01, 0x40, 0x00, 0x01, 0x00, 0x3f, 0xfc, 0x03, 0x03),
    'alert-first': Uint8Array.of(0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x28),
    'data-first': Uint8Array.of(0x17, 0x03, 0x03, 0x00, 0x05, 1, 2, 3, 4, 5),
  };
  return Object.entries(garbage).map(([what, bytes]) => ({
    id: `garbage/${name}/${what}`,
    check: async () => {
      const problem = await sendGarbage(port, bytes, what === 'half-record' ? UNFINISHED_LIMIT_MS : GARBAGE_LIMIT_MS);
      return problem ?? (await askByHttps(rig, port, 6, 200));
    },
  }));
}

function sendGarbage(port: number, bytes: Uint8Array, limitMs: number): Promise<string | null> {
  return new Promise((resolve) => {
    const socket = connectTcp({ host: '127.0.0.1', port });
    const timer = setTimeout(() => {
      resolve(`still open after ${limitMs / 1_000} s`);
      socket.destroy();
    }, limitMs);
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
    // A reset closes it, too.
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      // Whatever is answered must be an alert (type 21), never a page.
      resolve(received.length === 0 || received[0] === 0x15 ? null : `answered ${received.toString('latin1')}`);
    });
    // No end: at that the proxy would close whatever it thinks of the bytes.
    socket.write(bytes);
  });
}

/** That of the browser. */
export function chromiumCases(rig: Rig, { name, port, originVersion }: Route): readonly ClientCase[] {
  if (originVersion === null) return [];
  return [
    {
      id: `chromium/${name}/page`,
      async check() {
        const { output, errors } = await dumpPage(`https://a.test:${port}/`, rig.keyHash);
        const seen = /<p id="seen">([^<]*)<\/p>/.exec(output)?.[1];
        return seen === 'SEEN h2 true true' ? null : `the page shows ${seen ?? output.slice(0, 500)}; ${errors.slice(-500)}`;
      },
    },
  ];
}

/** Those of Node. */
export function nodeCases(rig: Rig, { name, port, originVersion }: Route): readonly ClientCase[] {
  const status = originVersion === null ? 502 : 200;
  const secure = { ca: rig.authority, servername: 'a.test' } as const;
  return [
    {
      id: `node-https/${name}/page`,
      check: () => askByHttps(rig, port, 3, status),
    },
    {
      id: `node-http2/${name}/page`,
      check: () =>
        inTime((resolve) => {
          const session = connectHttp2(`https://127.0.0.1:${port}`, secure);
          session.on('error', (error: Error) => resolve(error.message));
          const stream = session.request({ ':path': '/number/4', ':authority': 'a.test' });
          let text = '';
          let seen = 0;
          stream.on('response', (headers) => (seen = headers[':status'] ?? 0));
          stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
          stream.on('error', (error: Error) => resolve(error.message));
          stream.on('end', () => {
            session.close();
            resolve(session.alpnProtocol === 'h2' ? verdict(seen, status, text, '4') : `agreed on ${String(session.alpnProtocol)}`);
          });
        }),
    },
    {
      id: `undici/${name}/page`,
      async check() {
        const dispatcher = new Agent({ connect: secure, allowH2: true });
        try {
          const response = await fetch(`https://127.0.0.1:${port}/number/5`, { dispatcher, signal: AbortSignal.timeout(LIMIT_MS) });
          return verdict(response.status, status, await response.text(), '5');
        } finally {
          await dispatcher.destroy();
        }
      },
    },
  ];
}

/** One request of `node:https`, on a connection of its own. */
function askByHttps({ authority }: Pick<Rig, 'authority'>, port: number, number: number, status: number): Promise<string | null> {
  const options = { host: '127.0.0.1', port, path: `/number/${number}`, headers: { host: 'a.test' }, agent: false } as const;
  return inTime((resolve) => {
    request({ ...options, ca: authority, servername: 'a.test' }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => resolve(verdict(response.statusCode, status, text, String(number))));
    })
      .on('error', (error) => resolve(error.message))
      .end();
  });
}

function verdict(seen: number | undefined, wanted: number, text: string, body: string): string | null {
  if (seen !== wanted) return `status ${String(seen)} instead of ${wanted}: ${text}`;
  return wanted === 502 || text === body ? null : `body ${JSON.stringify(text)} instead of ${JSON.stringify(body)}`;
}

function inTime(begin: (resolve: (problem: string | null) => void) => void): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LIMIT_MS, `no answer within ${LIMIT_MS / 1_000} s`);
    begin((problem) => {
      clearTimeout(timer);
      resolve(problem);
    });
  });
}

function differs(what: string, seen: string, wanted: string): string | null {
  return seen === wanted ? null : `${what} ${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`;
}

function exited({ code, output, errors }: Ended, wanted: number): string | null {
  return code === wanted ? null : `ended with ${String(code)} instead of ${wanted}: ${output.slice(-500)}${errors.slice(-500)}`;
}
