/** curl, nghttp and h2load as they are used from a shell: many transfers at once, uploads and downloads of a size, trailers, load. */
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { latin1Decode } from '@ferrata/bytes';
import type { PeerProgram } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { type Outcome, outcomeOf } from '../runner.ts';
import { actBytes, type Endings, pathOf } from './acts.ts';

/** What has to be installed beside curl. */
export const NGHTTP: PeerProgram = { command: 'nghttp', debianPackage: 'nghttp2-client', purpose: 'a client of another making' };
export const H2LOAD: PeerProgram = { command: 'h2load', debianPackage: 'nghttp2-client', purpose: 'load of another making' };

const MEBIBYTE = 1_048_576;
const PARALLEL = 20;
const MAX_RUN_MS = 20_000;

/** Somewhere to point programs at, and what the server behind it saw. */
export interface ProgramTarget {
  readonly name: string;
  readonly port: number;
  readonly endings: Endings;
}

interface Run {
  readonly target: ProgramTarget;
  readonly folder: string;
  /** The URL of an act. */
  readonly url: (path: string) => string;
}

type Check = (run: Run) => Promise<string | null>;

const CURL_CHECKS: Readonly<Record<string, Check>> = {
  'curl/download': async ({ folder, url }) => {
    const file = join(folder, 'down');
    const meta = await curl([url(pathOf('bytes', 'down', MEBIBYTE)), '-o', file]);
    return meta ?? (await differs(file, actBytes('down', MEBIBYTE)));
  },
  'curl/upload': async ({ folder, url }) => {
    const [given, file] = [join(folder, 'up'), join(folder, 'up-again')];
    await writeFile(given, actBytes('up', MEBIBYTE));
    return (
      (await curl(['--data-binary', `@${given}`, url(pathOf('echo', 'up')), '-o', file])) ?? (await differs(file, actBytes('up', MEBIBYTE)))
    );
  },
  'curl/head': async ({ folder, url }) => {
    const file = join(folder, 'head');
    const problem = await curl(['--head', url(pathOf('bytes', 'head', 1_000)), '-o', file]);
    const head = await readFile(file, 'latin1');
    return (
      problem ??
      (/^HTTP\/2 200 \r\n(?:[^\r]+\r\n)*content-length: 1000\r\n(?:[^\r]+\r\n)*\r\n$/.test(head) ? null : `came ${JSON.stringify(head)}`)
    );
  },
  'curl/parallel': async ({ folder, url }) => {
    const tokens = Array.from({ length: PARALLEL }, (_, at) => `p${at}`);
    const args = tokens.flatMap((token) => [url(pathOf('bytes', token, 100_000)), '-o', join(folder, token)]);
    const problems = [await curl(['--parallel', '--parallel-immediate', '--parallel-max', String(PARALLEL), ...args])];
    for (const token of tokens) problems.push(await differs(join(folder, token), actBytes(token, 100_000)));
    return problems.find((problem) => problem !== null) ?? null;
  },
};

const NGHTTP_CHECKS: Readonly<Record<string, Check>> = {
  'nghttp/multiplexed': async ({ folder, url }) => {
    // nghttp writes what comes, as it comes; of answers of one frame each the order does not matter.
    const bodies = Array.from({ length: PARALLEL }, (_, at) => ({ token: `m${at}`, bytes: actBytes(`m${at}`, 3_000) }));
    const { problem, output } = await run(
      'nghttp',
      bodies.map(({ token }) => url(pathOf('bytes', token, 3_000))),
      folder,
    );
    if (problem !== null) return problem;
    if (output.length !== PARALLEL * 3_000) return `${output.length} bytes came`;
    const missing = bodies.find(({ bytes }) => !output.includes(latin1Decode(bytes)));
    return missing === undefined ? null : `the answer ${missing.token} is not among what came`;
  },
  'nghttp/upload-and-trailers': async ({ folder, url }) => {
    const given = join(folder, 'given');
    await writeFile(given, actBytes('given', 200_000));
    // Behind an announced length there are no trailers in HTTP/1.1, so a proxy that goes on in it could not keep them.
    const args = ['-v', '--no-content-length', '-d', given, '--trailer', 'x-sum: abc==', url(pathOf('echo', 'echoed'))];
    const ran = await run('nghttp', args, folder);
    return ran.problem ?? (/recv \(stream_id=\d+\) x-sum: abc==$/m.test(ran.output) ? null : 'the trailers did not come back');
  },
  'nghttp/upload': async ({ folder, url }) => {
    const given = join(folder, 'given-2');
    await writeFile(given, actBytes('given', 300_000));
    return await nghttp(folder, ['-d', given, url(pathOf('echo', 'echoed-2'))], actBytes('given', 300_000));
  },
  'nghttp/download': async ({ folder, url }) => await nghttp(folder, [url(pathOf('bytes', 'down', MEBIBYTE))], actBytes('down', MEBIBYTE)),
  'nghttp/continuation-and-padding': async ({ folder, url }) =>
    await nghttp(folder, ['--continuation', '-b', '100', url(pathOf('bytes', 'padded', 5_000))], actBytes('padded', 5_000)),
  'nghttp/small-windows': async ({ folder, url }) =>
    await nghttp(folder, ['-w', '10', '-W', '11', url(pathOf('bytes', 'narrow', 100_000))], actBytes('narrow', 100_000)),
  'nghttp/table-sizes': async ({ folder, url }) =>
    await nghttp(folder, ['-c', '0', '-c', '8192', url(pathOf('bytes', 'table', 100))], actBytes('table', 100)),
};

const H2LOAD_CHECKS: Readonly<Record<string, Check>> = {
  'h2load/gets': async (one) => await load(one, 2_000, [one.url(pathOf('bytes', 'load', 1_000))]),
  'h2load/posts': async (one) => {
    const given = join(one.folder, 'posted');
    await writeFile(given, actBytes('posted', 20_000));
    return await load(one, 500, ['-d', given, one.url(pathOf('echo', 'load'))]);
  },
  'h2load/small-windows': async (one) => await load(one, 200, ['-w', '12', '-W', '13', one.url(pathOf('bytes', 'load', 70_000))]),
};

/** What each program is asked to do. @param has whether it is there */
export async function runPrograms(
  target: ProgramTarget,
  has: { readonly curl: boolean; readonly nghttp: boolean; readonly h2load: boolean },
  isWanted: (id: string) => boolean,
): Promise<Outcome[]> {
  const folder = new TemporaryFolder('ferrata-h2-programs-');
  const outcomes: Outcome[] = [];
  const checks = { ...(has.curl ? CURL_CHECKS : {}), ...(has.nghttp ? NGHTTP_CHECKS : {}), ...(has.h2load ? H2LOAD_CHECKS : {}) };
  for (const [name, check] of Object.entries(checks)) {
    const id = `${target.name}/${name}`;
    const url = (path: string): string => `http://127.0.0.1:${target.port}${path}`;
    if (isWanted(id)) outcomes.push(await outcomeOf(id, () => check({ target, folder: folder.path, url })));
  }
  folder.remove();
  return outcomes;
}

/** Requests on 4 connections, 32 at once on each; every one of them must be answered with 2xx, and the server must have had as many. */
async function load({ target, folder }: Run, count: number, args: readonly string[]): Promise<string | null> {
  target.endings.takeTotal();
  const { problem, output } = await run('h2load', ['-n', String(count), '-c', '4', '-m', '32', '-t', '1', ...args], folder);
  if (problem !== null) return problem;
  const wrong = loadProblem(output, count);
  const total = target.endings.takeTotal();
  return wrong ?? (total === count ? null : `the server had ${total} requests`);
}

/** What is wrong with the sums that h2load prints; null if each of `count` requests was answered with 2xx. */
export function loadProblem(output: string, count: number): string | null {
  const requests = /^requests: .*$/m.exec(output)?.[0] ?? 'no line of requests';
  const codes = /^status codes: .*$/m.exec(output)?.[0] ?? 'no line of status codes';
  const isRight =
    requests === `requests: ${count} total, ${count} started, ${count} done, ${count} succeeded, 0 failed, 0 errored, 0 timeout` &&
    codes === `status codes: ${count} 2xx, 0 3xx, 0 4xx, 0 5xx`;
  return isRight ? null : `${requests}; ${codes}`;
}

/** Each transfer over HTTP/2 with prior knowledge, all with 200. */
async function curl(args: readonly string[]): Promise<string | null> {
  const { problem, output } = await run('curl', ['-sS', '--http2-prior-knowledge', '-w', '%{http_version} %{http_code}\\n', ...args]);
  if (problem !== null) return problem;
  const other = output.split('\n').find((line) => line !== '' && line !== '2 200');
  return other === undefined ? null : `came ${other}`;
}

/** One transfer, whose body is what nghttp writes. */
async function nghttp(folder: string, args: readonly string[], expected: Uint8Array): Promise<string | null> {
  const { problem, output } = await run('nghttp', args, folder);
  if (problem !== null) return problem;
  return output === latin1Decode(expected) ? null : `${output.length} bytes came, not the ${expected.length} that were meant`;
}

/** @returns what it wrote to its standard output, one character a byte, and how it failed, or null */
async function run(
  command: string,
  args: readonly string[],
  cwd?: string,
): Promise<{ readonly problem: string | null; readonly output: string }> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: MAX_RUN_MS, ...(cwd === undefined ? {} : { cwd }) });
  killOnExit(child);
  let output = '';
  let complaint = '';
  child.stdout.setEncoding('latin1').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('latin1').on('data', (text: string) => {
    complaint = (complaint + text).slice(-2_000);
  });
  const code = await new Promise<number | string | null>((resolve) => {
    child.on('close', (exitCode, signal) => resolve(exitCode ?? signal));
    child.on('error', (error) => resolve(error.message));
  });
  return { problem: code === 0 ? null : `${command} ended with ${String(code)}: ${complaint.trim()}`, output };
}

async function differs(file: string, expected: Uint8Array): Promise<string | null> {
  const content = await readFile(file).catch(() => null);
  if (content === null) return `${basename(file)} was not written`;
  if (Buffer.compare(content, expected) === 0) return null;
  return `${basename(file)}: ${content.length} bytes came, not the ${expected.length} that were meant`;
}
