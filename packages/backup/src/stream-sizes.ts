/** How much of a backup is under way at once. Each piece has its price at each step, each step its queue. */

/** Pieces that a step makes: large enough to be few, small enough that hashing and sealing one holds nobody up. */
export const PIECE_BYTES = 256 * 1024;
/** What waits before a step, or behind it. */
export const QUEUE_BYTES = 512 * 1024;
