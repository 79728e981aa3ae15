/** ferrata: the reverse proxy, as a program and as a function. */

export { AccessLog, type LineSink } from './access-log.ts';
export { type CertificateFiles, type Command, parseCommand, type ReverseArguments, type ServerArguments } from './arguments.ts';
export type { CertArguments } from './cert-arguments.ts';
export { ExitCode } from './end-signal.ts';
export type { ReverseProxyOptions } from './reverse-options.ts';
export { type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';
export type { Route } from './routes.ts';
export { run } from './run.ts';
export type { ListenAddress, OriginAddress } from './urls.ts';
export { UsageError } from './usage-error.ts';
