/** Pieces that a step makes: large enough to be few, small enough that hashing and sealing one holds nobody up. */
export const PIECE_BYTES = 256 * 1024;
