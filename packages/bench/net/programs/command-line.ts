/** What the programs of this bench are told: which of the kinds to be, where to go, and the files of a certificate. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/** The command line of a program, read. */
export interface ProgramArguments {
  /** `ferrata`, or the peer that stands beside it. */
  readonly kind: string;
  readonly to: { readonly host: string; readonly port: number };
  readonly connections: number;
  readonly seconds: number;
  readonly bytes: number;
  /** Messages are text. */
  readonly isText: boolean;
  readonly isTls: boolean;
  readonly isResumed: boolean;
  readonly isRefusing: boolean;
  /** PEM; empty where `--certificates` was not given. */
  readonly certificate: string;
  readonly key: string;
  readonly authority: string;
}

/** Reads `--kind K --to HOST:PORT --connections N --seconds N --bytes N --text --tls --resume --refuse --certificates FOLDER`. */
export function readArguments(): ProgramArguments {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean', default: false } as const;
  const { values } = parseArgs({
    options: {
      kind: { ...text, default: 'ferrata' },
      to: { ...text, default: '127.0.0.1:0' },
      connections: { ...text, default: '1' },
      seconds: { ...text, default: '1' },
      bytes: { ...text, default: '0' },
      text: flag,
      tls: flag,
      resume: flag,
      refuse: flag,
      certificates: text,
    },
  });
  const [host = '', port = '0'] = values.to.split(':');
  const folder = values.certificates;
  const read = (name: string): string => (folder === undefined ? '' : readFileSync(`${folder}/${name}.pem`, 'utf8'));
  return {
    kind: values.kind,
    to: { host, port: Number(port) },
    connections: Number(values.connections),
    seconds: Number(values.seconds),
    bytes: Number(values.bytes),
    isText: values.text,
    isTls: values.tls,
    isResumed: values.resume,
    isRefusing: values.refuse,
    certificate: read('server'),
    key: read('server-key'),
    authority: read('ca'),
  };
}

/** What a program of load has done, as the line `REPORT {…}`. */
export interface LoadResult {
  readonly operations: number;
  readonly failures: number;
  readonly durationMs: number;
}

/** Prints the result, and ends the program. */
export function report(result: LoadResult): void {
  process.stdout.write(`REPORT ${JSON.stringify(result)}\n`, () => process.exit(0));
}
