/** What the metrics show of the watches of a proxy. Plain numbers. */
export class WatchCounts {
  /** Watchers of clients that have a source. */
  watchers = 0;
  /** Watches at members. */
  sources = 0;
  /** Events' messages that clients got without one of their own from a member. */
  shared = 0;

  /** Watchers that share with others. */
  get coalescing(): number {
    return Math.max(0, this.watchers - this.sources);
  }
}
