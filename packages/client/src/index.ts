/** The client package. */
export {};
