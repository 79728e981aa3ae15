/** ferrata: the reverse proxy, as a program and as a function. */
export { run } from './run.ts';
export { ExitCode } from './end-signal.ts';
export { type ReverseProxy, type ReverseProxyOptions, startReverseProxy } from './reverse-proxy.ts';
export { AccessLog, type LineSink } from './access-log.ts';
export { type Command, type ReverseArguments, UsageError, parseCommand } from './arguments.ts';
