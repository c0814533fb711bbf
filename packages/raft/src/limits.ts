/**
 * Bounds of what members may tell each other. Terms and indexes are unsigned 64-bit integers on the wire and Numbers
 * here; half of what Numbers hold exactly is the limit, so that sums of an index and a count stay exact too. A group
 * that elects a leader every millisecond reaches it after 140,000 years.
 */

/** The highest term that is accepted from others, or campaigned for. */
export const MAX_TERM = 2 ** 52;
/** The highest log index that is accepted from others, or assigned. */
export const MAX_INDEX = 2 ** 52;

/** The longest context of a read that is taken from others: reads wait, and contexts are kept while they do. */
export const MAX_READ_CONTEXT_SIZE_BYTES = 1024;
