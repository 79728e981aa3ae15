/** ferrata: the reverse proxy, as a program and as a function. */

export { AccessLog, type LineSink } from './access-log.ts';
export { type Command, parseCommand, type ReverseArguments, UsageError } from './arguments.ts';
export { ExitCode } from './end-signal.ts';
export { type OriginAddress, type ReverseProxy, type ReverseProxyOptions, startReverseProxy } from './reverse-proxy.ts';
export { run } from './run.ts';
