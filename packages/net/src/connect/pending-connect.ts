/** Connecting under way, of any layer. */
export interface PendingConnect {
  /** Gives up; the failure that follows has the reason `CONNECT_ABORTED`. Does nothing once there was an outcome. */
  abort(cause?: unknown): void;
}
