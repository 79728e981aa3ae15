/** The suite `proxy-protocol`: see `README.md` beside this file. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { latin1Decode } from '@ferrata/bytes';
import { findTlv, type ProxyHeader, ProxyHeaderDecoder, TlvType } from '@ferrata/proxy-protocol';
import { installCommand, type PeerProgram, providePrograms } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, readKnownFailures, report, summarise } from '../runner.ts';
import { bytesOf, HEADERS, MALFORMED } from './cases.ts';
import { CURL, HAPROXY, NGINX, OUTPUTS, type RunningProgram, startHaproxy, startNginx, UNIQUE_ID } from './programs.ts';
import { type Recorder, startRecorder } from './recorder.ts';

/** How long an exchange may take. */
const EXCHANGE_TIMEOUT_MS = 5_000;
const PAYLOAD = 'GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n';

process.exitCode = await run();

async function run(): Promise<number> {
  const outcomes: Outcome[] = [];
  const missing = providePrograms([HAPROXY, NGINX, CURL], (line) => console.log(`proxy-protocol: ${line}`));
  for (const program of missing) {
    const problem = `${program.debianPackage} is missing and could not be installed; install it with: ${installCommand([program])}`;
    if ((process.env['CI'] ?? '') !== '') outcomes.push({ id: program.debianPackage, problem });
    else console.log(`proxy-protocol: SKIPPED what it takes part in: ${problem}`);
  }
  const has = (program: PeerProgram): boolean => !missing.includes(program);
  const recorder = await startRecorder();
  try {
    if (has(HAPROXY))
      await withProgram('haproxy', startHaproxy(recorder.port), outcomes, (haproxy) => [
        ...throughHaproxy(haproxy, recorder),
        ...refusedBy(haproxy, recorder),
      ]);
    if (has(NGINX)) await withProgram('nginx', startNginx(), outcomes, throughNginx);
    if (has(CURL)) outcomes.push(await outcomeOf('curl/v1', () => throughCurl(recorder)));
  } finally {
    await recorder.listener.close();
  }
  // Without any of them there was nothing to run, as has been said.
  if (outcomes.length === 0) return 0;
  const known = readKnownFailures(new URL('known-differences.txt', import.meta.url));
  // What is known of haproxy is neither true nor untrue without it.
  return report('proxy-protocol', summarise(outcomes, has(HAPROXY) ? known : new Map()));
}

/** A case that has not begun. */
interface Case {
  readonly id: string;
  readonly check: () => Promise<string | null>;
}

async function withProgram(
  name: string,
  starting: Promise<RunningProgram>,
  outcomes: Outcome[],
  casesOf: (program: RunningProgram) => readonly Case[],
): Promise<void> {
  let program: RunningProgram;
  try {
    program = await starting;
  } catch (error) {
    outcomes.push({ id: name, problem: error instanceof Error ? error.message : String(error) });
    return;
  }
  // One after the other: the recorder keeps them in order.
  for (const { id, check } of casesOf(program)) outcomes.push(await outcomeOf(id, check));
  await program.stop();
}

function throughHaproxy(haproxy: RunningProgram, recorder: Recorder): readonly Case[] {
  return [...HEADERS].flatMap(([name, header]) =>
    [...OUTPUTS.keys()].map((output) => ({
      id: `haproxy/${name}/${output}`,
      check: async () => {
        recorder.recorded.length = 0;
        await exchange(haproxy.socketOf(output), bytesOf(header, true));
        const [read] = recorder.recorded;
        assert.equal(read?.reason, null);
        assert.equal(read.rest, PAYLOAD);
        compareAddresses(read.header, header);
        const idSent = findTlv(read.header ?? { tlvs: [] }, TlvType.uniqueId);
        if (output === 'v2-unique-id' || output === 'v2-both') assert.equal(latin1Decode(idSent ?? new Uint8Array(0)), UNIQUE_ID);
        const sum = findTlv(read.header ?? { tlvs: [] }, TlvType.crc32c);
        if (output === 'v2-crc32c' || output === 'v2-both') assert.notEqual(sum, null, 'haproxy has sent no checksum');
        return null;
      },
    })),
  );
}

function compareAddresses(read: ProxyHeader | null, sent: ProxyHeader): void {
  assert.deepEqual([read?.family, read?.source, read?.destination], [sent.family, sent.source, sent.destination]);
}

function refusedBy(haproxy: RunningProgram, recorder: Recorder): readonly Case[] {
  return [...MALFORMED].map(([name, bytes]) => ({
    id: `refused/${name}`,
    check: async () => {
      const decoder = new ProxyHeaderDecoder();
      decoder.feed(bytes);
      decoder.end();
      assert.throws(() => decoder.next(), 'our decoder accepts it');
      recorder.recorded.length = 0;
      const answer = await exchange(haproxy.socketOf('v1'), bytes);
      return answer === '' && recorder.recorded.length === 0
        ? null
        : `haproxy accepts it: ${JSON.stringify(recorder.recorded[0] ?? answer)}`;
    },
  }));
}

function throughNginx(nginx: RunningProgram): readonly Case[] {
  return [...HEADERS].flatMap(([name, header]) =>
    [false, true].map((checksum) => ({
      id: `nginx/${name}${checksum ? '/crc32c' : ''}`,
      check: async () => {
        const answer = await exchange(nginx.socketOf('http'), bytesOf(header, checksum));
        const body = answer.slice(answer.indexOf('\r\n\r\n') + 4);
        const { source, destination } = header;
        assert.ok(source?.kind === 'ip' && destination?.kind === 'ip');
        // Its version 1 is shown as it was written, its version 2 as inet_ntop has it.
        const [from = '', fromPort = '', to = '', toPort = ''] = body.split(' ');
        assert.deepEqual(
          [canonical(from), fromPort, canonical(to), toPort],
          [canonical(source.host), String(source.port), canonical(destination.host), String(destination.port)],
        );
        return null;
      },
    })),
  );
}

/** Two texts of one address are equal after this. */
function canonical(host: string): string {
  return host.includes(':') ? new URL(`http://[${host}]/`).hostname : host;
}

async function throughCurl({ port, recorded }: Recorder): Promise<string | null> {
  recorded.length = 0;
  const args = ['--silent', '--show-error', '--haproxy-protocol', '--max-time', '5', '--noproxy', '*', `http://127.0.0.1:${port}/`];
  const { stdout } = await promisify(execFile)('curl', args);
  assert.equal(stdout, 'ok\n');
  const [read] = recorded;
  assert.equal(read?.reason, null);
  assert.deepEqual([read.header?.version, read.header?.family, read.header?.source], [1, 'inet', read.peer]);
  assert.deepEqual(read.header?.destination, { kind: 'ip', host: '127.0.0.1', port });
  assert.ok(read.rest.startsWith('GET / HTTP/1.1\r\n'));
  return null;
}

/** Sends a header and a request in one write, and ends. @returns all that comes back, until the other side closes */
async function exchange(socketPath: string, header: Uint8Array): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(socketPath);
    socket.setEncoding('latin1');
    socket.setTimeout(EXCHANGE_TIMEOUT_MS, () => {
      socket.destroy();
      reject(new Error(`nothing for ${EXCHANGE_TIMEOUT_MS / 1000} s; so far ${JSON.stringify(answer)}`));
    });
    socket.on('data', (text: string) => {
      answer += text;
    });
    // A refusal may come as a reset.
    socket.on('error', () => resolve(answer));
    socket.on('close', () => resolve(answer));
    socket.write(Buffer.concat([header, Buffer.from(PAYLOAD, 'latin1')]));
  });
}
