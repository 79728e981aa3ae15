/** Whoever has started the server and wants to hear how it is: systemd, or nobody. */

/** What is told, as in sd_notify(3). No call waits, throws or fails the server. */
export interface ServiceManager {
  /** How often it wants a sign of life, in milliseconds; null: not at all. */
  readonly watchdogMs: number | null;
  ready(status: string): void;
  /** A reload has begun; `ready` says that it has ended. */
  reloading(status: string): void;
  stopping(status: string): void;
  status(status: string): void;
  feedWatchdog(): void;
}

/** Nobody. */
export const noServiceManager: ServiceManager = {
  watchdogMs: null,
  ready: () => {},
  reloading: () => {},
  stopping: () => {},
  status: () => {},
  feedWatchdog: () => {},
};
