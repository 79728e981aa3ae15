/** A configuration as the services see it: whole, never changed, and known by its number. */

/** One version of the configuration. A request keeps the one it began with. */
export interface Snapshot<C> {
  /** 1 for the configuration of the start; each reload that changed something counts one up. */
  readonly version: number;
  /** Frozen in depth. In a worker it is a copy (structured clone): no functions, no class instances. */
  readonly config: C;
}
